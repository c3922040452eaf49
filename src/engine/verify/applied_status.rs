//! Whether the state of every migration is what its attempts made it.

use std::collections::HashMap;

use crate::registry::executions::{Direction, Execution, ExecutionStatus};
use crate::registry::migrations::{AppliedStatus, MigrationRecord};
use crate::script::MigrationId;

use super::super::view::{Check, CheckStatus};
use super::Title;
use super::examination::Records;

pub(super) const TITLE: Title = Title {
    code: "applied-status",
    title: "The state of every migration follows from its executions",
};

/// A state that the history explains otherwise, and the attempt that explains it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Correction {
    pub migration_id: MigrationId,
    pub status: AppliedStatus,
    /// The attempt that left this state; for a failed rollback it is an earlier one, which is not known here.
    pub execution: Option<Execution>,
}

/// What the newest attempt that was not interrupted leaves; none when it is under way.
fn left_by(execution: &Execution) -> Option<AppliedStatus> {
    match (execution.status, execution.direction) {
        (ExecutionStatus::Running | ExecutionStatus::Interrupted, _) => None,
        (ExecutionStatus::HalfApplied, _) => Some(AppliedStatus::HalfApplied),
        (ExecutionStatus::RolledBack, _) => Some(AppliedStatus::RolledBack),
        // A rollback that failed has undone nothing.
        (ExecutionStatus::Applied, _) | (ExecutionStatus::Failed, Direction::Down) => {
            Some(AppliedStatus::Applied)
        }
        (ExecutionStatus::Failed, Direction::Up | Direction::Baseline) => {
            Some(AppliedStatus::Failed)
        }
    }
}

/// Whether the attempts explain the state of a migration.
fn is_explained(record: &MigrationRecord, latest: Option<&Execution>) -> bool {
    let status = record.applied.as_ref().map(|applied| applied.status);
    let Some(latest) = latest else {
        // An attempt that was cut off leaves at most this.
        return matches!(status, None | Some(AppliedStatus::Interrupted));
    };
    let Some(expected) = left_by(latest) else {
        return true;
    };
    match (&record.applied, expected) {
        // Withdrawing a migration forgets its state.
        (None, AppliedStatus::Failed | AppliedStatus::RolledBack) => true,
        (None, _) => false,
        // Cut off later, in the middle of a script without a transaction.
        (Some(applied), _)
            if matches!(
                applied.status,
                AppliedStatus::Interrupted | AppliedStatus::HalfApplied
            ) && applied.ordinal > latest.ordinal =>
        {
            true
        }
        (Some(applied), expected) => applied.status == expected,
    }
}

pub(super) fn check(records: &Records) -> (Check, Vec<Correction>) {
    let latest: HashMap<&MigrationId, &Execution> = records
        .latest
        .iter()
        .map(|execution| (&execution.migration_id, execution))
        .collect();
    let mut items = Vec::new();
    let mut corrections = Vec::new();
    let all = records
        .state
        .migrations
        .iter()
        .chain(&records.state.withdrawn);
    for record in all {
        let latest = latest.get(&record.migration_id).copied();
        if is_explained(record, latest) {
            continue;
        }
        let recorded = record
            .applied
            .as_ref()
            .map_or("never attempted", |applied| applied.status.as_str());
        let Some((execution, status)) = latest.and_then(|latest| Some((latest, left_by(latest)?)))
        else {
            // The state may be right and the history incomplete: nobody can tell from here.
            items.push(format!(
                "{}: recorded as {recorded}, but no execution explains it",
                record.migration_id
            ));
            continue;
        };
        items.push(format!(
            "{}: recorded as {recorded}, but after execution {} it is {}",
            record.migration_id,
            execution.execution_id,
            status.as_str()
        ));
        let explains =
            execution.status != ExecutionStatus::Failed || status == AppliedStatus::Failed;
        corrections.push(Correction {
            migration_id: record.migration_id.clone(),
            status,
            execution: explains.then(|| execution.clone()),
        });
    }
    let check = if items.is_empty() {
        TITLE.pass("every state follows from the execution history")
    } else if corrections.len() == items.len() {
        TITLE.fail(
            "fix: true corrects the states from the execution history",
            items,
        )
    } else {
        TITLE.ended(
            CheckStatus::Fail,
            "fix: true corrects what the execution history explains; look into the rest by hand",
            items,
        )
    };
    (check, corrections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::migrations::Applied;
    use crate::registry::state::DatabaseState;
    use crate::script::{Checksum, Version};
    use crate::time::Timestamp;

    fn record(status: Option<AppliedStatus>, ordinal: i64) -> MigrationRecord {
        MigrationRecord {
            migration_id: MigrationId::parse("V101__x").unwrap(),
            version: Version::parse("101").ok(),
            name: "x".to_owned(),
            description: None,
            author: "a".to_owned(),
            file_name: None,
            up_checksum: Checksum::of_text(""),
            down_checksum: None,
            created_at: Timestamp::now(),
            withdrawn_at: None,
            applied: status.map(|status| Applied {
                status,
                checksum: Checksum::of_text(""),
                execution_id: "e".to_owned(),
                ordinal,
                executor: "a".to_owned(),
                changed_at: Timestamp::now(),
                duration_ms: 1,
            }),
        }
    }

    fn execution(direction: Direction, status: ExecutionStatus) -> Execution {
        Execution {
            execution_id: "e".to_owned(),
            migration_id: MigrationId::parse("V101__x").unwrap(),
            run_id: None,
            ordinal: 5,
            direction,
            status,
            transactional: true,
            checksum: Checksum::of_text(""),
            executor: "a".to_owned(),
            started_at: Timestamp::now(),
            finished_at: None,
            duration_ms: None,
            batches: Vec::new(),
            errors: Vec::new(),
            note: None,
            resolved_as: None,
        }
    }

    fn looked_at(
        record: MigrationRecord,
        latest: Option<Execution>,
    ) -> (CheckStatus, Vec<Option<AppliedStatus>>) {
        let (check, corrections) = check(&Records {
            state: DatabaseState {
                migrations: vec![record],
                ..DatabaseState::empty()
            },
            latest: latest.into_iter().collect(),
            interrupted: Vec::new(),
        });
        let statuses = corrections
            .into_iter()
            .map(|correction| Some(correction.status))
            .collect();
        (check.status, statuses)
    }

    #[test]
    fn a_state_that_its_attempts_explain_passes() {
        use AppliedStatus as S;
        use ExecutionStatus as E;
        for (status, ordinal, direction, ended) in [
            (Some(S::Applied), 5, Direction::Up, E::Applied),
            (Some(S::Applied), 5, Direction::Baseline, E::Applied),
            (Some(S::Applied), 2, Direction::Down, E::Failed),
            (Some(S::RolledBack), 5, Direction::Down, E::RolledBack),
            (Some(S::Failed), 5, Direction::Up, E::Failed),
            (Some(S::HalfApplied), 5, Direction::Down, E::HalfApplied),
            // Withdrawn in between.
            (None, 0, Direction::Up, E::Failed),
            // Cut off after it had failed.
            (Some(S::Interrupted), 7, Direction::Up, E::Failed),
            // Under way.
            (None, 0, Direction::Up, E::Running),
        ] {
            let found = looked_at(record(status, ordinal), Some(execution(direction, ended)));
            assert_eq!(
                found,
                (CheckStatus::Pass, vec![]),
                "{status:?} after {direction:?} {ended:?}"
            );
        }
        let (status, _) = looked_at(record(None, 0), None);
        assert_eq!(status, CheckStatus::Pass);
    }

    #[test]
    fn a_state_that_its_attempts_contradict_is_corrected_from_them() {
        use AppliedStatus as S;
        use ExecutionStatus as E;
        for (status, direction, ended, right) in [
            (None, Direction::Up, E::Applied, S::Applied),
            (Some(S::Failed), Direction::Up, E::Applied, S::Applied),
            (Some(S::Applied), Direction::Up, E::Failed, S::Failed),
            (
                Some(S::Applied),
                Direction::Down,
                E::RolledBack,
                S::RolledBack,
            ),
            (Some(S::RolledBack), Direction::Down, E::Failed, S::Applied),
            (None, Direction::Up, E::HalfApplied, S::HalfApplied),
        ] {
            let found = looked_at(record(status, 5), Some(execution(direction, ended)));
            assert_eq!(found, (CheckStatus::Fail, vec![Some(right)]));
        }
    }

    #[test]
    fn a_state_without_any_attempt_is_not_touched() {
        let found = looked_at(record(Some(AppliedStatus::Applied), 5), None);
        assert_eq!(found, (CheckStatus::Fail, vec![]));
    }
}
