//! Whether the archive's copies of the migrations are what the registry has.

use super::super::view::Check;
use super::Title;
use super::texts::Texts;

pub(super) const TITLE: Title = Title {
    code: "registry-backup",
    title: "The archive has a true copy of the registry",
};

pub(super) fn check(texts: &Texts) -> Check {
    let Some(copies) = &texts.copies else {
        return TITLE.warn("not looked at: the archive cannot be reached", Vec::new());
    };
    let items: Vec<String> = copies
        .wrong
        .iter()
        .chain(&copies.unknown)
        .map(|(id, fault)| format!("{id}: {fault}"))
        .collect();
    if !copies.unknown.is_empty() {
        return TITLE.fail(
            "a registration was removed from the registry; fix: true renews copies, but removes and restores nothing",
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
