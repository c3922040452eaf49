//! Whether the scripts are those that were registered, and those that were applied.

use super::super::view::Check;
use super::Title;
use super::examination::Records;
use super::texts::Texts;

pub(super) const TITLE: Title = Title {
    code: "checksums",
    title: "Scripts are as they were registered and applied",
};

pub(super) fn check(records: &Records, texts: &Texts) -> Check {
    let mut items = texts.tampered.clone();
    let all = records
        .state
        .migrations
        .iter()
        .chain(&records.state.withdrawn);
    for record in all.filter(|record| record.is_applied() && record.version.is_some()) {
        let Some(applied) = &record.applied else {
            continue;
        };
        if applied.checksum != record.up_checksum {
            items.push(format!(
                "{}: applied was {}, registered is {}",
                record.migration_id, applied.checksum, record.up_checksum
            ));
        }
    }
    if items.is_empty() {
        TITLE.pass(format!("{} definitions are intact", texts.definitions))
    } else {
        TITLE.fail(
            "a script was changed: restore it, or send the text that is right with reregister: true",
            items,
        )
    }
}
