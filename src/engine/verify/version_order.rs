//! Whether versions are applied in their order, each once.

use crate::registry::migrations::MigrationRecord;

use super::super::view::Check;
use super::Title;
use super::examination::Records;

pub(super) const TITLE: Title = Title {
    code: "version-order",
    title: "Versions are unique and applied in order",
};

pub(super) fn check(records: &Records) -> Check {
    // In version order already.
    let versioned: Vec<&MigrationRecord> = records
        .state
        .migrations
        .iter()
        .filter(|record| !record.is_own() && record.version.is_some())
        .collect();
    let mut items: Vec<String> = versioned
        .windows(2)
        .filter(|pair| pair[0].version == pair[1].version)
        .map(|pair| {
            format!(
                "{} and {} have the same version",
                pair[0].migration_id, pair[1].migration_id
            )
        })
        .collect();
    items.extend(late(&versioned).into_iter().map(|(late, after)| {
        format!(
            "{late} was applied after {after}",
            late = late.migration_id,
            after = after.migration_id
        )
    }));
    if items.is_empty() {
        TITLE.pass("versions are unique and were applied in order")
    } else {
        TITLE.warn(
            "a database built anew gets these in another order; see that it comes out the same",
            items,
        )
    }
}

/// The migrations that were applied after one of a higher version, each with one such.
fn late<'a>(versioned: &[&'a MigrationRecord]) -> Vec<(&'a MigrationRecord, &'a MigrationRecord)> {
    let mut found = Vec::new();
    // Of the higher versions, the one that was applied first.
    let mut first_above: Option<(&MigrationRecord, i64)> = None;
    for record in versioned.iter().rev().filter(|record| record.is_applied()) {
        let Some(ordinal) = record.applied.as_ref().map(|applied| applied.ordinal) else {
            continue;
        };
        match first_above {
            Some((above, first)) if first < ordinal => found.push((*record, above)),
            _ => first_above = Some((record, ordinal)),
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::CheckStatus;
    use crate::registry::migrations::{Applied, AppliedStatus};
    use crate::registry::state::DatabaseState;
    use crate::script::{Checksum, MigrationId, Version};
    use crate::time::Timestamp;

    fn record(id: &str, version: &str, ordinal: Option<i64>) -> MigrationRecord {
        MigrationRecord {
            migration_id: MigrationId::parse(id).unwrap(),
            version: Version::parse(version).ok(),
            name: "x".to_owned(),
            description: None,
            author: "a".to_owned(),
            file_name: None,
            up_checksum: Checksum::of_text(""),
            down_checksum: None,
            created_at: Timestamp::now(),
            withdrawn_at: None,
            applied: ordinal.map(|ordinal| Applied {
                status: AppliedStatus::Applied,
                checksum: Checksum::of_text(""),
                execution_id: "e".to_owned(),
                ordinal,
                executor: "a".to_owned(),
                changed_at: Timestamp::now(),
                duration_ms: 1,
            }),
        }
    }

    fn items(migrations: Vec<MigrationRecord>) -> (CheckStatus, Vec<String>) {
        let check = check(&Records {
            state: DatabaseState {
                migrations,
                ..DatabaseState::empty()
            },
            latest: Vec::new(),
            interrupted: Vec::new(),
        });
        (check.status, check.items)
    }

    #[test]
    fn versions_applied_in_order_pass_whatever_is_pending_in_between() {
        let found = items(vec![
            record("V101__a", "101", Some(1)),
            record("V102__b", "102", None),
            record("V103__c", "103", Some(4)),
        ]);
        assert_eq!(found, (CheckStatus::Pass, vec![]));
    }

    #[test]
    fn late_comers_and_doubles_are_named() {
        let found = items(vec![
            record("V101__a", "101", Some(1)),
            record("V102__b", "102", Some(9)),
            record("V102__b2", "102.0", None),
            record("V103__c", "103", Some(4)),
            record("V104__d", "104", Some(6)),
        ]);
        assert_eq!(
            found,
            (
                CheckStatus::Warn,
                vec![
                    "V102__b and V102__b2 have the same version".to_owned(),
                    "V102__b was applied after V103__c".to_owned(),
                ]
            )
        );
    }
}
