//! One session on a server: requests, answers, and whether it can still be used.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use tiberius::error::Error as DriverError;
use tiberius::time::{Date, DateTime2, DateTimeOffset, Time};
use tiberius::{ColumnData, QueryItem, QueryStream, ToSql};

use super::super::{DatabaseError, Row, SHORT_WAIT, Value};
use super::connect::{Client, Connector};
use crate::time::Timestamp;

/// How long the server may take over one of dbvc's own requests, beyond what the request may wait for locks. They take
/// milliseconds; a server that does not answer at all must not hold a run for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The options that dbvc's records need: filtered indexes demand them, an error must end the transaction, and what is read
/// must be whole, rows and texts alike.
pub(super) const OPTIONS: &str = "SET XACT_ABORT ON; SET ANSI_NULLS ON; SET QUOTED_IDENTIFIER ON; SET ANSI_PADDING ON; \
    SET ANSI_WARNINGS ON; SET ARITHABORT ON; SET CONCAT_NULL_YIELDS_NULL ON; SET NUMERIC_ROUNDABORT OFF; \
    SET IMPLICIT_TRANSACTIONS OFF; SET NOCOUNT OFF; SET ROWCOUNT 0; SET TEXTSIZE 2147483647; SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

/// What was asked of the server when the session began.
const WHO_AM_I: &str = "SELECT CAST(@@SERVERNAME AS NVARCHAR(128)) AS server_name, DB_NAME() AS database_name, SUSER_SNAME() AS login_name, USER_NAME() AS user_name, \
    (SELECT snapshot_isolation_state FROM sys.databases WHERE name = DB_NAME()) AS snapshot_state;";

/// The rows of one result set.
pub(super) type ResultSet = Vec<Row>;

/// A session on a server.
pub(super) struct Session {
    client: Client,
    /// The server, by its own name.
    pub server: String,
    /// The database that it was opened for.
    pub database: String,
    /// Login and user that it acts as.
    pub principal: (String, String),
    /// Whether a transaction can see one state of the database without holding others up.
    pub has_snapshots: bool,
    /// Whether an answer was not read to its end, or could not be.
    broken: bool,
    /// When the last answer was read.
    pub last_used: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, trying for at most `patience`.
    pub async fn open(connector: &Connector, patience: Duration) -> Result<Self, DatabaseError> {
        const PHASE: &str = "connecting";
        let client =
            connector
                .connect(patience)
                .await
                .map_err(|error| DatabaseError::Unavailable {
                    phase: PHASE,
                    message: error.to_string(),
                })?;
        let mut session = Self {
            client,
            server: String::new(),
            database: String::new(),
            principal: Default::default(),
            has_snapshots: false,
            broken: false,
            last_used: Instant::now(),
        };
        let lock_timeout = SHORT_WAIT.as_millis();
        let text = format!("{OPTIONS} SET LOCK_TIMEOUT {lock_timeout}; {WHO_AM_I}");
        let answer = session
            .language(&text, PATIENCE)
            .await
            .map_err(|error| translate(&error, PHASE))?;
        let Some(row) = answer.first().and_then(|rows| rows.first()) else {
            return Err(DatabaseError::Unavailable {
                phase: PHASE,
                message: "the server did not say which database this is".to_owned(),
            });
        };
        let optional = |column: &str| {
            row.optional_text(column)
                .map(|text| text.unwrap_or_default().to_owned())
        };
        session.server = optional("server_name")?;
        session.database = optional("database_name")?;
        session.principal = (optional("login_name")?, optional("user_name")?);
        session.has_snapshots = row.optional_integer("snapshot_state")? == Some(1);
        Ok(session)
    }

    /// The name of an application lock of this database. SQL Server keeps those of each database apart by itself; on
    /// Babelfish they are one for the whole server.
    pub fn resource(&self, name: &str) -> String {
        format!("{name}:{}", self.database)
    }

    /// A session that was opened in another way.
    #[cfg(test)]
    pub fn of_client(client: Client) -> Self {
        Self {
            client,
            server: "db1".to_owned(),
            database: "shop".to_owned(),
            principal: Default::default(),
            has_snapshots: false,
            broken: false,
            last_used: Instant::now(),
        }
    }

    /// Whether the server and this end agree on what is said next.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// Gives the session up: it is closed with its last user.
    pub fn break_off(&mut self) {
        self.broken = true;
    }

    /// Sends one of dbvc's own texts as a language batch.
    pub async fn language(
        &mut self,
        text: &str,
        patience: Duration,
    ) -> Result<Vec<ResultSet>, DriverError> {
        self.bounded(patience, async |client| {
            collect(client.simple_query(text).await?).await
        })
        .await
    }

    /// Sends one of dbvc's own texts with parameters. `lock_wait`: how long it may wait for locks.
    pub async fn call(
        &mut self,
        text: &str,
        parameters: &[Value],
        lock_wait: Duration,
    ) -> Result<Vec<ResultSet>, DriverError> {
        let bound: Vec<&dyn ToSql> = parameters.iter().map(|value| value as &dyn ToSql).collect();
        self.bounded(lock_wait + PATIENCE, async |client| {
            collect(client.query(text, &bound).await?).await
        })
        .await
    }

    /// Commits.
    pub async fn commit(&mut self) -> Result<(), DriverError> {
        self.bounded(PATIENCE, async |client| client.commit_transaction().await)
            .await
    }

    /// Rolls back. By the protocol and not in T-SQL, which a session in NOEXEC would not execute.
    pub async fn roll_back(&mut self) -> Result<(), DriverError> {
        const NO_TRANSACTION: u32 = 3903;
        let rolled_back = self
            .bounded(PATIENCE, async |client| client.rollback_transaction().await)
            .await;
        match rolled_back {
            Err(error) if error.code() == Some(NO_TRANSACTION) => Ok(()),
            result => result,
        }
    }

    /// Reads a script's batch to its end, however long that takes.
    pub async fn script_batch(&mut self, text: &str) -> Result<(), DriverError> {
        self.marked(async |client| {
            let mut stream = client.simple_query(text).await?;
            while stream.try_next().await?.is_some() {}
            Ok(())
        })
        .await
    }

    /// Tells the server to stop what it does, and waits a little for its word that it has.
    pub async fn cancel(&mut self) {
        let cancelled = tokio::time::timeout(SHORT_WAIT, self.client.cancel_query()).await;
        self.broken = !matches!(cancelled, Ok(Ok(())));
    }

    async fn bounded<T>(
        &mut self,
        patience: Duration,
        request: impl AsyncFnOnce(&mut Client) -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        match tokio::time::timeout(patience, self.marked(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(DriverError::Io {
                kind: std::io::ErrorKind::TimedOut,
                message: format!("the server did not answer within {} s", patience.as_secs()),
            }),
        }
    }

    /// The session counts as broken from the request until its answer is read to the end: should nobody wait for it so
    /// long, the rest of the answer is still to come.
    async fn marked<T>(
        &mut self,
        request: impl AsyncFnOnce(&mut Client) -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        if self.broken {
            return Err(DriverError::Io {
                kind: std::io::ErrorKind::NotConnected,
                message: "the connection was lost before".to_owned(),
            });
        }
        self.broken = true;
        let answer = request(&mut self.client).await;
        self.last_used = Instant::now();
        // What the server refused was read to its end as well. From severity 20 on it hangs up.
        self.broken = match &answer {
            Ok(_) => false,
            Err(DriverError::Server(error)) => error.class() >= 20,
            Err(_) => true,
        };
        answer
    }
}

async fn collect(mut stream: QueryStream<'_>) -> Result<Vec<ResultSet>, DriverError> {
    let mut sets: Vec<ResultSet> = Vec::new();
    let mut columns: Arc<[String]> = Arc::new([]);
    while let Some(item) = stream.try_next().await? {
        match item {
            QueryItem::Metadata(metadata) => {
                columns = metadata
                    .columns()
                    .iter()
                    .map(|column| column.name().to_owned())
                    .collect();
                sets.push(Vec::new());
            }
            QueryItem::Row(row) => {
                let values = row.into_iter().map(to_value).collect();
                if let Some(set) = sets.last_mut() {
                    set.push(Row::new(Arc::clone(&columns), values));
                }
            }
        }
    }
    Ok(sets)
}

/// The number of every error for which Babelfish knows none of SQL Server's.
const NUMBERLESS: u32 = 33_557_097;

/// A driver's error in the words of the seam.
pub(super) fn translate(error: &DriverError, phase: &'static str) -> DatabaseError {
    let message = error.to_string();
    let DriverError::Server(said) = error else {
        return DatabaseError::Unavailable { phase, message };
    };
    match said.code() {
        // A unique constraint or index.
        2601 | 2627 => DatabaseError::Duplicate { message },
        // Waited too long for a lock; chosen as the victim of a deadlock.
        1205 | 1222 => DatabaseError::Busy { phase },
        NUMBERLESS if said.message().contains("lock timeout") => DatabaseError::Busy { phase },
        208 => DatabaseError::NoRegistry { message },
        // The database is read-only, full, offline or being moved; from severity 17 on the server has a problem of its own.
        _ if said.class() >= 17 => DatabaseError::Unavailable { phase, message },
        number => DatabaseError::Refused {
            phase,
            number: Some(number.into()),
            message: said.message().to_owned(),
        },
    }
}

/// Days from the beginning of the year 1, with which the protocol counts, to 1970.
const DAYS_TO_EPOCH: i64 = 719_162;
const MILLIS_A_DAY: i64 = 86_400_000;

impl ToSql for Value {
    fn to_sql(&self) -> ColumnData<'_> {
        match self {
            Self::Null => ColumnData::String(None),
            Self::Integer(number) => ColumnData::I64(Some(*number)),
            Self::Text(text) => ColumnData::String(Some(text.as_str().into())),
            Self::Time(moment) => ColumnData::DateTimeOffset(Some(to_wire(*moment))),
        }
    }
}

fn to_wire(moment: Timestamp) -> DateTimeOffset {
    let millis = moment.as_millis();
    let days = millis.div_euclid(MILLIS_A_DAY) + DAYS_TO_EPOCH;
    let date = Date::new(u32::try_from(days).unwrap_or(0));
    let time = Time::new(millis.rem_euclid(MILLIS_A_DAY).unsigned_abs(), 3);
    DateTimeOffset::new(DateTime2::new(date, time), 0)
}

fn from_wire(moment: DateTime2) -> Timestamp {
    let days = i64::from(moment.date().days()) - DAYS_TO_EPOCH;
    let time = moment.time();
    let a_second = 10_u64.pow(u32::from(time.scale()));
    let millis = time.increments().saturating_mul(1000) / a_second;
    Timestamp::from_millis(days * MILLIS_A_DAY + i64::try_from(millis).unwrap_or(0))
}

fn to_value(data: ColumnData<'_>) -> Value {
    fn or_null<T>(value: Option<T>, into: impl Fn(T) -> Value) -> Value {
        value.map_or(Value::Null, into)
    }
    match data {
        ColumnData::U8(value) => or_null(value, |number| Value::Integer(number.into())),
        ColumnData::I16(value) => or_null(value, |number| Value::Integer(number.into())),
        ColumnData::I32(value) => or_null(value, |number| Value::Integer(number.into())),
        ColumnData::I64(value) => or_null(value, Value::Integer),
        ColumnData::Bit(value) => or_null(value, |flag| Value::Integer(flag.into())),
        ColumnData::String(value) => or_null(value, |text| Value::Text(text.into_owned())),
        // In both the date and time are UTC: the offset only says how it was written.
        ColumnData::DateTimeOffset(value) => or_null(value, |moment| {
            Value::Text(from_wire(moment.datetime2()).to_string())
        }),
        ColumnData::DateTime2(value) => {
            or_null(value, |moment| Value::Text(from_wire(moment).to_string()))
        }
        ColumnData::F32(value) => or_null(value, |number| Value::Text(number.to_string())),
        ColumnData::F64(value) => or_null(value, |number| Value::Text(number.to_string())),
        ColumnData::Guid(value) => or_null(value, |id| Value::Text(id.to_string())),
        ColumnData::Numeric(value) => or_null(value, |number| Value::Text(number.to_string())),
        // Of no use to dbvc, which asks for none of these.
        ColumnData::Binary(_)
        | ColumnData::Xml(_)
        | ColumnData::DateTime(_)
        | ColumnData::SmallDateTime(_)
        | ColumnData::Time(_)
        | ColumnData::Date(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_survive_the_wire_to_the_millisecond() {
        for text in [
            "0001-01-01T00:00:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00.000Z",
            "2026-11-25T16:20:30.125Z",
            "9999-12-30T21:59:59.999Z",
        ] {
            let moment: Timestamp = text.parse().unwrap();
            assert_eq!(from_wire(to_wire(moment).datetime2()).to_string(), text);
        }
    }

    #[test]
    fn a_finer_clock_is_cut_to_milliseconds() {
        let noon = DateTime2::new(Date::new(719_162), Time::new(432_001_239_999, 7));
        assert_eq!(from_wire(noon).to_string(), "1970-01-01T12:00:00.123Z");
    }
}
