//! Whether dbvc's own tables are there, whole, and of a version that this dbvc knows.

use crate::registry::definition::{OWN_VERSIONS, OwnVersion};
use crate::script::Checksum;

use super::super::view::Check;
use super::Title;
use super::examination::Evidence;

pub(super) const TITLE: Title = Title {
    code: "registry-schema",
    title: "dbvc's own tables are whole and known",
};

pub(super) const DAMAGED: &str =
    "dbvc's own tables were changed by hand; restore the database, or put back what is missing";

pub(super) fn check(evidence: &Evidence) -> Check {
    if !evidence.registered {
        return TITLE.pass(
            "nothing was ever written to this database; the first write makes dbvc's own tables",
        );
    }
    let state = &evidence.definition;
    if let Some(newer) = state.newer_registry() {
        return TITLE.fail(
            "a newer dbvc has written this registry; deploy that dbvc",
            vec![format!("version {newer} is not known to this dbvc")],
        );
    }
    let items: Vec<String> = OWN_VERSIONS
        .iter()
        .filter_map(|own| fault(evidence, own))
        .collect();
    if items.is_empty() {
        TITLE.pass("dbvc's own tables are there, and of this dbvc's version")
    } else {
        TITLE.fail(DAMAGED, items)
    }
}

fn fault(evidence: &Evidence, own: &OwnVersion) -> Option<String> {
    let id = own.migration_id();
    let Some(record) = evidence.definition.find(&id) else {
        return Some(format!("{id} is not registered"));
    };
    let applied = record.applied.as_ref().filter(|_| record.is_applied());
    let Some(applied) = applied else {
        return Some(format!("{id} is not recorded as applied"));
    };
    let compiled = Checksum::of_text(own.script(evidence.engine));
    (record.up_checksum != compiled || applied.checksum != compiled)
        .then(|| format!("{id} is recorded with another script than this dbvc has"))
}
