//! Sessions that are kept for the next who needs one.
//!
//! Only sessions on which nothing but dbvc's own statements ran are kept: one that holds an application lock, ran a script,
//! has a transaction open or was cut off ends with its user.

use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};

use super::super::{Access, DatabaseError};
use super::connect::Connector;
use super::session::Session;

/// Sessions that are open at once for each purpose. A run needs a handful for a database; whoever finds none free waits.
const MOST_SESSIONS: usize = 32;

/// How long a session may lie unused before it is asked whether it is still there: the server and the network between
/// end idle ones without a word.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

/// How long connecting is tried for somebody who only wants to look.
const PATIENCE_FOR_READING: Duration = Duration::from_secs(20);

/// How long connecting is tried for a change: a serverless database takes about a minute to wake up.
const PATIENCE_FOR_WRITING: Duration = Duration::from_secs(90);

/// The sessions of one database: those for reading see one state at a time, those for writing change it.
#[derive(Debug)]
pub(super) struct Pools {
    connector: Connector,
    reading: managed::Pool<Manager>,
    writing: managed::Pool<Manager>,
}

/// A session lent by a pool, or one that belongs to its user alone.
pub(super) enum Lent {
    /// Goes back.
    Pooled(Box<Object<Manager>>),
    /// Ends with its user.
    Own(Box<Session>),
}

impl Pools {
    pub fn new(connector: Connector) -> Self {
        let pool = |patience| {
            managed::Pool::builder(Manager {
                connector: connector.clone(),
                patience,
            })
            .max_size(MOST_SESSIONS)
            .build()
            // Only time-outs need a runtime, and none is set.
            .expect("a pool without time-outs can always be built")
        };
        Self {
            reading: pool(PATIENCE_FOR_READING),
            writing: pool(PATIENCE_FOR_WRITING),
            connector,
        }
    }

    /// A session that may have been used before.
    pub async fn get(&self, access: Access) -> Result<Lent, DatabaseError> {
        let pool = match access {
            Access::Read => &self.reading,
            Access::Write => &self.writing,
        };
        match pool.get().await {
            Ok(object) => Ok(Lent::Pooled(Box::new(object))),
            Err(PoolError::Backend(error)) => Err(error),
            Err(error) => Err(DatabaseError::Unavailable {
                phase: "waiting for a connection",
                message: error.to_string(),
            }),
        }
    }

    /// How long the connection string lets a batch of a script take; none is no limit.
    pub async fn command_timeout(&self) -> Option<Duration> {
        let connection = self.connector.connection_string().await.ok()?;
        connection.command_timeout()
    }

    /// A session of one's own, which nobody used before.
    pub async fn fresh(&self) -> Result<Lent, DatabaseError> {
        let session = Session::open(&self.connector, PATIENCE_FOR_WRITING).await?;
        Ok(Lent::Own(Box::new(session)))
    }
}

impl Lent {
    /// The session.
    pub fn session(&mut self) -> &mut Session {
        match self {
            Self::Pooled(object) => object,
            Self::Own(session) => session,
        }
    }

    /// Whether the session can still be used.
    pub fn is_usable(&self) -> bool {
        match self {
            Self::Pooled(object) => object.is_usable(),
            Self::Own(session) => session.is_usable(),
        }
    }

    /// The same session, which will not go back.
    #[must_use]
    pub fn keep(self) -> Self {
        match self {
            Self::Pooled(object) => Self::Own(Box::new(Object::take(*object))),
            own @ Self::Own(_) => own,
        }
    }
}

/// Opens sessions for a pool.
#[derive(Debug)]
pub(super) struct Manager {
    connector: Connector,
    patience: Duration,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = DatabaseError;

    async fn create(&self) -> Result<Session, DatabaseError> {
        Session::open(&self.connector, self.patience).await
    }

    async fn recycle(
        &self,
        session: &mut Session,
        _metrics: &Metrics,
    ) -> RecycleResult<DatabaseError> {
        if !session.is_usable() {
            return Err(RecycleError::message("cut off"));
        }
        if session.last_used.elapsed() < TRUSTED_IDLE {
            return Ok(());
        }
        session
            .language("SELECT 1 AS alive;", TRUSTED_IDLE)
            .await
            .map(|_| ())
            .map_err(|error| RecycleError::message(error.to_string()))
    }
}
