//! A drift report for people: what it says; how it is written stands in `markdown` and `html`.

mod html;
mod markdown;

pub use html::html;
pub use markdown::markdown;

use super::diff::Change;

/// The finding about one database, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub database_id: String,
    /// What was compared, in words: `baseline of 2025-11-27 14:30 UTC`.
    pub from_label: String,
    /// With what: `live schema`.
    pub to_label: String,
    /// `None` when drift could not be judged; then `reason` says why.
    pub detected: Option<bool>,
    pub reason: Option<String>,
    pub changes: Vec<Change>,
}
