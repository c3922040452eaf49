//! A connection to a database on a server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tiberius::error::Error as DriverError;

use super::super::{
    Access, BatchObserver, BatchText, Connection, DatabaseError, Dialect, Leftover, OwnTables,
    RegistrySchema, Reply, Row, SHORT_WAIT, ScriptEnd, ScriptMode, ScriptReport, Statement,
};
use super::exchange::{Request, requests};
use super::leftovers::{Leftovers, restoring};
use super::pool::{Lent, Pools};
use super::session::{OPTIONS, ResultSet, Session, translate};
use super::{ScriptLimits, SqlServerDatabase, introspection, script_run};
use crate::schema::Schema;

/// How long the server may take over undoing what a script left behind.
const PATIENCE: Duration = Duration::from_secs(60);

/// In what state a script left transaction and session. What follows it in the same request does not run when the
/// transaction is over: every statement of it would commit by itself.
const GUARD: &str = "SELECT @@TRANCOUNT AS open_transactions, XACT_STATE() AS state, DB_NAME() AS database_name, \
    SUSER_SNAME() AS login_name, USER_NAME() AS user_name;\n";
const GO_NO_FURTHER: &str = "IF @@TRANCOUNT <> 1 OR XACT_STATE() <> 1 RETURN;\n";

/// One state for all statements of a request, without holding anybody up.
const ONE_STATE: (&str, &str) = (
    "SET TRANSACTION ISOLATION LEVEL SNAPSHOT;\nBEGIN TRANSACTION;\n",
    "COMMIT TRANSACTION;\n",
);

/// A connection to a database on a server.
pub struct SqlServerConnection {
    pools: Arc<Pools>,
    access: Access,
    limits: ScriptLimits,
    own_tables: Option<OwnTables>,
    schema: RegistrySchema,
    /// None only while it is being replaced, and after that failed.
    lent: Option<Lent>,
    /// The application locks that the session holds.
    held: Vec<String>,
    in_transaction: bool,
    /// How long a statement may wait for a lock in the open transaction.
    lock_wait: Duration,
    /// What the script that ran last in the open transaction may have left behind, until it was looked at.
    unchecked: Option<Leftovers>,
    /// Whether a script may have left something in the session that the next one should not find.
    soiled: bool,
}

impl SqlServerConnection {
    /// Opens a connection, or takes one that was used before.
    pub(super) async fn open(
        database: &SqlServerDatabase,
        access: Access,
    ) -> Result<Self, DatabaseError> {
        let lent = database.pools.get(access).await?;
        Ok(Self {
            pools: Arc::clone(&database.pools),
            access,
            limits: database.limits,
            own_tables: database.own_tables,
            schema: database.schema.clone(),
            lent: Some(lent),
            held: Vec::new(),
            in_transaction: false,
            lock_wait: SHORT_WAIT,
            unchecked: None,
            soiled: false,
        })
    }

    fn session(&mut self) -> Result<&mut Session, DatabaseError> {
        self.lent
            .as_mut()
            .map(Lent::session)
            .ok_or_else(|| DatabaseError::Unavailable {
                phase: "using a connection",
                message: "the connection was lost before and could not be replaced".to_owned(),
            })
    }

    /// From now on the session is nobody else's, and ends with this connection.
    fn keep(&mut self) {
        self.lent = self.lent.take().map(Lent::keep);
    }

    /// Puts a session that nobody used before in place of the present one. It holds the same application locks.
    async fn renew(&mut self) -> Result<(), DatabaseError> {
        // The old one goes first: it holds the locks.
        drop(self.lent.take().map(Lent::keep));
        self.lent = Some(self.pools.fresh().await?);
        self.soiled = false;
        for name in std::mem::take(&mut self.held) {
            self.exclude_others(&name, SHORT_WAIT).await?;
        }
        Ok(())
    }

    /// A script without a transaction waits for locks as long as one with a transaction does.
    async fn wait_as_configured(&mut self) -> Result<(), DatabaseError> {
        let text = format!("SET LOCK_TIMEOUT {};", milliseconds(self.limits.lock_wait));
        self.session()?
            .language(&text, PATIENCE)
            .await
            .map(|_| ())
            .map_err(|error| translate(&error, "setting how long to wait for locks"))
    }

    async fn send(
        &mut self,
        request: &Request,
        prologue: &str,
        epilogue: &str,
    ) -> Result<Vec<ResultSet>, DriverError> {
        let lock_wait = self.lock_wait;
        let text = format!("{prologue}{}{epilogue}", request.text);
        match self.session() {
            Ok(session) => session.call(&text, &request.parameters, lock_wait).await,
            Err(error) => Err(DriverError::Io {
                kind: std::io::ErrorKind::NotConnected,
                message: error.to_string(),
            }),
        }
    }

    /// Why one of dbvc's own statements was refused: perhaps there is no registry, or only tables of the application that
    /// bear its names. In a transaction it is known to be there.
    async fn explain(&mut self, error: DatabaseError) -> DatabaseError {
        let own_tables = match self.own_tables {
            Some(own_tables) if !self.in_transaction && OwnTables::may_explain(&error) => {
                own_tables
            }
            _ => return error,
        };
        let catalog = (own_tables.catalog)();
        let text = Dialect::TransactSql(&self.schema).render(catalog.template);
        let Ok(session) = self.session() else {
            return error;
        };
        match session.language(&text, PATIENCE).await {
            Ok(answer) => (own_tables.explain)(error, answer.first().map_or(&[], Vec::as_slice)),
            Err(_) => error,
        }
    }

    /// Undoes what the script's words say that it may have left behind, and looks at what it did leave.
    async fn check_script(&mut self, leftovers: &Leftovers) -> Result<(), DatabaseError> {
        const PHASE: &str = "looking at what a script left behind";
        let session = self.session()?;
        for undoing in restoring(leftovers, &session.database) {
            if let Err(error) = session.language(&undoing, PATIENCE).await {
                // What the server does not undo shows below.
                if !session.is_usable() {
                    return Err(translate(&error, PHASE));
                }
            }
        }
        let answer = session
            .language(GUARD, PATIENCE)
            .await
            .map_err(|error| translate(&error, PHASE))?;
        let row = answer.last().and_then(|rows| rows.first());
        judge(session, row)
    }
}

/// Whether the transaction is the one that dbvc began, in the session as dbvc opened it.
fn judge(session: &Session, row: Option<&Row>) -> Result<(), DatabaseError> {
    let Some(row) = row else {
        return Err(DatabaseError::Refused {
            phase: "looking at what a script left behind",
            number: None,
            message: "the server did not say how the transaction stands".to_owned(),
        });
    };
    let (login, user) = &session.principal;
    let is = |column: &str, expected: &str| -> Result<bool, DatabaseError> {
        Ok(row.optional_text(column)?.unwrap_or_default() == expected)
    };
    let left = match (row.integer("open_transactions")?, row.integer("state")?) {
        (0, _) => Leftover::EndedTransaction,
        (_, -1) => Leftover::DoomedTransaction,
        (2.., _) => Leftover::OpenTransaction,
        _ if !is("database_name", &session.database)? => Leftover::OtherDatabase,
        _ if !is("login_name", login)? || !is("user_name", user)? => Leftover::OtherPrincipal,
        _ => return Ok(()),
    };
    Err(DatabaseError::ScriptLeft(left))
}

/// The answers to the statements of a request.
fn replies(sets: Vec<ResultSet>, request: &Request) -> Result<Vec<Reply>, DatabaseError> {
    let expected = request.statements.len();
    if sets.len() != expected {
        return Err(DatabaseError::Refused {
            phase: "exchanging registry statements",
            number: None,
            message: format!("{} answers came to {expected} statements", sets.len()),
        });
    }
    sets.into_iter()
        .map(|rows| {
            let affected = match rows.first() {
                Some(row) if rows.len() == 1 => row.count("affected").unwrap_or(0),
                _ => 0,
            };
            Ok(Reply { rows, affected })
        })
        .collect()
}

#[async_trait]
impl Connection for SqlServerConnection {
    async fn exchange(&mut self, statements: &[Statement]) -> Result<Vec<Reply>, DatabaseError> {
        const PHASE: &str = "exchanging registry statements";
        let mut guarded = false;
        if let Some(leftovers) = self.unchecked.take() {
            if leftovers.is_empty() && !statements.is_empty() {
                guarded = true;
            } else {
                self.check_script(&leftovers).await?;
            }
        }
        let one_state =
            self.access == Access::Read && statements.len() > 1 && self.session()?.has_snapshots;
        let mut all = Vec::with_capacity(statements.len());
        for request in requests(statements, &self.schema) {
            let (prologue, epilogue) = match (guarded, one_state) {
                (true, _) => (format!("{GUARD}{GO_NO_FURTHER}"), ""),
                (false, true) => (ONE_STATE.0.to_owned(), ONE_STATE.1),
                (false, false) => (String::new(), ""),
            };
            let mut answer = self.send(&request, &prologue, epilogue).await;
            if answer.is_err() && self.access == Access::Read && !self.is_usable() {
                // The session may have ended since it was used last; to read again does no harm.
                self.renew().await?;
                answer = self.send(&request, &prologue, epilogue).await;
            }
            let mut sets = match answer {
                Ok(sets) => sets,
                Err(error) => return Err(self.explain(translate(&error, PHASE)).await),
            };
            if guarded {
                let state = if sets.is_empty() {
                    Vec::new()
                } else {
                    sets.remove(0)
                };
                judge(self.session()?, state.first())?;
                guarded = false;
            }
            all.extend(replies(sets, &request)?);
        }
        Ok(all)
    }

    async fn exclude_others(&mut self, name: &str, wait: Duration) -> Result<(), DatabaseError> {
        const PHASE: &str = "waiting for another session to end";
        const LOCK: &str = "DECLARE @result INT;\n\
            EXEC @result = sp_getapplock @Resource = @P1, @LockMode = 'Exclusive', @LockOwner = 'Session', @LockTimeout = @P2;\n\
            SELECT @result AS result;\n";
        self.keep();
        let milliseconds = i64::from(milliseconds(wait));
        let session = self.session()?;
        let parameters = [session.resource(name).into(), milliseconds.into()];
        let answer = session
            .call(LOCK, &parameters, wait)
            .await
            .map_err(|error| translate(&error, PHASE))?;
        let row = answer.last().and_then(|rows| rows.first());
        // Not getting the lock is no error but a negative result.
        match row.map(|row| row.integer("result")).transpose()? {
            Some(0..) => {
                self.held.push(name.to_owned());
                Ok(())
            }
            Some(_) => Err(DatabaseError::Busy { phase: PHASE }),
            None => Err(DatabaseError::Refused {
                phase: PHASE,
                number: None,
                message: "sp_getapplock gave no result".to_owned(),
            }),
        }
    }

    async fn admit_others(&mut self, name: &str) -> Result<(), DatabaseError> {
        const RELEASE: &str = "EXEC sp_releaseapplock @Resource = @P1, @LockOwner = 'Session';\n";
        let session = self.session()?;
        let parameters = [session.resource(name).into()];
        session
            .call(RELEASE, &parameters, SHORT_WAIT)
            .await
            .map_err(|error| translate(&error, "letting other sessions go on"))?;
        self.held.retain(|held| held != name);
        Ok(())
    }

    async fn begin(&mut self, wait: Duration) -> Result<(), DatabaseError> {
        const PHASE: &str = "beginning a transaction";
        if self.soiled {
            self.renew().await?;
        }
        let text = format!(
            "{OPTIONS} SET LOCK_TIMEOUT {}; BEGIN TRANSACTION;",
            milliseconds(wait)
        );
        let begun = self.session()?.language(&text, PATIENCE).await;
        let begun = match begun {
            // A session that lay unused may be gone; nothing was done on it. One that holds application locks is for
            // its user to find out about.
            Err(_) if !self.is_usable() && self.held.is_empty() => {
                self.renew().await?;
                self.session()?.language(&text, PATIENCE).await
            }
            begun => begun,
        };
        begun.map_err(|error| translate(&error, PHASE))?;
        self.in_transaction = true;
        self.lock_wait = wait;
        self.unchecked = None;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), DatabaseError> {
        const PHASE: &str = "committing";
        let session = self.session()?;
        match session.commit().await {
            Ok(()) => {
                self.in_transaction = false;
                Ok(())
            }
            Err(DriverError::Server(error)) if session.is_usable() => {
                session
                    .roll_back()
                    .await
                    .map_err(|error| translate(&error, "rolling back a refused commit"))?;
                self.in_transaction = false;
                Err(DatabaseError::CommitRefused {
                    number: error.code().into(),
                    message: error.message().to_owned(),
                })
            }
            Err(error) => Err(DatabaseError::Unavailable {
                phase: PHASE,
                message: error.to_string(),
            }),
        }
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.unchecked = None;
        if !self.in_transaction {
            return Ok(());
        }
        self.session()?
            .roll_back()
            .await
            .map_err(|error| translate(&error, "rolling back"))?;
        self.in_transaction = false;
        Ok(())
    }

    fn is_usable(&self) -> bool {
        self.lent.as_ref().is_some_and(Lent::is_usable)
    }

    async fn run_batches(
        &mut self,
        batches: Arc<[BatchText]>,
        mode: ScriptMode,
        observer: Arc<dyn BatchObserver>,
    ) -> ScriptReport {
        self.keep();
        let ready = match self.unchecked.take() {
            Some(leftovers) => self.check_script(&leftovers).await,
            None => Ok(()),
        };
        let ready = match (ready, mode) {
            (Ok(()), ScriptMode::WithoutTransaction) => self.wait_as_configured().await,
            (ready, _) => ready,
        };
        let timeout = match self.limits.batch {
            Some(limit) => Some(limit),
            None => self.pools.command_timeout().await,
        };
        let report = match (ready, self.session()) {
            (Ok(()), Ok(session)) => {
                script_run::run(session, &batches, mode, observer.as_ref(), timeout).await
            }
            (Err(DatabaseError::ScriptLeft(left)), _) => ScriptReport {
                batches: Vec::new(),
                end: ScriptEnd::Left {
                    left,
                    errors: Vec::new(),
                },
            },
            (Err(error), _) | (_, Err(error)) => script_run::broken_off(&error),
        };
        let sent = &batches[..report.batches.len().min(batches.len())];
        let leftovers = Leftovers::of(sent);
        self.soiled |= leftovers.soil_session();
        if mode != ScriptMode::WithoutTransaction {
            self.unchecked = Some(leftovers);
        }
        report
    }

    async fn read_schema(&mut self) -> Result<Schema, DatabaseError> {
        let one_state = self.session()?.has_snapshots && !self.in_transaction;
        introspection::read_schema(self.session()?, one_state).await
    }
}

impl Drop for SqlServerConnection {
    fn drop(&mut self) {
        let done = !self.in_transaction && !self.soiled && self.held.is_empty();
        if !(done && self.is_usable()) {
            // Closing it has the server roll back, and let go of the locks, at once.
            drop(self.lent.take().map(Lent::keep));
        }
    }
}

/// A waiting time as SQL Server takes it, in milliseconds.
fn milliseconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}
