//! A managed database behind one async, connection-oriented seam.
//!
//! An engine implements [`Database`] and [`Connection`]; nothing of its driver is seen outside its folder.

pub mod cosmos;
pub mod dialect;
pub mod identity;
pub mod outcome;
mod place;
pub mod reference;
pub mod registry_schema;
pub mod secrets;
pub mod sql_server;
pub mod sqlite;
pub mod value;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use dialect::{Dialect, Sql, Statement};
pub use outcome::{BatchReport, BatchText, ScriptEnd, ScriptReport, ServerError, ServerMessage};
pub use place::Place;
pub use registry_schema::RegistrySchema;
pub use value::{ColumnError, Row, Value};

use crate::schema::Schema;
use crate::script::EngineKind;

/// How long dbvc's own short writes wait for each other. They take milliseconds; who holds a database longer than this is
/// running a script, and the caller is told that the database is locked.
pub const SHORT_WAIT: Duration = Duration::from_secs(5);

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only: creates nothing, and every [`Connection::exchange`] sees one state of the database, where the engine
    /// can give one (on SQL Server: where the database allows snapshot isolation).
    Read,
    /// Reading and writing; a SQLite file is created when it is missing.
    Write,
}

/// How a script relates to dbvc's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptMode {
    /// The script runs in the transaction that dbvc opened, and must neither end it nor open another.
    InTransaction,
    /// The script's statements commit one by one; what it begins it must end within the same batch.
    WithoutTransaction,
    /// As in a transaction, and the script is dbvc's own: the only kind that may change dbvc's own tables.
    Own,
}

/// Why a database did not do what dbvc asked. Errors of a team's script are no `DatabaseError`: see [`ScriptReport`].
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Somebody else holds the lock that was needed, longer than the time allowed for waiting.
    #[error("the database is locked by another writer while {phase}")]
    Busy {
        /// What dbvc was doing.
        phase: &'static str,
    },
    /// The database does not exist (yet); only reading meets it.
    #[error("the database does not exist yet")]
    Absent,
    /// The account has no such database.
    #[error("the account has no database {name}")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A table that the statement names does not exist: this database has no registry yet.
    #[error("the database has no registry yet: {message}")]
    NoRegistry {
        /// The server's words.
        message: String,
    },
    /// There is no registry, and objects of the application bear the names of its tables.
    #[error("objects of the application bear names of dbvc's own tables: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NamesTaken(Vec<TakenName>),
    /// The registry is in another schema than the settings say.
    #[error("the registry is in the schema {schema}")]
    RegistryInSchema {
        /// That schema.
        schema: String,
    },
    /// The database cannot be reached, is damaged, or has no room left.
    #[error("the database cannot be used while {phase}: {message}")]
    Unavailable {
        /// What dbvc was doing.
        phase: &'static str,
        /// The driver's words; for the log, not for callers.
        message: String,
    },
    /// COMMIT was refused and the transaction is rolled back.
    #[error("the database refused to commit: {message}")]
    CommitRefused {
        /// The server's error number.
        number: i64,
        /// The server's words.
        message: String,
    },
    /// An answer did not have the shape that dbvc expects: the table was made by something else.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A row with the same key is there: somebody else added it between dbvc's look and its write. The transaction is
    /// rolled back.
    #[error("another writer added the same at the same time: {message}")]
    Duplicate {
        /// The server's words.
        message: String,
    },
    /// A script left the transaction or the session in a state in which its record cannot be written into it.
    #[error("the script cannot be recorded: {0}")]
    ScriptLeft(Leftover),
    /// The server refused one of dbvc's own statements.
    #[error("the database refused a statement of dbvc while {phase}: {message}{}", in_brackets(*.number))]
    Refused {
        /// What dbvc was doing.
        phase: &'static str,
        /// The server's error number; none when dbvc itself did not accept an answer.
        number: Option<i64>,
        /// The server's words.
        message: String,
    },
}

fn in_brackets(number: Option<i64>) -> String {
    number.map_or_else(String::new, |number| format!(" (error {number})"))
}

/// An object of the application with a name that dbvc's own tables need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenName {
    /// Its name, on SQL Server with its schema.
    pub name: String,
    /// `table`, `view`, `index`, …
    pub kind: &'static str,
}

impl std::fmt::Display for TakenName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} ({})", self.name, self.kind)
    }
}

/// Dbvc's own tables, as a connection must know them.
#[derive(Debug, Clone, Copy)]
pub struct OwnTables {
    /// Their names.
    pub names: &'static [&'static str],
    /// Reads from the catalog which objects bear these names.
    pub catalog: fn() -> Statement,
    /// The error that the rows of `catalog` show to be behind another one.
    pub explain: fn(DatabaseError, &[Row]) -> DatabaseError,
}

impl OwnTables {
    /// Whether the catalog may have more to say about an error.
    fn may_explain(error: &DatabaseError) -> bool {
        matches!(
            error,
            DatabaseError::Refused { .. } | DatabaseError::NoRegistry { .. }
        )
    }
}

/// What a script left behind that keeps its record from being written in the same transaction. SQLite refuses the
/// statements that would do so before they run; on SQL Server it shows only afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Leftover {
    /// The transaction is over: the script committed or rolled it back, so that a part of it may be there for good.
    #[error(
        "the script ended dbvc's transaction itself, and nobody knows what of it was committed; take its COMMIT and ROLLBACK \
         out, or begin the script with `-- dbvc: transaction=off`"
    )]
    EndedTransaction,
    /// The server only allows the transaction to be rolled back.
    #[error(
        "an error that the script caught itself (TRY … CATCH) left its transaction in a state in which the server can only \
         roll it back; let the error through"
    )]
    DoomedTransaction,
    /// The script began a transaction of its own and did not end it.
    #[error("the script left a transaction open that it began; add the missing COMMIT")]
    OpenTransaction,
    /// The session is in another database.
    #[error("the script ended in another database, into which it went by USE; go back at its end")]
    OtherDatabase,
    /// The session acts as somebody else.
    #[error(
        "the script ended as another principal, which it became by EXECUTE AS; add REVERT at its end"
    )]
    OtherPrincipal,
}

/// The answer to one statement of an exchange.
#[derive(Debug, Default)]
pub struct Reply {
    /// The rows of a SELECT.
    pub rows: Vec<Row>,
    /// How many rows an INSERT, UPDATE or DELETE changed.
    pub affected: u64,
}

/// What hears of a script's batches while they run, and may ask the script to stop.
///
/// Called on the thread that runs the batches, so it must not block.
pub trait BatchObserver: Send + Sync {
    /// A batch has ended well.
    fn ended(&self, report: &BatchReport);
    /// Whether the script should end before its next batch.
    fn stop_requested(&self) -> bool;
}

/// Hears nothing and stops nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl BatchObserver for Unobserved {
    fn ended(&self, _report: &BatchReport) {}

    fn stop_requested(&self) -> bool {
        false
    }
}

/// A database that dbvc manages.
#[async_trait]
pub trait Database: Debug + Send + Sync {
    /// The engine that runs this database.
    fn engine(&self) -> EngineKind;

    /// Whether scripts may change what holds the data. Cosmos DB lets nobody change containers without the account's key; on
    /// SQL the server says what a login may do.
    fn has_key(&self) -> bool {
        true
    }

    /// Where it stands. A server and an account are asked when they have not said it yet.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, or the reference to the account leads nowhere.
    async fn place(&self) -> Result<Place, DatabaseError>;

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Absent`] when reading a database that does not exist, [`DatabaseError::Busy`] and
    /// [`DatabaseError::Unavailable`].
    async fn open(&self, access: Access) -> Result<Box<dyn Connection>, DatabaseError>;
}

/// One connection to a managed database. Registry statements and script batches sent on it share its transaction.
#[async_trait]
pub trait Connection: Send {
    /// Sends registry statements in one round trip and gives the answer to each.
    ///
    /// Outside a transaction each statement stands for itself; on a connection opened for reading they see one state. After
    /// [`Connection::run_batches`] in a transaction nothing is sent when the script left the transaction or the session in a
    /// state in which it could not be recorded; without statements only that is looked at.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::ScriptLeft`], and those of the server.
    async fn exchange(&mut self, statements: &[Statement]) -> Result<Vec<Reply>, DatabaseError>;

    /// Keeps off every other instance that asks for the same name, waiting at most `wait` for it, until
    /// [`Connection::admit_others`] or the end of the connection; not in a transaction. Who waits too long gets
    /// [`DatabaseError::Busy`].
    ///
    /// On SQLite the write transaction does this, so that there is nothing to do.
    async fn exclude_others(&mut self, _name: &str, _wait: Duration) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Undoes [`Connection::exclude_others`].
    async fn admit_others(&mut self, _name: &str) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Begins a write transaction, waiting at most `wait` for other writers.
    ///
    /// On SQLite this excludes every other writer until the transaction ends: the open transaction is the lease.
    async fn begin(&mut self, wait: Duration) -> Result<(), DatabaseError>;

    /// Commits.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::CommitRefused`] when the transaction is known to be rolled back.
    async fn commit(&mut self) -> Result<(), DatabaseError>;

    /// Rolls back; without an open transaction it does nothing.
    async fn rollback(&mut self) -> Result<(), DatabaseError>;

    /// Whether the connection still stands. When it was lost in a transaction, how that ended is known only once another
    /// connection has seen the server's end of this one go.
    fn is_usable(&self) -> bool {
        true
    }

    /// Runs batches in order until one fails, the observer asks to stop, or all are done.
    ///
    /// Afterwards the connection's settings are as dbvc needs them, whatever the script did to them. Never fails itself:
    /// what goes wrong is in the report.
    async fn run_batches(
        &mut self,
        batches: Arc<[BatchText]>,
        mode: ScriptMode,
        observer: Arc<dyn BatchObserver>,
    ) -> ScriptReport;

    /// How many rows lack the row that a foreign key of theirs names. A trial that is never committed asks for it, where the
    /// engine looks at some keys only at COMMIT; an engine that looks at all of them at once has nothing to count. None
    /// when they cannot be counted.
    async fn orphaned_rows(&mut self) -> Result<Option<u64>, DatabaseError> {
        Ok(None)
    }

    /// Reads the whole schema by a fixed number of queries, dbvc's own tables included.
    async fn read_schema(&mut self) -> Result<Schema, DatabaseError>;
}

/// The one answer of an exchange of one statement.
pub async fn ask(
    connection: &mut dyn Connection,
    statement: Statement,
) -> Result<Reply, DatabaseError> {
    let mut replies = connection.exchange(&[statement]).await?;
    Ok(replies.pop().unwrap_or_default())
}
