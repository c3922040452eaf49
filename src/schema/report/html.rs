//! The report as one page of HTML.

use super::Report;

/// The report as a self-contained HTML page.
pub fn html(report: &Report) -> String {
    maud::html! { (report.database_id) }.into_string()
}
