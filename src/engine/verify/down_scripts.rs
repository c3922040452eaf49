//! Whether every migration can be rolled back.

use super::super::view::Check;
use super::Title;
use super::examination::Records;

pub(super) const TITLE: Title = Title {
    code: "down-scripts",
    title: "Every migration has a down script",
};

/// Repeatable migrations are left out: they are undone by sending the text before.
pub(super) fn check(records: &Records) -> Check {
    let without: Vec<String> = records
        .state
        .migrations
        .iter()
        .filter(|record| {
            !record.is_own() && record.version.is_some() && record.down_checksum.is_none()
        })
        .map(|record| record.migration_id.to_string())
        .collect();
    if without.is_empty() {
        TITLE.pass("every versioned migration can be rolled back")
    } else {
        TITLE.warn(
            "these cannot be rolled back; send them again with a down script and reregister: true",
            without,
        )
    }
}
