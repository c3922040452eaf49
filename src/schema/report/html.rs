//! The report as one page of HTML.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::lines::Line;
use super::{CHANGE_KINDS, Report};
use crate::schema::diff::{Change, Detail};

/// The report as a page that needs nothing else: no script, no font, no picture, no request to anywhere.
pub fn html(report: &Report) -> String {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Schema drift: " (report.database_id) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (heading(report))
                    (counts(report))
                    @for change in &report.changes { (card(change)) }
                }
            }
        }
    };
    page.into_string()
}

fn heading(report: &Report) -> Markup {
    let tone = match report.detected {
        Some(true) => "drift",
        Some(false) => "clean",
        None => "open",
    };
    markup! {
        header {
            p.eyebrow { "Schema drift" }
            h1 { (report.database_id) }
            p.verdict.(tone) { strong { (report.verdict()) } @if let Some(reason) = &report.reason { ": " (reason) } }
            dl.compared {
                dt { "From" } dd { (report.from_label) }
                dt { "To" } dd { (report.to_label) }
            }
        }
    }
}

fn counts(report: &Report) -> Markup {
    markup! {
        @if !report.changes.is_empty() {
            ul.counts {
                @for kind in CHANGE_KINDS {
                    li.(kind.as_str()) { b { (report.count(kind)) } " " (kind.as_str()) }
                }
            }
        }
    }
}

fn card(change: &Change) -> Markup {
    markup! {
        article.(change.change.as_str()) {
            h2 {
                span.badge { (change.change.as_str()) } " "
                span.kind { (change.kind.words()) } " "
                span.name { (change.name) }
            }
            @if !change.details.is_empty() {
                dl.details {
                    @for detail in &change.details { dt { (detail.property) } dd { (values(change, detail)) } }
                }
            }
        }
    }
}

fn values(change: &Change, detail: &Detail) -> Markup {
    if detail.is_long() {
        return text(detail);
    }
    markup! {
        @if let Some(word) = detail.came_or_went(change) { span.word { (word) } " " }
        @match (&detail.from, &detail.to) {
            (Some(from), Some(to)) => { del { (from) } span.arrow { " → " } ins { (to) } }
            (Some(from), None) => { del { (from) } }
            (None, Some(to)) => { ins { (to) } }
            (None, None) => {}
        }
    }
}

fn text(detail: &Detail) -> Markup {
    markup! {
        pre {
            @for line in detail.lines() {
                @match line {
                    Line::Kept(line) => { span { "  " (line) "\n" } }
                    Line::Removed(line) => { del { "- " (line) "\n" } }
                    Line::Added(line) => { ins { "+ " (line) "\n" } }
                }
            }
        }
    }
}

/// The style of the page, so that who shows the page under a content security policy can allow exactly this one.
pub const STYLE: &str = include_str!("report.css");

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, nasty, nothing, ordinary, unjudged};
    use super::*;

    #[test]
    fn an_ordinary_report_looks_as_agreed() {
        golden("ordinary.html", &html(&ordinary()));
    }

    #[test]
    fn a_report_without_a_finding_looks_as_agreed() {
        golden("nothing.html", &html(&nothing()));
        golden("unjudged.html", &html(&unjudged()));
    }

    #[test]
    fn nothing_in_a_name_or_text_becomes_a_tag() {
        let page = html(&nasty());
        golden("nasty.html", &page);
        assert!(!page.contains("<script"));
        assert!(!page.contains("<img"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let page = html(&ordinary());
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
