//! The report as one page of HTML.

use std::collections::HashSet;

use maud::{Markup, html as markup};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::texts::{Written, text};
use super::{CHANGE_KINDS, Report, count, perhaps_renamed};
use crate::schema::diff::{Change, ChangeKind, Detail};
use crate::schema::model::ObjectKind;
use crate::schema::page::Look;

/// The style of the page and its script, so that who shows the page under a policy of its own can allow exactly these.
pub const STYLE: &str = concat!(include_str!("../page/base.css"), include_str!("report.css"));
/// See [`STYLE`].
pub const SCRIPT: &str = include_str!("report.js");

const LOOK: Look = Look {
    style: STYLE,
    script: SCRIPT,
};

/// From so many changes on, looking through them takes a filter.
const MANY: usize = 6;

/// The report as a page that needs nothing else: no font, no picture, no request to anywhere. Without its script all
/// changes are shown and cannot be filtered.
pub fn html(report: &Report) -> String {
    let mut written = Written::default();
    let mut anchors = Anchors::default();
    let body = markup! {
        main {
            (heading(report))
            @if !report.changes.is_empty() { (counts(report)) }
            @if report.changes.len() >= MANY { (filter(report)) }
            @for (kind, changes) in report.by_kind() {
                section id=(section_id(kind)) data-kind=(kind.as_str()) {
                    h2 { (kind.heading()) " " span.count { (changes.len()) } }
                    @for change in changes {
                        (card(report, change, &anchors.next(change), &mut written))
                    }
                }
            }
        }
    };
    LOOK.page(&format!("Schema drift: {}", report.database_id), &body)
}

/// What a browser may do with the page of [`html`], as a `Content-Security-Policy`.
pub fn content_security_policy() -> String {
    LOOK.policy()
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

/// The counts by kind and by what became of the objects, which is the table of contents too.
fn counts(report: &Report) -> Markup {
    markup! {
        table.counts {
            thead {
                tr {
                    th scope="col" { "Kind" }
                    @for change in CHANGE_KINDS { th scope="col" { (capitalised(change)) } }
                }
            }
            tbody {
                @for (kind, changes) in report.by_kind() {
                    tr {
                        th scope="row" { a href={ "#" (section_id(kind)) } { (kind.heading()) } }
                        @for change in CHANGE_KINDS { (number(change, count(changes, change))) }
                    }
                }
            }
            tfoot {
                tr {
                    th scope="row" { "All" }
                    @for change in CHANGE_KINDS { (number(change, report.count(change))) }
                }
            }
        }
    }
}

fn number(change: ChangeKind, count: usize) -> Markup {
    markup! {
        @if count == 0 { td.none { "0" } } @else { td.(change.as_str()) { (count) } }
    }
}

/// Hidden until the script has it work.
fn filter(report: &Report) -> Markup {
    markup! {
        form #filter hidden role="search" aria-label="Filter the changes" {
            fieldset {
                legend { "Change" }
                @for change in CHANGE_KINDS {
                    label {
                        input type="checkbox" name="change" value=(change.as_str()) checked;
                        (capitalised(change))
                    }
                }
            }
            label {
                "Kind"
                select name="kind" {
                    option value="" { "All kinds" }
                    @for (kind, _) in report.by_kind() { option value=(kind.as_str()) { (kind.heading()) } }
                }
            }
            label { "Name" input type="search" name="name" placeholder="part of a name" autocomplete="off" spellcheck="false"; }
            button type="reset" { "Show all" }
            output {}
        }
    }
}

fn card(report: &Report, change: &Change, anchor: &str, written: &mut Written) -> Markup {
    let (short, long): (Vec<&Detail>, Vec<&Detail>) =
        change.details.iter().partition(|detail| !detail.is_long());
    markup! {
        article id=(anchor) .(change.change.as_str()) {
            h3 {
                span.badge { (change.change.as_str()) } " "
                span.kind { (change.kind.words()) } " "
                span.name { (change.name) } " "
                a.anchor href={ "#" (anchor) } aria-label={ "Link to " (change.name) } { "#" }
            }
            @if let Some(other) = &change.possible_rename {
                p.rename {
                    (perhaps_renamed(change.change == ChangeKind::Added)) " "
                    a href={ "#" (anchor_of(change.kind, other)) } { (other) }
                }
            }
            @if !short.is_empty() {
                dl.details {
                    @for detail in short { dt { (detail.property) } dd { (values(change, detail)) } }
                }
            }
            @for detail in long {
                div.long {
                    h4 {
                        @if let Some(word) = detail.came_or_went(change) { (word) " " }
                        (detail.property)
                    }
                    (text(report, detail, written))
                }
            }
        }
    }
}

fn values(change: &Change, detail: &Detail) -> Markup {
    markup! {
        @if let Some(word) = detail.came_or_went(change) { span.word { (word) } " " }
        @match (&detail.from, &detail.to) {
            (Some(from), Some(to)) => { del { (from) } span.arrow { " → " } ins { (to) } }
            (Some(from), None) => { del { (from) } }
            (None, Some(to)) => { ins { (to) } }
            (None, None) => {}
        }
        @if let Some(other) = &detail.possible_rename {
            span.word { ", " (perhaps_renamed(detail.to.is_some())) " " } code { (other) }
        }
    }
}

fn capitalised(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "Added",
        ChangeKind::Removed => "Removed",
        ChangeKind::Changed => "Changed",
    }
}

fn section_id(kind: ObjectKind) -> String {
    format!("all-{}", kind.as_str())
}

/// Gives each change the name by which a link finds it: the same in every report, so that a link to it lasts.
#[derive(Debug, Default)]
struct Anchors(HashSet<String>);

impl Anchors {
    fn next(&mut self, change: &Change) -> String {
        let wished = anchor_of(change.kind, &change.name);
        let mut anchor = wished.clone();
        let mut number = 2;
        // Rarely: SQLite lets two constraints share a name.
        while !self.0.insert(anchor.clone()) {
            anchor = format!("{wished}~{number}");
            number += 1;
        }
        anchor
    }
}

/// `table.dbo.orders`. A browser looks for what stands behind `#` as it is before it decodes it, so the same text serves as
/// name and as link (<https://html.spec.whatwg.org/multipage/browsing-the-web.html#find-a-potential-indicated-element>).
fn anchor_of(kind: ObjectKind, name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
    format!("{}.{}", kind.as_str(), utf8_percent_encode(name, KEPT))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, nasty, nothing, ordinary, unjudged};
    use super::*;

    /// Without what is the same in all of them, and is agreed on by looking at it. A tag a line.
    fn bare(page: &str) -> String {
        let policy = content_security_policy();
        [
            (STYLE, "(style)"),
            (SCRIPT, "(script)"),
            (&policy, "(policy)"),
        ]
        .into_iter()
        .fold(page.to_owned(), |page, (whole, name)| {
            page.replacen(whole, name, 1)
        })
        .replace("><", ">\n<")
    }

    #[test]
    fn an_ordinary_report_looks_as_agreed() {
        golden("ordinary.html", &bare(&html(&ordinary())));
    }

    #[test]
    fn a_report_without_a_finding_looks_as_agreed() {
        golden("nothing.html", &bare(&html(&nothing())));
        golden("unjudged.html", &bare(&html(&unjudged())));
    }

    #[test]
    fn nothing_in_a_name_or_text_becomes_a_tag() {
        let page = html(&nasty());
        golden("nasty.html", &bare(&page));
        // The page's own, which the policy knows by its hash.
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains(&format!("<script>{SCRIPT}</script>")));
        assert!(!page.contains("<img"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere() {
        let page = html(&ordinary());
        for outside in [
            "http:", "https:", "src=", "url(", "@import", "fetch(", "style=\"",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
        let links = page.matches("href=").count();
        assert_eq!(page.matches("href=\"#").count(), links);
    }

    #[test]
    fn the_page_carries_the_policy_that_its_answer_has() {
        let policy = content_security_policy().replace('\'', "&#39;");
        let page = html(&ordinary()).replace("'", "&#39;");
        assert!(page.contains(&format!("content=\"{policy}\"")), "{policy}");
    }

    #[test]
    fn every_link_within_the_page_leads_somewhere() {
        for report in [ordinary(), nasty()] {
            let page = html(&report);
            let targets = page.split("href=\"#").skip(1);
            for target in targets.filter_map(|rest| rest.split('"').next()) {
                assert_eq!(
                    page.matches(&format!("id=\"{target}\"")).count(),
                    1,
                    "{target}"
                );
            }
        }
    }

    #[test]
    fn changes_of_one_name_have_links_of_their_own() {
        let mut report = ordinary();
        let twice = report.changes[1].clone();
        report.changes.insert(1, twice);
        let page = html(&report);
        assert!(page.contains("id=\"table.audit_copy\""));
        assert!(page.contains("id=\"table.audit_copy~2\""));
    }
}
