//! How a run ended: its state, the word for it in the registry, and what a caller who waited gets.

use crate::time::Timestamp;

use super::error::EngineError;
use super::view::{Run, RunDatabase, RunStatus, StepStatus};

/// The word of a state in the registry.
pub(super) fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Locked => "locked",
        RunStatus::Cancelled => "cancelled",
        RunStatus::NothingToDo => "nothing-to-do",
    }
}

/// The state of a run whose databases have ended: the worst of theirs.
pub(super) fn worst(databases: &[RunDatabase]) -> RunStatus {
    [
        RunStatus::Failed,
        RunStatus::Locked,
        RunStatus::Cancelled,
        RunStatus::Succeeded,
    ]
    .into_iter()
    .find(|status| databases.iter().any(|database| database.status == *status))
    .unwrap_or(RunStatus::NothingToDo)
}

/// Gives a run whose databases have ended its state and its end.
pub(super) fn conclude(run: &mut Run, now: Timestamp) {
    run.status = worst(&run.databases);
    run.finished_at = Some(now);
    run.duration_ms = Some(now.millis_since(run.started_at));
}

/// What a caller who waited gets.
pub(super) fn result_of(run: Run) -> Result<Run, EngineError> {
    let script_failed = run.databases.iter().any(|database| {
        database
            .migrations
            .iter()
            .any(|migration| migration.status == StepStatus::Failed)
    });
    let only = (run.databases.len() == 1)
        .then(|| run.databases.first())
        .flatten();
    match run.status {
        RunStatus::Failed => {
            let unavailable = only.filter(|database| {
                !script_failed
                    && database
                        .problem
                        .as_ref()
                        .is_some_and(|problem| problem.code == "unavailable")
            });
            match unavailable {
                Some(database) => Err(EngineError::InRun {
                    problem: Box::new(EngineError::Unavailable {
                        database: database.database_id.clone(),
                        source: None,
                    }),
                    run: Box::new(run),
                }),
                None => Err(EngineError::MigrationFailed(Box::new(run))),
            }
        }
        RunStatus::Locked => {
            let locked = run
                .databases
                .iter()
                .find(|database| database.status == RunStatus::Locked)
                .map(|database| EngineError::Locked {
                    database: database.database_id.clone(),
                    holder: database.lock.clone(),
                });
            match locked {
                Some(problem) => Err(EngineError::InRun {
                    problem: Box::new(problem),
                    run: Box::new(run),
                }),
                None => Ok(run),
            }
        }
        RunStatus::Queued
        | RunStatus::Running
        | RunStatus::Succeeded
        | RunStatus::Cancelled
        | RunStatus::NothingToDo => Ok(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{DatabaseId, EngineKind};

    fn database(status: RunStatus) -> RunDatabase {
        RunDatabase {
            database_id: DatabaseId::parse("a").unwrap(),
            engine: EngineKind::Sqlite,
            status,
            from_version: None,
            to_version: None,
            snapshot_id: None,
            drift_before: None,
            problem: None,
            lock: None,
            migrations: Vec::new(),
        }
    }

    #[test]
    fn the_state_of_a_run_is_the_worst_of_its_databases() {
        use RunStatus::{Failed, Locked, NothingToDo, Succeeded};
        for (states, expected) in [
            (vec![Succeeded, Failed, Locked], Failed),
            (vec![Succeeded, Locked, NothingToDo], Locked),
            (vec![Succeeded, NothingToDo], Succeeded),
            (vec![NothingToDo], NothingToDo),
            (vec![], NothingToDo),
        ] {
            let databases: Vec<_> = states.into_iter().map(database).collect();
            assert_eq!(worst(&databases), expected);
        }
    }
}
