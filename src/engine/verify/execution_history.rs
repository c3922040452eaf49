//! Whether every attempt has an end, and an end that is known.

use std::collections::HashSet;

use crate::registry::executions::ExecutionStatus;
use crate::script::MigrationId;

use super::super::view::Check;
use super::Title;
use super::examination::Records;

pub(super) const TITLE: Title = Title {
    code: "execution-history",
    title: "Every execution has an end that is known",
};

pub(super) fn check(records: &Records) -> Check {
    let state = &records.state;
    let mut faults = Vec::new();
    let mut advice = Vec::new();
    if !records.is_held() {
        for (execution, migration) in &state.running {
            faults.push(format!(
                "execution {execution} of {migration}: its run is dead"
            ));
        }
        for plan in &state.open_plans {
            faults.push(format!(
                "run {}: it is dead, and nobody has written up what it did",
                plan.run_id
            ));
        }
        if !faults.is_empty() {
            advice.push("fix: true writes up what became of dead runs, and so does the next run");
        }
    }
    let half_applied: Vec<_> = records
        .latest
        .iter()
        .filter(|execution| execution.status == ExecutionStatus::HalfApplied)
        .collect();
    let before = faults.len();
    faults.extend(half_applied.iter().map(|execution| {
        format!(
            "execution {} ({}) of {}: it may have been applied in part",
            execution.execution_id,
            execution.direction.as_str(),
            execution.migration_id
        )
    }));
    // A state that says so counts as well, whatever its execution says: it stops every run.
    faults.extend(
        state
            .half_applied()
            .into_iter()
            .filter(|id| {
                !half_applied
                    .iter()
                    .any(|execution| execution.migration_id == *id)
            })
            .map(|id| format!("{id}: it may have been applied in part")),
    );
    if faults.len() > before {
        advice.push(
            "look at the database, then say by resolve what is true of a half-applied execution",
        );
    }
    let known: HashSet<&MigrationId> = state
        .migrations
        .iter()
        .chain(&state.withdrawn)
        .map(|record| &record.migration_id)
        .collect();
    let before = faults.len();
    faults.extend(
        records
            .latest
            .iter()
            .filter(|execution| !known.contains(&execution.migration_id))
            .map(|execution| {
                format!(
                    "execution {} of {}: no such migration is registered",
                    execution.execution_id, execution.migration_id
                )
            }),
    );
    if faults.len() > before {
        advice.push("a registration was removed; the archive has its copy");
    }
    if !faults.is_empty() {
        return TITLE.fail(advice.join("; "), faults);
    }
    let under_way = if records.is_held() && !state.running.is_empty() {
        "; the run that holds the database is executing a script"
    } else {
        ""
    };
    if records.interrupted.is_empty() {
        return TITLE.pass(format!("no execution is without a known end{under_way}"));
    }
    let items = records
        .interrupted
        .iter()
        .map(|(execution, migration)| format!("execution {execution} of {migration}: interrupted"))
        .collect();
    TITLE.warn(
        format!("interrupted executions, newest first; they were written up, and need nothing{under_way}"),
        items,
    )
}
