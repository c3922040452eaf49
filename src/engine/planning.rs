//! Deciding what a run applies and what a rollback undoes: pure functions over what the registry says.

use crate::registry::migrations::{AppliedStatus, MigrationRecord};
use crate::script::{MigrationId, Version};

use super::error::EngineError;
use super::request::OutOfOrder;

/// What a run was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    /// The last version to apply.
    pub target: Option<&'a Version>,
    /// What to do with pending versions below the newest applied one.
    pub out_of_order: OutOfOrder,
    /// Everything up to this version is marked applied without running.
    pub baseline: Option<&'a Version>,
}

/// What a run will do, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Marked applied without running.
    pub baseline: Vec<MigrationId>,
    /// Applied.
    pub apply: Vec<MigrationId>,
    /// Left out because they would run after a newer version.
    pub skipped: Vec<MigrationId>,
}

impl Plan {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.baseline.is_empty() && self.apply.is_empty()
    }
}

/// Decides what a run does. `records` are in version order, repeatable ones last.
///
/// # Errors
///
/// `half-applied`, `checksum-mismatch` and `out-of-order`, naming every migration concerned.
pub(super) fn plan_run(
    records: &[MigrationRecord],
    policy: Policy<'_>,
) -> Result<Plan, EngineError> {
    let records: Vec<&MigrationRecord> = records.iter().filter(|record| !record.is_own()).collect();
    refuse_half_applied(&records)?;
    let changed: Vec<MigrationId> = records
        .iter()
        .filter(|record| record.version.is_some() && record.is_applied())
        .filter(|record| {
            record
                .applied
                .as_ref()
                .is_some_and(|applied| applied.checksum != record.up_checksum)
        })
        .map(|record| record.migration_id.clone())
        .collect();
    if !changed.is_empty() {
        return Err(EngineError::ChecksumMismatch(changed));
    }
    let newest_applied = records
        .iter()
        .filter(|record| record.is_applied())
        .filter_map(|record| record.version.as_ref())
        .max();
    let mut plan = Plan::default();
    let mut late = Vec::new();
    for record in &records {
        let id = || record.migration_id.clone();
        match &record.version {
            None => {
                if !record.is_applied() || record.is_outdated_repeatable() {
                    plan.apply.push(id());
                }
            }
            Some(_) if record.is_applied() => {}
            Some(version) if policy.baseline.is_some_and(|baseline| version <= baseline) => {
                plan.baseline.push(id());
            }
            Some(version) if policy.target.is_some_and(|target| version > target) => {}
            // It was in its place once, and the contract has the next run apply it again.
            Some(_) if record.is_rolled_back() => plan.apply.push(id()),
            Some(version) if newest_applied.is_some_and(|newest| version < newest) => {
                match policy.out_of_order {
                    OutOfOrder::Allow => plan.apply.push(id()),
                    OutOfOrder::Skip => plan.skipped.push(id()),
                    OutOfOrder::Error => late.push(id()),
                }
            }
            Some(_) => plan.apply.push(id()),
        }
    }
    if late.is_empty() {
        Ok(plan)
    } else {
        Err(EngineError::OutOfOrder(late))
    }
}

/// Decides what a rollback undoes, in order: the newest first, by the order in which they were applied. `goes_on`: whether a
/// rollback that was cut off goes on when it is asked for again; only such a one leaves a migration half applied then.
///
/// # Errors
///
/// `protected` for dbvc's own, `not-applied`, `half-applied`, `not-latest` and `no-down-script`.
pub(super) fn plan_rollback(
    records: &[MigrationRecord],
    wanted: &MigrationRecord,
    cascade: bool,
    goes_on: bool,
) -> Result<Vec<MigrationId>, EngineError> {
    if wanted.is_own() {
        return Err(EngineError::OwnMigration(wanted.migration_id.clone()));
    }
    let records: Vec<&MigrationRecord> = records.iter().filter(|record| !record.is_own()).collect();
    let cut_off = |record: &MigrationRecord| {
        let state = record.applied.as_ref();
        goes_on && state.is_some_and(|applied| applied.status == AppliedStatus::HalfApplied)
    };
    let is_there = |record: &MigrationRecord| record.is_applied() || cut_off(record);
    if !goes_on {
        refuse_half_applied(&records)?;
    }
    let Some(wanted_applied) = wanted.applied.as_ref().filter(|_| is_there(wanted)) else {
        return Err(EngineError::NotApplied(wanted.migration_id.clone()));
    };
    // A baseline marks several at once, so that the version decides among equals.
    let place = |ordinal: i64, version: Option<&Version>| (ordinal, version.cloned());
    let own_place = place(wanted_applied.ordinal, wanted.version.as_ref());
    let mut steps: Vec<&MigrationRecord> = Vec::new();
    if wanted.version.is_some() {
        steps = records
            .iter()
            .copied()
            .filter(|record| record.version.is_some() && is_there(record))
            .filter(|record| {
                record.applied.as_ref().is_some_and(|applied| {
                    place(applied.ordinal, record.version.as_ref()) > own_place
                })
            })
            .collect();
        steps.sort_by_key(|record| {
            std::cmp::Reverse(place(
                record.applied.as_ref().map_or(0, |applied| applied.ordinal),
                record.version.as_ref(),
            ))
        });
    }
    if !steps.is_empty() && !cascade {
        return Err(EngineError::NotLatest {
            migration: wanted.migration_id.clone(),
            later: steps
                .iter()
                .map(|record| record.migration_id.clone())
                .collect(),
        });
    }
    steps.push(wanted);
    let without: Vec<MigrationId> = steps
        .iter()
        .filter(|record| record.down_checksum.is_none())
        .map(|record| record.migration_id.clone())
        .collect();
    if !without.is_empty() {
        return Err(EngineError::NoDownScript(without));
    }
    Ok(steps
        .iter()
        .map(|record| record.migration_id.clone())
        .collect())
}

fn refuse_half_applied(records: &[&MigrationRecord]) -> Result<(), EngineError> {
    let half: Vec<MigrationId> = records
        .iter()
        .filter(|record| {
            record
                .applied
                .as_ref()
                .is_some_and(|applied| applied.status == AppliedStatus::HalfApplied)
        })
        .map(|record| record.migration_id.clone())
        .collect();
    if half.is_empty() {
        Ok(())
    } else {
        Err(EngineError::HalfApplied(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::migrations::Applied;
    use crate::script::{Checksum, MigrationName};
    use crate::time::Timestamp;

    const ANY: Policy<'static> = Policy {
        target: None,
        out_of_order: OutOfOrder::Error,
        baseline: None,
    };

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn record(version: Option<&str>, state: Option<(AppliedStatus, i64)>) -> MigrationRecord {
        let name = MigrationName::from_file("x").unwrap();
        let version = version.map(|text| Version::parse(text).unwrap());
        let checksum = Checksum::of_text("up");
        MigrationRecord {
            migration_id: version.as_ref().map_or_else(
                || MigrationId::repeatable(&name),
                |version| MigrationId::versioned(version, &name),
            ),
            version,
            name: "x".to_owned(),
            description: None,
            author: "a".to_owned(),
            file_name: None,
            up_checksum: checksum,
            down_checksum: Some(Checksum::of_text("down")),
            created_at: Timestamp::now(),
            withdrawn_at: None,
            applied: state.map(|(status, ordinal)| Applied {
                status,
                checksum,
                execution_id: "e".to_owned(),
                ordinal,
                executor: "a".to_owned(),
                changed_at: Timestamp::now(),
                duration_ms: 1,
            }),
        }
    }

    fn applied(text: &str, ordinal: i64) -> MigrationRecord {
        record(Some(text), Some((AppliedStatus::Applied, ordinal)))
    }

    fn pending(text: &str) -> MigrationRecord {
        record(Some(text), None)
    }

    fn names(ids: &[MigrationId]) -> Vec<&str> {
        ids.iter().map(MigrationId::as_str).collect()
    }

    #[test]
    fn applies_what_is_pending_in_version_order_and_repeatable_ones_last() {
        let records = [
            applied("1", 1),
            pending("2"),
            pending("10"),
            record(None, None),
        ];
        let plan = plan_run(&records, ANY).unwrap();
        assert_eq!(names(&plan.apply), ["V2__x", "V10__x", "R__x"]);
    }

    #[test]
    fn a_failed_and_a_rolled_back_migration_are_applied_again() {
        let records = [
            record(Some("1"), Some((AppliedStatus::Failed, 1))),
            record(Some("2"), Some((AppliedStatus::RolledBack, 2))),
            record(Some("3"), Some((AppliedStatus::Interrupted, 3))),
        ];
        assert_eq!(plan_run(&records, ANY).unwrap().apply.len(), 3);
    }

    #[test]
    fn a_repeatable_migration_runs_again_only_when_its_text_changed() {
        let mut repeatable = record(None, Some((AppliedStatus::Applied, 1)));
        assert!(
            plan_run(std::slice::from_ref(&repeatable), ANY)
                .unwrap()
                .is_empty()
        );
        repeatable.up_checksum = Checksum::of_text("other");
        assert_eq!(
            names(&plan_run(&[repeatable], ANY).unwrap().apply),
            ["R__x"]
        );
    }

    #[test]
    fn stops_at_the_target_inclusive() {
        let target = version("2.0");
        let records = [pending("1"), pending("2"), pending("2.1")];
        let plan = plan_run(
            &records,
            Policy {
                target: Some(&target),
                ..ANY
            },
        )
        .unwrap();
        assert_eq!(names(&plan.apply), ["V1__x", "V2__x"]);
    }

    #[test]
    fn refuses_skips_or_allows_what_is_out_of_order() {
        let records = [pending("1"), applied("2", 1), pending("3")];
        let with = |out_of_order| {
            plan_run(
                &records,
                Policy {
                    out_of_order,
                    ..ANY
                },
            )
        };
        assert!(
            matches!(with(OutOfOrder::Error), Err(EngineError::OutOfOrder(ids)) if names(&ids) == ["V1__x"])
        );
        let skipped = with(OutOfOrder::Skip).unwrap();
        assert_eq!(names(&skipped.skipped), ["V1__x"]);
        assert_eq!(names(&skipped.apply), ["V3__x"]);
        assert_eq!(
            names(&with(OutOfOrder::Allow).unwrap().apply),
            ["V1__x", "V3__x"]
        );
    }

    #[test]
    fn what_was_rolled_back_is_applied_again_below_newer_versions() {
        let records = [
            record(Some("2"), Some((AppliedStatus::RolledBack, 9))),
            applied("3", 5),
        ];
        assert_eq!(names(&plan_run(&records, ANY).unwrap().apply), ["V2__x"]);
    }

    #[test]
    fn dbvcs_own_version_does_not_count_for_the_order() {
        let records = [pending("1"), applied("100", 1)];
        assert_eq!(names(&plan_run(&records, ANY).unwrap().apply), ["V1__x"]);
    }

    #[test]
    fn marks_what_the_baseline_covers_and_runs_the_rest() {
        let baseline = version("2");
        let records = [pending("1"), pending("2"), pending("3"), applied("100", 1)];
        let plan = plan_run(
            &records,
            Policy {
                baseline: Some(&baseline),
                ..ANY
            },
        )
        .unwrap();
        assert_eq!(names(&plan.baseline), ["V1__x", "V2__x"]);
        assert_eq!(names(&plan.apply), ["V3__x"]);
    }

    #[test]
    fn refuses_a_script_changed_after_it_was_applied() {
        let mut changed = applied("1", 1);
        changed.up_checksum = Checksum::of_text("other");
        assert!(matches!(
            plan_run(&[changed, pending("2")], ANY),
            Err(EngineError::ChecksumMismatch(ids)) if names(&ids) == ["V1__x"]
        ));
    }

    #[test]
    fn refuses_everything_while_a_person_must_decide() {
        let records = [
            record(Some("1"), Some((AppliedStatus::HalfApplied, 1))),
            applied("2", 2),
        ];
        assert!(matches!(
            plan_run(&records, ANY),
            Err(EngineError::HalfApplied(_))
        ));
        assert!(matches!(
            plan_rollback(&records, &records[1], false, false),
            Err(EngineError::HalfApplied(_))
        ));
    }

    #[test]
    fn only_the_newest_applied_one_is_rolled_back_without_cascade() {
        // 3 was applied before 2, which came late.
        let records = [
            applied("1", 1),
            applied("2", 9),
            applied("3", 5),
            pending("4"),
        ];
        assert_eq!(
            names(&plan_rollback(&records, &records[1], false, false).unwrap()),
            ["V2__x"]
        );
        assert!(matches!(
            plan_rollback(&records, &records[0], false, false),
            Err(EngineError::NotLatest { later, .. }) if names(&later) == ["V2__x", "V3__x"]
        ));
        assert_eq!(
            names(&plan_rollback(&records, &records[0], true, false).unwrap()),
            ["V2__x", "V3__x", "V1__x"]
        );
    }

    #[test]
    fn a_rollback_that_was_cut_off_goes_on_where_it_can() {
        let records = [
            applied("1", 1),
            record(Some("2"), Some((AppliedStatus::HalfApplied, 3))),
        ];
        assert_eq!(
            names(&plan_rollback(&records, &records[1], false, true).unwrap()),
            ["V2__x"]
        );
        assert!(matches!(
            plan_rollback(&records, &records[0], false, true),
            Err(EngineError::NotLatest { later, .. }) if names(&later) == ["V2__x"]
        ));
        assert!(matches!(
            plan_rollback(&records, &records[1], false, false),
            Err(EngineError::HalfApplied(_))
        ));
    }

    #[test]
    fn a_repeatable_migration_counts_not_for_the_newest() {
        let records = [
            applied("1", 1),
            record(None, Some((AppliedStatus::Applied, 2))),
        ];
        assert_eq!(
            names(&plan_rollback(&records, &records[0], false, false).unwrap()),
            ["V1__x"]
        );
    }

    #[test]
    fn nothing_is_rolled_back_when_one_of_the_cascade_has_no_down_script() {
        let mut records = [applied("1", 1), applied("2", 2)];
        records[1].down_checksum = None;
        assert!(matches!(
            plan_rollback(&records, &records[0], true, false),
            Err(EngineError::NoDownScript(ids)) if names(&ids) == ["V2__x"]
        ));
    }

    #[test]
    fn dbvcs_own_and_what_is_not_applied_are_not_rolled_back() {
        let records = [applied("100", 1), pending("101")];
        assert!(matches!(
            plan_rollback(&records, &records[0], true, false),
            Err(EngineError::OwnMigration(_))
        ));
        assert!(matches!(
            plan_rollback(&records, &records[1], true, false),
            Err(EngineError::NotApplied(_))
        ));
    }
}
