//! Whether the live schema is what the scripts made of it.

use super::super::error::EngineError;
use super::super::view::{Check, Drift};
use super::Title;

pub(super) const TITLE: Title = Title {
    code: "drift",
    title: "The live schema is what the scripts made",
};

pub(super) fn check(drift: &Result<Drift, EngineError>) -> Check {
    match drift {
        Ok(drift) => match (drift.detected, &drift.reason) {
            (Some(true), _) => TITLE.fail(
                "the schema was changed outside of migrations: undo the change, or capture a baseline that declares it right",
                drift
                    .changes
                    .iter()
                    .map(|change| {
                        // The word is the contract's.
                        let word = serde_json::json!(change.change);
                        format!(
                            "{} {} {}",
                            word.as_str().unwrap_or_default(),
                            change.kind.as_str(),
                            change.name
                        )
                    })
                    .collect(),
            ),
            (Some(false), _) => TITLE.pass("the schema is that of the last trusted snapshot"),
            (None, reason) => TITLE.warn(
                format!("not judged: {}", reason.as_deref().unwrap_or_default()),
                Vec::new(),
            ),
        },
        Err(error @ EngineError::SnapshotDamaged { .. }) => {
            TITLE.fail("the last trusted snapshot is damaged; capture a new baseline", vec![error.to_string()])
        }
        Err(error) => TITLE.warn(
            format!("the schema differs from the last trusted snapshot, but in what cannot be said: {error}"),
            Vec::new(),
        ),
    }
}
