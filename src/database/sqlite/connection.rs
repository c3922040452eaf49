//! A connection to a SQLite file, its blocking calls moved off the async threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, ToSql};

use super::super::{
    Access, BatchObserver, BatchText, Connection, DatabaseError, Dialect, OwnTables, Reply, Row,
    SHORT_WAIT, ScriptMode, ScriptReport, Statement, Value,
};
use super::script_run::{self, Watch};
use super::{SqliteDatabase, introspection};
use crate::schema::Schema;

/// Pause between two tries to switch a file to WAL.
const BETWEEN_SWITCHES: Duration = Duration::from_millis(2);

/// Four times SQLite's default: a run of many scripts copies its pages into the database a few times, not after every fifty.
const PAGES_BETWEEN_CHECKPOINTS: u32 = 4000;

/// A connection to a SQLite file.
pub struct SqliteConnection {
    database: SqliteDatabase,
    access: Access,
    state: Arc<Mutex<State>>,
}

struct State {
    connection: rusqlite::Connection,
    /// What scripts do on it.
    watch: Watch,
    /// Whether a script changed settings or made temporary objects: the next transaction starts on a new connection.
    soiled: bool,
}

impl SqliteConnection {
    /// Opens the file; for writing, it and its folder are made when they are missing.
    ///
    /// # Errors
    ///
    /// [`DatabaseError::Absent`] when reading a file that does not exist, else [`DatabaseError::Unavailable`] or
    /// [`DatabaseError::Busy`].
    pub async fn open(database: &SqliteDatabase, access: Access) -> Result<Self, DatabaseError> {
        let opened = database.clone();
        let (connection, watch) = blocking(move || open_file(&opened, access)).await?;
        Ok(Self {
            database: database.clone(),
            access,
            state: Arc::new(Mutex::new(State {
                connection,
                watch,
                soiled: false,
            })),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let state = Arc::clone(&self.state);
        blocking(move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(DatabaseError::Unavailable {
            phase: "working on the file",
            message: error.to_string(),
        }),
    }
}

fn open_file(
    database: &SqliteDatabase,
    access: Access,
) -> Result<(rusqlite::Connection, Watch), DatabaseError> {
    const PHASE: &str = "opening the file";
    let path = database.path.as_path();
    let flags = match access {
        Access::Read => {
            if !path.exists() {
                return Err(DatabaseError::Absent);
            }
            OpenFlags::SQLITE_OPEN_READ_WRITE
        }
        Access::Write => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| DatabaseError::Unavailable {
                    phase: PHASE,
                    message: error.to_string(),
                })?;
            }
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        }
    };
    let open = || -> rusqlite::Result<(rusqlite::Connection, Watch)> {
        let mut connection =
            rusqlite::Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(SHORT_WAIT)?;
        if access == Access::Write {
            // WAL lets readers read while a script's transaction is open. FULL: what COMMIT reported survives power loss.
            use_wal(&connection)?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "wal_autocheckpoint", PAGES_BETWEEN_CHECKPOINTS)?;
        } else {
            connection.pragma_update(None, "query_only", true)?;
        }
        // SQL Server always enforces foreign keys; SQLite only when told to.
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        let watch = Watch::default();
        let own_tables = database.own_tables.map_or(&[][..], |own| own.names);
        watch.install(&mut connection, own_tables)?;
        Ok((connection, watch))
    };
    open().map_err(|error| translate(error, PHASE))
}

/// Switches the file to WAL, where it stays. Two that do this to a new file at once would wait for each other, so that
/// SQLite refuses one of them at once, whatever its busy timeout: that one asks again.
fn use_wal(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < SHORT_WAIT =>
            {
                std::thread::sleep(BETWEEN_SWITCHES);
            }
            switched => return switched,
        }
    }
}

/// A driver's error in the words of the seam.
pub(super) fn translate(error: rusqlite::Error, phase: &'static str) -> DatabaseError {
    let message = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) if message.starts_with("UNIQUE constraint failed") => {
            DatabaseError::Duplicate { message }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Busy { phase },
        // A statement that SQLite could not compile: with dbvc's own statements that is a table that is not there yet.
        Some(ErrorCode::Unknown) if message.contains("no such table") => {
            DatabaseError::NoRegistry { message }
        }
        Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
        | None => DatabaseError::Refused {
            phase,
            number: error
                .sqlite_error()
                .map(|code| i64::from(code.extended_code)),
            message,
        },
        Some(_) => DatabaseError::Unavailable { phase, message },
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Time(moment) => moment.to_string().into(),
        })
    }
}

fn read_value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
    }
}

fn answer(connection: &rusqlite::Connection, statement: &Statement) -> rusqlite::Result<Reply> {
    let text = Dialect::Sqlite.render(statement.template);
    let mut prepared = connection.prepare_cached(&text)?;
    for (position, value) in statement.parameters.iter().enumerate() {
        // By name: SQLite numbers `@P2` by its first appearance, not by its digit.
        if let Some(index) = prepared.parameter_index(&format!("@P{}", position + 1))? {
            prepared.raw_bind_parameter(index, value)?;
        }
    }
    if prepared.column_count() == 0 {
        return Ok(Reply {
            affected: prepared.raw_execute()? as u64,
            rows: Vec::new(),
        });
    }
    let columns: Arc<[String]> = prepared.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut cursor = prepared.raw_query();
    while let Some(row) = cursor.next()? {
        let values = (0..columns.len())
            .map(|index| row.get_ref(index).map(read_value))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        rows.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(Reply { rows, affected: 0 })
}

/// Why one of dbvc's own statements was refused: perhaps only tables of the application bear the names of its tables. In a
/// transaction the registry is known to be there.
fn explain(
    error: DatabaseError,
    connection: &rusqlite::Connection,
    own_tables: Option<OwnTables>,
) -> DatabaseError {
    let own_tables = match own_tables {
        Some(own_tables) if connection.is_autocommit() && OwnTables::may_explain(&error) => {
            own_tables
        }
        _ => return error,
    };
    match answer(connection, &(own_tables.catalog)()) {
        Ok(catalog) => (own_tables.explain)(error, &catalog.rows),
        Err(_) => error,
    }
}

#[async_trait]
impl Connection for SqliteConnection {
    async fn exchange(&mut self, statements: &[Statement]) -> Result<Vec<Reply>, DatabaseError> {
        let statements = statements.to_vec();
        let one_state = self.access == Access::Read && statements.len() > 1;
        let own_tables = self.database.own_tables;
        self.with(move |state| {
            let connection = &state.connection;
            let all = || -> rusqlite::Result<Vec<Reply>> {
                if one_state && connection.is_autocommit() {
                    let reading = connection.unchecked_transaction()?;
                    let replies = statements
                        .iter()
                        .map(|statement| answer(&reading, statement))
                        .collect();
                    reading.finish()?;
                    replies
                } else {
                    statements
                        .iter()
                        .map(|statement| answer(connection, statement))
                        .collect()
                }
            };
            all().map_err(|error| {
                let error = translate(error, "exchanging registry statements");
                explain(error, connection, own_tables)
            })
        })
        .await
    }

    async fn begin(&mut self, wait: Duration) -> Result<(), DatabaseError> {
        let (database, access) = (self.database.clone(), self.access);
        self.with(move |state| {
            if state.soiled {
                (state.connection, state.watch) = open_file(&database, access)?;
                state.soiled = false;
            }
            let begin = || -> rusqlite::Result<()> {
                state.connection.busy_timeout(wait)?;
                let begun = state.connection.execute_batch("BEGIN IMMEDIATE");
                state.connection.busy_timeout(SHORT_WAIT)?;
                begun
            };
            begin().map_err(|error| translate(error, "beginning a transaction"))
        })
        .await
    }

    async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.with(|state| {
            let Err(error) = state.connection.execute_batch("COMMIT") else {
                return Ok(());
            };
            // A COMMIT that SQLite refuses (a deferred foreign key, no room on the disk) leaves the transaction open or has
            // rolled it back by itself; either way nothing of it may remain.
            if !state.connection.is_autocommit() {
                state
                    .connection
                    .execute_batch("ROLLBACK")
                    .map_err(|error| translate(error, "rolling back a refused commit"))?;
            }
            Err(DatabaseError::CommitRefused {
                number: error
                    .sqlite_error()
                    .map_or(1, |code| i64::from(code.extended_code)),
                message: error.to_string(),
            })
        })
        .await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.with(|state| {
            if state.connection.is_autocommit() {
                return Ok(());
            }
            state
                .connection
                .execute_batch("ROLLBACK")
                .map_err(|error| translate(error, "rolling back"))
        })
        .await
    }

    async fn run_batches(
        &mut self,
        batches: Arc<[BatchText]>,
        mode: ScriptMode,
        observer: Arc<dyn BatchObserver>,
    ) -> ScriptReport {
        let timeout = self.database.statement_timeout;
        let outcome = self
            .with(move |state| {
                let (report, soiled) = script_run::run(
                    &mut state.connection,
                    &state.watch,
                    &batches,
                    mode,
                    observer.as_ref(),
                    timeout,
                );
                state.soiled |= soiled;
                Ok(report)
            })
            .await;
        outcome.unwrap_or_else(|error| script_run::broken_off(&error))
    }

    async fn orphaned_rows(&mut self) -> Result<Option<u64>, DatabaseError> {
        self.with(|state| {
            // A key whose parent columns are not unique cannot be looked at, which SQLite says only then.
            Ok(state
                .connection
                .query_row("SELECT COUNT(*) FROM pragma_foreign_key_check", [], |row| {
                    row.get::<_, i64>(0)
                })
                .ok()
                .and_then(|rows| u64::try_from(rows).ok()))
        })
        .await
    }

    async fn read_schema(&mut self) -> Result<Schema, DatabaseError> {
        self.with(|state| {
            let connection = &state.connection;
            let read = || -> rusqlite::Result<Schema> {
                if connection.is_autocommit() {
                    // All catalogue queries see one state, whatever others commit meanwhile.
                    let reading = connection.unchecked_transaction()?;
                    let schema = introspection::read_schema(&reading);
                    reading.finish()?;
                    schema
                } else {
                    introspection::read_schema(connection)
                }
            };
            read().map_err(|error| translate(error, "reading the schema"))
        })
        .await
    }
}
