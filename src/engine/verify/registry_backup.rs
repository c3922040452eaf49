//! Whether the archive's copies of the migrations are what the registry has.

use super::super::view::Check;
use super::Title;
use super::archived::Whereabouts;
use super::texts::{CopyFault, Texts};
use super::trail::{NO_ARCHIVE, Trail};

pub(super) const TITLE: Title = Title {
    code: "registry-backup",
    title: "The archive has a true copy of the registry",
};

pub(super) fn check(texts: &Texts, trail: &Trail) -> Check {
    if trail.whereabouts == Whereabouts::NoArchive {
        return TITLE.pass(NO_ARCHIVE);
    }
    let Some(copies) = &texts.copies else {
        return TITLE.warn("not looked at: the archive cannot be reached", Vec::new());
    };
    let items: Vec<String> = copies
        .faults
        .iter()
        .map(|(id, fault)| format!("{id}: {fault}"))
        .collect();
    let mut faults = copies.faults.values();
    if faults.clone().any(|fault| fault.forbids_mending()) {
        return TITLE.fail(
            "registry and archive contradict each other, and only a person can tell which is right: so fix: true copies nothing",
            items,
        );
    }
    if faults.any(|fault| *fault == CopyFault::Unregistered) {
        return TITLE.fail(
            "a registration was removed from the registry; the archive's copy has its scripts",
            items,
        );
    }
    if !items.is_empty() {
        return TITLE.fail("fix: true copies the registry to the archive again", items);
    }
    if texts.waiting > 0 {
        return TITLE.warn(
            format!(
                "{} definitions wait for their delivery; fix: true delivers them",
                texts.waiting
            ),
            Vec::new(),
        );
    }
    TITLE.pass(format!(
        "{} definitions have true copies",
        texts.definitions
    ))
}
