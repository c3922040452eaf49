//! Running a team's batches on a server: as language batches, read to their end, with everything that the server said.

use std::time::{Duration, Instant};

use tiberius::error::{Error as DriverError, TokenError};

use super::super::{
    BatchObserver, BatchReport, BatchText, DatabaseError, Leftover, ScriptEnd, ScriptMode,
    ScriptReport, ServerError, ServerMessage,
};
use super::session::Session;
use super::transcript::{Said, listen, rows_affected};
use crate::script::{Syntax, is_single_statement};

/// How long the server may take to say in what state a script left the transaction.
const PATIENCE: Duration = Duration::from_secs(60);

/// The statement cannot run in a transaction: in a user transaction at all, in one of several statements, or with
/// memory-optimised tables.
const NEEDS_NO_TRANSACTION: [i64; 3] = [226, 574, 12331];

/// A procedure or a dynamic text ended a transaction that it did not begin, or the other way round.
const MISMATCH: i64 = 266;

/// The number that SQL Server's own clients give to a time limit of theirs.
const CLIENT_TIMEOUT: i64 = -2;

/// Runs the batches in order until one fails, the observer asks to stop, or all are done.
///
/// The state of the transaction is looked at after each batch but the last: that one's is looked at together with the
/// records, which saves a round trip with every script.
pub(super) async fn run(
    session: &mut Session,
    batches: &[BatchText],
    mode: ScriptMode,
    observer: &dyn BatchObserver,
    timeout: Option<Duration>,
) -> ScriptReport {
    let mut report = ScriptReport {
        batches: Vec::with_capacity(batches.len()),
        end: ScriptEnd::Completed,
    };
    for (position, batch) in batches.iter().enumerate() {
        if observer.stop_requested() {
            report.end = ScriptEnd::Stopped;
            break;
        }
        let begun = Instant::now();
        let mut done = BatchReport {
            index: batch.index,
            line: batch.line,
            count: batch.count,
            rows_affected: 0,
            duration_ms: 0,
            messages: Vec::new(),
        };
        let mut end = None;
        for round in 0..batch.count {
            if round > 0 && observer.stop_requested() {
                end = Some(ScriptEnd::Stopped);
                break;
            }
            let is_last = position + 1 == batches.len() && round + 1 == batch.count;
            let failed = once(session, batch, round, mode, timeout, &mut done).await;
            end = match failed {
                Some(failed) => Some(failed),
                None if is_last && mode != ScriptMode::WithoutTransaction => None,
                None => look(session, batch, mode).await,
            };
            if end.is_some() {
                break;
            }
        }
        done.duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if end.is_none() {
            observer.ended(&done);
        }
        report.batches.push(done);
        if let Some(end) = end {
            report.end = end;
            break;
        }
    }
    report
}

/// Sends a batch once. Gives how the script ended, if it did.
async fn once(
    session: &mut Session,
    batch: &BatchText,
    round: u32,
    mode: ScriptMode,
    timeout: Option<Duration>,
    report: &mut BatchReport,
) -> Option<ScriptEnd> {
    let (sent, said) = listen(async {
        let Some(limit) = timeout else {
            return Some(session.script_batch(&batch.text).await);
        };
        match tokio::time::timeout(limit, session.script_batch(&batch.text)).await {
            Ok(sent) => Some(sent),
            Err(_) => {
                session.cancel().await;
                None
            }
        }
    })
    .await;
    report.rows_affected += rows_affected(&said);
    report
        .messages
        .extend(said.iter().filter_map(|said| match said {
            Said::Message(text) => Some(ServerMessage {
                text: text.clone(),
                number: None,
                severity: None,
                line: None,
            }),
            _ => None,
        }));
    let mut errors = errors(batch, &said, sent.as_ref());
    match sent {
        None => {
            errors.push(own_error(
                batch,
                CLIENT_TIMEOUT,
                "the batch took longer than DBVC_STATEMENT_TIMEOUT allows and was cancelled"
                    .to_owned(),
            ));
        }
        Some(Err(error)) if error.code().is_none() => {
            errors.push(own_error(
                batch,
                0,
                format!("the connection to the server was lost while this batch ran: {error}"),
            ));
        }
        Some(_) => {}
    }
    if mode != ScriptMode::WithoutTransaction && ended_by_script(&said, &errors) {
        return Some(ScriptEnd::Left {
            left: Leftover::EndedTransaction,
            errors,
        });
    }
    if errors.is_empty() {
        return None;
    }
    let refused_by_server = sent_by_server(&errors) && session.is_usable();
    Some(ScriptEnd::Failed {
        left_nothing: refused_by_server
            && round == 0
            && is_single_statement(&batch.text, Syntax::TransactSql),
        errors,
    })
}

/// Whether the script ended dbvc's transaction itself, so that a part of it may be there for good. An error rolls the
/// transaction back as well, and then nothing of it remains.
fn ended_by_script(said: &[Said], errors: &[ServerError]) -> bool {
    said.contains(&Said::Committed)
        || errors.iter().any(|error| error.number == MISMATCH)
        || (errors.is_empty() && said.contains(&Said::RolledBack))
}

/// Whether every error is the server's own word: then it has ended what it was doing.
fn sent_by_server(errors: &[ServerError]) -> bool {
    errors.iter().all(|error| error.number > 0)
}

/// All errors of a batch, in order. The driver gives the first one whole; of the others it only tells number and text.
fn errors(
    batch: &BatchText,
    said: &[Said],
    sent: Option<&Result<(), DriverError>>,
) -> Vec<ServerError> {
    let first = match sent {
        Some(Err(DriverError::Server(first))) => Some(whole_error(batch, first)),
        _ => None,
    };
    let told = said.iter().filter_map(|said| match said {
        Said::Error { number, message } => Some(ServerError {
            number: *number,
            severity: None,
            state: None,
            line: None,
            batch: Some(batch.index),
            procedure: None,
            message: with_remedy(*number, message),
        }),
        _ => None,
    });
    match first {
        Some(first) => std::iter::once(first).chain(told.skip(1)).collect(),
        None => told.collect(),
    }
}

fn whole_error(batch: &BatchText, error: &TokenError) -> ServerError {
    let procedure = Some(error.procedure()).filter(|name| !name.is_empty());
    let number = i64::from(error.code());
    ServerError {
        number,
        severity: Some(error.class().into()),
        state: Some(error.state().into()),
        line: match procedure {
            // Counted from the beginning of the module, wherever that was made.
            Some(_) => Some(error.line()),
            None => Some(batch.file_line(error.line())),
        },
        batch: Some(batch.index),
        procedure: procedure.map(str::to_owned),
        message: with_remedy(number, error.message()),
    }
}

/// An error that the server did not send.
fn own_error(batch: &BatchText, number: i64, message: String) -> ServerError {
    ServerError {
        number,
        severity: Some(16),
        state: Some(1),
        line: Some(batch.line),
        batch: Some(batch.index),
        procedure: None,
        message,
    }
}

/// The server's words, with the directive to add where a statement cannot run in a transaction.
fn with_remedy(number: i64, message: &str) -> String {
    if NEEDS_NO_TRANSACTION.contains(&number) {
        format!("{message}; begin the script with `-- dbvc: transaction=off`")
    } else {
        message.to_owned()
    }
}

/// Looks at the transaction between two batches. Gives how the script ended, if it cannot go on.
async fn look(session: &mut Session, batch: &BatchText, mode: ScriptMode) -> Option<ScriptEnd> {
    const STATE: &str = "SELECT @@TRANCOUNT AS open_transactions, XACT_STATE() AS state;";
    let answer = match session.language(STATE, PATIENCE).await {
        Ok(answer) => answer,
        Err(error) => {
            let message =
                format!("the connection to the server was lost after this batch: {error}");
            return Some(failed(batch, message));
        }
    };
    // Without a row nothing is executed at the moment (NOEXEC, FMTONLY), so that nothing can have changed either.
    let row = answer.first().and_then(|rows| rows.first())?;
    let (Ok(open), Ok(state)) = (row.integer("open_transactions"), row.integer("state")) else {
        return Some(failed(
            batch,
            "the server did not say how the transaction stands".to_owned(),
        ));
    };
    match (mode, open, state) {
        (ScriptMode::WithoutTransaction, 0, _) => None,
        (ScriptMode::WithoutTransaction, _, _) => {
            let undone = session.roll_back().await;
            let end = match undone {
                Ok(()) => "It was rolled back",
                Err(_) => "It could not be rolled back",
            };
            Some(failed(
                batch,
                format!(
                    "the batch left a transaction open; end it in the batch in which it begins. {end}"
                ),
            ))
        }
        (_, 0, _) => Some(left(Leftover::EndedTransaction)),
        (_, _, -1) => Some(left(Leftover::DoomedTransaction)),
        _ => None,
    }
}

fn left(left: Leftover) -> ScriptEnd {
    ScriptEnd::Left {
        left,
        errors: Vec::new(),
    }
}

fn failed(batch: &BatchText, message: String) -> ScriptEnd {
    ScriptEnd::Failed {
        errors: vec![own_error(batch, 0, message)],
        left_nothing: false,
    }
}

/// The report of a script that could not be begun, or broke off within dbvc itself.
pub(super) fn broken_off(error: &DatabaseError) -> ScriptReport {
    ScriptReport {
        batches: Vec::new(),
        end: ScriptEnd::Failed {
            errors: vec![ServerError {
                number: 0,
                severity: Some(16),
                state: Some(1),
                line: None,
                batch: None,
                procedure: None,
                message: error.to_string(),
            }],
            left_nothing: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Unobserved;
    use super::super::testing::{COUNTED, MORE, Reply, Tokens, client_of};
    use super::*;

    const LINE: u32 = 7;

    async fn run_one(
        text: &str,
        reply: Reply,
        timeout: Option<Duration>,
    ) -> (Session, ScriptReport) {
        let mut session = Session::of_client(client_of(&[reply]).await);
        let batch = BatchText {
            index: 1,
            line: LINE,
            count: 1,
            text: text.to_owned(),
        };
        let mode = ScriptMode::InTransaction;
        let report = run(&mut session, &[batch], mode, &Unobserved, timeout).await;
        (session, report)
    }

    fn failure(report: &ScriptReport) -> (&[ServerError], bool) {
        match &report.end {
            ScriptEnd::Failed {
                errors,
                left_nothing,
            } => (errors, *left_nothing),
            other => panic!("{other:?}"),
        }
    }

    /// A known tool stops reading at the result set, and records the migration as applied.
    #[tokio::test]
    async fn an_error_behind_a_result_set_fails_the_batch() {
        let said = Tokens::default()
            .one_row()
            .done(COUNTED | MORE, 1)
            .error(547, "the row is referred to")
            .done(COUNTED | MORE, 1)
            .message("after all")
            .done(0, 0);
        let script = "SELECT 1; INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);";
        let (session, report) = run_one(script, Reply::Say(said), None).await;
        let (errors, left_nothing) = failure(&report);
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].number, errors[0].severity, errors[0].line),
            (547, Some(16), Some(LINE))
        );
        assert!(!left_nothing);
        assert_eq!(report.batches[0].rows_affected, 1);
        assert_eq!(report.batches[0].messages[0].text, "after all");
        assert!(session.is_usable());
    }

    #[tokio::test]
    async fn an_error_before_a_result_set_fails_the_batch() {
        let said = Tokens::default()
            .error(208, "no such table")
            .error(3621, "the statement has been terminated")
            .one_row()
            .done(COUNTED, 1);
        let (_, report) = run_one("SELECT a FROM b SELECT 1", Reply::Say(said), None).await;
        let (errors, _) = failure(&report);
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.number, error.line))
            .collect();
        assert_eq!(told, [(208, Some(LINE)), (3621, None)]);
    }

    #[tokio::test]
    async fn a_refused_batch_of_one_statement_left_nothing() {
        let said = Tokens::default().error(1801, "it is there").done(0, 0);
        let (_, report) = run_one("CREATE DATABASE shop", Reply::Say(said), None).await;
        assert!(failure(&report).1);
    }

    #[tokio::test]
    async fn who_cannot_run_in_a_transaction_is_told_the_directive() {
        for number in [226, 574, 12331] {
            let said = Tokens::default().error(number, "not allowed").done(0, 0);
            let (_, report) = run_one("EXEC p", Reply::Say(said), None).await;
            let message = &failure(&report).0[0].message;
            assert_eq!(
                message,
                "not allowed; begin the script with `-- dbvc: transaction=off`"
            );
        }
    }

    #[tokio::test]
    async fn a_commit_among_what_the_server_says_is_the_scripts_own() {
        let said = Tokens::default().committed().done(0, 0);
        let (_, report) = run_one("EXEC('COMMIT')", Reply::Say(said), None).await;
        let expected = ScriptEnd::Left {
            left: Leftover::EndedTransaction,
            errors: Vec::new(),
        };
        assert_eq!(report.end, expected);
    }

    #[tokio::test]
    async fn a_batch_that_takes_too_long_is_cancelled() {
        let limit = Some(Duration::from_millis(20));
        let (session, report) = run_one("WAITFOR DELAY '1:0'", Reply::Stall, limit).await;
        let (errors, left_nothing) = failure(&report);
        assert_eq!(errors[0].number, CLIENT_TIMEOUT);
        assert!(!left_nothing, "nobody knows what it had done");
        assert!(session.is_usable(), "the server has said that it stopped");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_leaves_it_open_what_was_done() {
        let (session, report) = run_one("DROP TABLE t", Reply::HangUp, None).await;
        let (errors, left_nothing) = failure(&report);
        assert!(errors[0].message.contains("was lost"), "{errors:?}");
        assert_eq!(errors[0].line, Some(LINE));
        assert!(!left_nothing);
        assert!(!session.is_usable());
    }
}
