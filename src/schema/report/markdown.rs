//! The report as Markdown for a comment on a pull request.

use super::Report;

/// The report as GitHub-flavoured Markdown.
pub fn markdown(report: &Report) -> String {
    format!("{}", report.database_id)
}
