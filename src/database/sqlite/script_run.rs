//! Running a team's batches on SQLite: statement by statement, with row counts, and errors with their place in the file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Batch, Connection};

use super::super::{
    BatchObserver, BatchReport, BatchText, DatabaseError, ScriptEnd, ScriptMode, ScriptReport,
    ServerError,
};

/// How many steps of SQLite's virtual machine pass between two looks at the clock: some tens of microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Settings that belong to the whole process, so that a script would change them for every other database too.
const OF_THE_PROCESS: [&str; 5] = [
    "hard_heap_limit",
    "soft_heap_limit",
    "temp_store_directory",
    "data_store_directory",
    // Would keep the heartbeat out, and with it whoever looks whether the run is alive.
    "locking_mode",
];

/// Settings that would keep dbvc from writing its records in the script's transaction, or from reading them, and the
/// values with which it can.
const AS_RECORDS_NEED_THEM: [(&str, i64); 7] = [
    ("query_only", 0),
    ("writable_schema", 0),
    ("ignore_check_constraints", 0),
    ("count_changes", 0),
    ("full_column_names", 0),
    ("short_column_names", 1),
    // SQLite's own default.
    ("max_page_count", 0xffff_fffe),
];

/// What SQLite asks about every statement of a script before it is compiled: the only way to know, without a parser of one's
/// own, that a statement would end dbvc's transaction or touch another file.
///
/// It stays on the connection, because putting it there has SQLite compile every kept statement anew.
#[derive(Clone, Default)]
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
}

/// What was seen of the script that is running.
#[derive(Default)]
struct Seen {
    /// How the script runs; none while dbvc's own statements do.
    mode: Option<ScriptMode>,
    /// Why the last statement was refused.
    refusal: Option<String>,
    /// Whether a statement changed the connection itself: a PRAGMA or a temporary object.
    soiled: bool,
}

impl Watch {
    /// Has the connection ask; `own_tables` are for no script but dbvc's own.
    pub fn install(
        &self,
        connection: &mut Connection,
        own_tables: &'static [&'static str],
    ) -> rusqlite::Result<()> {
        let watch = self.clone();
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            watch.with(|seen| match seen.mode {
                None => Authorization::Allow,
                Some(mode) => {
                    // VACUUM copies every table into a database of its own; a script has none but these two.
                    let own_tables = match context.database_name {
                        Some("main" | "temp") | None => own_tables,
                        Some(_) => &[],
                    };
                    seen.judge(mode, own_tables, context.action)
                }
            })
        }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Seen) -> T) -> T {
        work(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, mode: ScriptMode) {
        self.with(|seen| {
            *seen = Seen {
                mode: Some(mode),
                ..Seen::default()
            };
        });
    }

    /// Ends the watch; says whether the script may have changed the connection itself.
    fn end(&self) -> bool {
        self.with(|seen| {
            seen.mode = None;
            seen.soiled
        })
    }
}

/// The table that an action writes to or changes.
fn changed_table<'a>(action: &AuthAction<'a>) -> Option<&'a str> {
    match action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
        | AuthAction::AlterTable { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateTempTrigger { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. } => Some(table_name),
        _ => None,
    }
}

impl Seen {
    fn judge(
        &mut self,
        mode: ScriptMode,
        own_tables: &[&str],
        action: AuthAction<'_>,
    ) -> Authorization {
        let is_own = |table: &str| own_tables.iter().any(|own| own.eq_ignore_ascii_case(table));
        let refusal = match action {
            _ if mode != ScriptMode::Own && changed_table(&action).is_some_and(is_own) => Some(
                "a script may not change dbvc's own tables: what they say is what decides whether a script has run",
            ),
            AuthAction::Transaction { .. } if mode != ScriptMode::WithoutTransaction => Some(
                "the script ends or begins a transaction itself, but dbvc runs it in one of its own; take BEGIN, COMMIT \
                 and ROLLBACK out, or begin the script with `-- dbvc: transaction=off`",
            ),
            // VACUUM attaches a nameless temporary database by itself.
            AuthAction::Attach { filename } if !filename.is_empty() => Some(
                "a script may not attach another database file; give that database a folder of its own",
            ),
            AuthAction::Pragma {
                pragma_name,
                pragma_value: Some(_),
            } if OF_THE_PROCESS
                .iter()
                .any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
            {
                Some(
                    "this setting reaches beyond the script, to the whole process or to others who use the database; take it out",
                )
            }
            AuthAction::Pragma { pragma_value, .. } => {
                self.soiled |= pragma_value.is_some();
                None
            }
            AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempView { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempIndex { .. } => {
                self.soiled = true;
                None
            }
            _ => None,
        };
        match refusal {
            Some(text) => {
                self.refusal = Some(text.to_owned());
                Authorization::Deny
            }
            None => Authorization::Allow,
        }
    }
}

/// Interrupts a statement that takes too long.
struct StatementTimer {
    limit: Duration,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl StatementTimer {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Arc::default(),
        }
    }

    fn install(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let deadline = Arc::clone(&self.deadline);
        connection.progress_handler(
            STEPS_BETWEEN_LOOKS,
            Some(move || {
                deadline
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_some_and(|deadline| Instant::now() >= deadline)
            }),
        )
    }

    fn start(&self) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Instant::now() + self.limit);
    }

    fn stop(&self) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Runs the batches. The second value says whether the connection's own settings may have been changed.
pub(super) fn run(
    connection: &mut Connection,
    watch: &Watch,
    batches: &[BatchText],
    mode: ScriptMode,
    observer: &dyn BatchObserver,
    timeout: Option<Duration>,
) -> (ScriptReport, bool) {
    let timer = timeout.map(StatementTimer::new);
    let timing = match &timer {
        Some(timer) => timer.install(connection),
        None => Ok(()),
    };
    let mut report = ScriptReport {
        batches: Vec::with_capacity(batches.len()),
        end: ScriptEnd::Completed,
    };
    if let Err(error) = timing {
        report.end = failed_before(&error.to_string());
        return (report, true);
    }
    watch.begin(mode);
    for batch in batches {
        if observer.stop_requested() {
            report.end = ScriptEnd::Stopped;
            break;
        }
        let begun = Instant::now();
        let mut rows_affected = 0;
        let mut failure = None;
        for round in 0..batch.count {
            if round > 0 && observer.stop_requested() {
                report.end = ScriptEnd::Stopped;
                break;
            }
            match run_once(connection, batch, mode, watch, timer.as_ref()) {
                Ok(rows) => rows_affected += rows,
                Err(end) => {
                    failure = Some((end, round));
                    break;
                }
            }
        }
        let batch_report = BatchReport {
            index: batch.index,
            line: batch.line,
            count: batch.count,
            rows_affected,
            duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            messages: Vec::new(),
        };
        if let Some((failure, round)) = failure {
            report.end = ScriptEnd::Failed {
                errors: vec![failure.error],
                left_nothing: failure.statements_done == 0 && round == 0,
            };
            report.batches.push(batch_report);
            break;
        }
        if report.end == ScriptEnd::Completed {
            observer.ended(&batch_report);
        }
        report.batches.push(batch_report);
        if report.end == ScriptEnd::Stopped {
            break;
        }
    }
    let (soiled, restored) = restore(connection, mode, watch, timer.is_some());
    // Without a transaction the records come on a new connection, which knows nothing of this one's temporary objects.
    if let Err(message) = restored
        && mode != ScriptMode::WithoutTransaction
        && report.end == ScriptEnd::Completed
    {
        report.end = failed_before(&message);
    }
    (report, soiled)
}

/// The report of a script that broke off within dbvc itself: what it left is not known.
pub(super) fn broken_off(error: &DatabaseError) -> ScriptReport {
    let mut end = failed_before(&error.to_string());
    if let ScriptEnd::Failed { left_nothing, .. } = &mut end {
        *left_nothing = false;
    }
    ScriptReport {
        batches: Vec::new(),
        end,
    }
}

fn failed_before(message: &str) -> ScriptEnd {
    ScriptEnd::Failed {
        errors: vec![ServerError {
            number: 1,
            severity: Some(16),
            state: Some(1),
            line: None,
            batch: None,
            procedure: None,
            message: message.to_owned(),
        }],
        left_nothing: true,
    }
}

/// Ends the watch and undoes what would come between dbvc and its records in the same transaction: settings, and temporary
/// objects, which hide the tables of their names. Says whether the connection should not be used for another script, and why
/// not everything could be undone.
fn restore(
    connection: &mut Connection,
    mode: ScriptMode,
    watch: &Watch,
    timed: bool,
) -> (bool, Result<(), String>) {
    let mut soiled = watch.end();
    if timed {
        soiled |= connection
            .progress_handler(0, None::<fn() -> bool>)
            .is_err();
    }
    if mode == ScriptMode::WithoutTransaction {
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
        // The session is the script's own, and what a batch sets is for the next one.
        return (soiled, Ok(()));
    }
    if !soiled {
        return (false, Ok(()));
    }
    for (pragma, value) in AS_RECORDS_NEED_THEM {
        // What cannot be set here ends with the connection, which is thrown away before the next transaction.
        let _ = connection.pragma_update(None, pragma, value);
    }
    let dropped = drop_temporary_objects(connection).map_err(|error| {
        format!(
            "the temporary objects of the script could not be dropped: {error}; drop them at its end"
        )
    });
    (true, dropped)
}

fn drop_temporary_objects(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = temporary_objects(connection)?;
    while !left.is_empty() {
        let mut problem = None;
        for (kind, name) in &left {
            let quoted = name.replace('"', "\"\"");
            if let Err(error) = connection.execute_batch(&format!("DROP {kind} temp.\"{quoted}\""))
            {
                problem = Some(error);
            }
        }
        let still = temporary_objects(connection)?;
        // A table that others refer to goes after them.
        match problem {
            Some(error) if still.len() == left.len() => return Err(error),
            _ => left = still,
        }
    }
    Ok(())
}

/// Kind and name of each; indexes go with their tables. Triggers and views come first.
fn temporary_objects(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    connection
        .prepare(
            "SELECT upper(type), name FROM temp.sqlite_schema WHERE type IN ('trigger', 'view', 'table') \
             AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY type = 'table', type = 'view'",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

struct Failure {
    error: ServerError,
    statements_done: u32,
}

fn run_once(
    connection: &Connection,
    batch: &BatchText,
    mode: ScriptMode,
    watch: &Watch,
    timer: Option<&StatementTimer>,
) -> Result<u64, Failure> {
    // SQLite copies all that follows a statement before it compiles it, unless the text ends with a NUL: a batch of
    // megabytes would take time in the square of its length.
    let text = format!("{}\0", batch.text);
    let mut statements = Batch::new(connection, &text);
    // Where the statement that is running begins in the batch, in bytes.
    let mut position = 0;
    let mut statements_done = 0;
    let mut rows_affected = 0;
    loop {
        let fail = |message: Option<String>, error: Option<&rusqlite::Error>, at: usize| {
            let number = error
                .and_then(rusqlite::Error::sqlite_error)
                .map_or(1, |code| i64::from(code.extended_code));
            let refusal = watch.with(|seen| seen.refusal.take());
            let message = refusal
                .or(message)
                .or_else(|| error.map(words))
                .unwrap_or_default();
            Failure {
                error: ServerError {
                    number,
                    severity: Some(16),
                    state: Some(1),
                    line: Some(batch.file_line(line_of(&batch.text, at))),
                    batch: Some(batch.index),
                    procedure: None,
                    message,
                },
                statements_done,
            }
        };
        let mut statement = match statements.next() {
            Ok(Some(statement)) => statement,
            Ok(None) => break,
            Err(error) => {
                let at = match &error {
                    rusqlite::Error::SqlInputError { sql, offset, .. } => {
                        let rest = text.len().saturating_sub(sql.len());
                        match usize::try_from(*offset) {
                            Ok(offset) => rest + offset,
                            // SQLite does not know the token: the statement's first one stands for it.
                            Err(_) => rest + leading_trivia(&batch.text[rest..]),
                        }
                    }
                    _ => position + leading_trivia(&batch.text[position..]),
                };
                return Err(fail(None, Some(&error), at));
            }
        };
        let text = statement.expanded_sql().unwrap_or_default();
        if let Some(found) = batch.text[position..].find(text.as_str()) {
            position += found;
        }
        let first_token = position + leading_trivia(&batch.text[position..]);
        if statement.parameter_count() > 0 {
            let name = statement.parameter_name(1).unwrap_or("?").to_owned();
            return Err(fail(
                Some(format!(
                    "the script holds the parameter `{name}`, and nothing gives it a value; write the value"
                )),
                None,
                first_token,
            ));
        }
        if let Some(timer) = timer {
            timer.start();
        }
        let changed_before = connection.total_changes();
        let result = drain(&mut statement);
        if let Some(timer) = timer {
            timer.stop();
        }
        if let Err(error) = result {
            // Nothing else interrupts a statement.
            let timed_out =
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted);
            let message = timed_out.then(|| {
                "the statement took longer than DBVC_STATEMENT_TIMEOUT allows and was interrupted".to_owned()
            });
            let mut failure = fail(message, Some(&error), first_token);
            // ON CONFLICT FAIL and RAISE(FAIL) keep the rows that the statement changed before.
            failure.statements_done += u32::from(connection.total_changes() != changed_before);
            return Err(failure);
        }
        // SQLite keeps the last count after a statement that changes nothing.
        if connection.total_changes() != changed_before {
            rows_affected += connection.changes();
        }
        position += text.len();
        statements_done += 1;
    }
    let transaction_open = !connection.is_autocommit();
    let complaint = match mode {
        ScriptMode::InTransaction | ScriptMode::Own if !transaction_open => Some(
            "the script ended dbvc's transaction (an ON CONFLICT ROLLBACK or RAISE(ROLLBACK) does that)",
        ),
        ScriptMode::WithoutTransaction if transaction_open => Some(
            "the batch left a transaction open; end it in the batch in which it begins. It was rolled back",
        ),
        _ => None,
    };
    if let Some(complaint) = complaint {
        return Err(Failure {
            error: ServerError {
                number: 1,
                severity: Some(16),
                state: Some(1),
                line: Some(batch.line),
                batch: Some(batch.index),
                procedure: None,
                message: complaint.to_owned(),
            },
            statements_done,
        });
    }
    Ok(rows_affected)
}

/// Steps through all rows: an error may lie behind the first of them.
fn drain(statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()> {
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. }
        | rusqlite::Error::SqliteFailure(_, Some(msg)) => with_remedy(msg),
        other => other.to_string(),
    }
}

/// SQLite's words, with the directive to add where a statement cannot run in a transaction.
fn with_remedy(message: &str) -> String {
    if message.contains("within a transaction") || message.contains("from within a transaction") {
        format!("{message}; begin the script with `-- dbvc: transaction=off`")
    } else {
        message.to_owned()
    }
}

fn line_of(text: &str, at: usize) -> u32 {
    let before = &text.as_bytes()[..at.min(text.len())];
    let mut lines = 1_u32;
    for (index, byte) in before.iter().enumerate() {
        let ends_line = *byte == b'\n' || (*byte == b'\r' && before.get(index + 1) != Some(&b'\n'));
        lines = lines.saturating_add(u32::from(ends_line));
    }
    lines
}

/// How many bytes of blanks, comments and semicolons stand before the first token.
fn leading_trivia(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() || bytes[at] == b';' {
            at += 1;
        } else if bytes[at..].starts_with(b"--") {
            at += bytes[at..]
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(bytes.len() - at);
        } else if bytes[at..].starts_with(b"/*") {
            match text[at + 2..].find("*/") {
                Some(length) => at += length + 4,
                None => return bytes.len(),
            }
        } else {
            break;
        }
    }
    at
}
