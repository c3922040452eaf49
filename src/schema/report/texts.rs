//! Longer texts on the page: both versions side by side, or the only one that there is.

use maud::{Markup, html as markup};

use super::Report;
use super::lines::{Line, Row, Stretch, stretches};
use crate::schema::diff::Detail;

/// Up to this much text, in bytes, unchanged lines far from a change are on the page, folded; beyond it they are only counted.
const UNFOLDABLE: usize = 2 * 1024 * 1024;

/// Up to this much text, in bytes, is on the page at all: a browser has to lay it out.
const MOST: usize = 8 * 1024 * 1024;

/// A text of one side that is longer than this, in lines, is folded.
const OPEN: usize = 16;

/// How much text the page has so far, in bytes.
#[derive(Debug, Default)]
pub(super) struct Written(usize);

impl Written {
    fn add(&mut self, rows: &[Row]) {
        self.0 += rows.iter().map(length).sum::<usize>();
    }
}

/// About how much a row adds to the page.
fn length(row: &Row) -> usize {
    let pieces = |line: &Option<Line>| -> usize {
        line.iter()
            .flat_map(|line| &line.pieces)
            .map(|piece| piece.text.len())
            .sum()
    };
    match row {
        Row::Kept { text, .. } => 2 * text.len(),
        Row::Changed { from, to } => pieces(from) + pieces(to),
    }
}

/// The text of a detail that is too long for one line.
pub(super) fn text(report: &Report, detail: &Detail, written: &mut Written) -> Markup {
    let rows = detail.rows();
    let size = rows.iter().map(length).sum::<usize>();
    if written.0 + size > MOST && written.0 > 0 {
        return markup! {
            p.note { (rows.len()) " lines are left out, for the page would be too long for a browser. The report as JSON has all." }
        };
    }
    match (&detail.from, &detail.to) {
        (Some(_), Some(_)) => both(report, &rows, written),
        _ => {
            written.add(&rows);
            single(&rows)
        }
    }
}

fn both(report: &Report, rows: &[Row], written: &mut Written) -> Markup {
    if rows.iter().all(|row| matches!(row, Row::Kept { .. })) {
        return markup! {
            p.note { "The lines are the same; only line ends, or space at the beginning or the end, differ." }
        };
    }
    markup! {
        div.both {
            p.sides { span { (report.from_label) } span { (report.to_label) } }
            @for stretch in stretches(rows) {
                @match stretch {
                    Stretch::Shown(rows) => { (table(rows)) (counted(rows, written)) }
                    Stretch::Folded(rows) => (folded(rows, written))
                }
            }
        }
    }
}

/// Counts rows that were written, and shows nothing.
fn counted(rows: &[Row], written: &mut Written) -> &'static str {
    written.add(rows);
    ""
}

fn folded(rows: &[Row], written: &mut Written) -> Markup {
    let words = format!("{} unchanged lines", rows.len());
    if written.0 > UNFOLDABLE {
        return markup! { p.fold { (words) } };
    }
    written.add(rows);
    markup! { details.fold { summary { (words) } (table(rows)) } }
}

fn table(rows: &[Row]) -> Markup {
    markup! {
        table {
            @for row in rows {
                @match row {
                    Row::Kept { from, to, text } => {
                        tr { td { (from) } td { (text) } td { (to) } td { (text) } }
                    }
                    Row::Changed { from, to } => {
                        tr.c {
                            @if let Some(line) = from { td { (line.number) } td.o { del { (pieces(line)) } } }
                            @else { td {} td {} }
                            @if let Some(line) = to { td { (line.number) } td.w { ins { (pieces(line)) } } }
                            @else { td {} td {} }
                        }
                    }
                }
            }
        }
    }
}

fn single(rows: &[Row]) -> Markup {
    let table = markup! {
        table.one {
            @for row in rows {
                @if let Row::Changed { from, to } = row {
                    @if let Some(line) = from { tr { td { (line.number) } td.o { del { (pieces(line)) } } } }
                    @if let Some(line) = to { tr { td { (line.number) } td.w { ins { (pieces(line)) } } } }
                }
            }
        }
    };
    markup! {
        @if rows.len() > OPEN {
            details.whole { summary { (rows.len()) " lines" } (table) }
        } @else {
            (table)
        }
    }
}

fn pieces(line: &Line) -> Markup {
    markup! {
        @for piece in &line.pieces {
            @if piece.marked { b { (piece.text) } } @else { (piece.text) }
        }
    }
}
