//! Longer texts on the page: both versions side by side, or the only one that there is.

use maud::{Markup, html as markup};

use super::Report;
use super::lines::{Line, Row, Stretch, stretches};
use crate::schema::diff::Detail;

/// Up to this much page, in bytes, unchanged lines far from a change are there to be unfolded; beyond it they are only
/// counted.
const UNFOLDABLE: usize = 4 * 1024 * 1024;

/// Up to this much page, in bytes, texts are there at all: a browser has to lay them out.
const MOST: usize = 16 * 1024 * 1024;

/// What a row adds to the page besides its text, in bytes.
const TAGS: usize = 50;

/// A text of one side that is longer than this, in lines, is folded.
const OPEN: usize = 16;

/// How much of the page is text of this kind so far, in bytes, as far as it has to be known.
#[derive(Debug, Default)]
pub(super) struct Written(usize);

fn size(rows: &[Row]) -> usize {
    let pieces = |line: &Option<Line>| -> usize {
        let pieces = line.iter().flat_map(|line| &line.pieces);
        pieces.map(|piece| piece.text.len()).sum()
    };
    let row = |row: &Row| match row {
        Row::Kept { text, .. } => TAGS + 2 * text.len(),
        Row::Changed { from, to } => TAGS + pieces(from) + pieces(to),
    };
    rows.iter().map(row).sum()
}

/// The text of a detail that is too long for one line.
pub(super) fn text(report: &Report, detail: &Detail, written: &mut Written) -> Markup {
    let rows = detail.rows();
    if written.0 + size(&rows) > MOST {
        return markup! {
            p.note { (rows.len()) " lines are left out: the page would be too long for a browser. The report as JSON has them." }
        };
    }
    if detail.from.is_some() && detail.to.is_some() {
        both(report, &rows, written)
    } else {
        written.0 += size(&rows);
        single(&rows)
    }
}

fn both(report: &Report, rows: &[Row], written: &mut Written) -> Markup {
    if rows.iter().all(|row| matches!(row, Row::Kept { .. })) {
        return markup! {
            p.note { "The lines are the same; only line ends, or space at the beginning or the end, differ." }
        };
    }
    let mut part = |stretch| match stretch {
        Stretch::Shown(rows) => {
            written.0 += size(rows);
            table(rows)
        }
        Stretch::Folded(rows) => folded(rows, written),
    };
    markup! {
        div.both {
            p.sides { span { (report.from_label) } span { (report.to_label) } }
            @for stretch in stretches(rows) { (part(stretch)) }
        }
    }
}

fn folded(rows: &[Row], written: &mut Written) -> Markup {
    let words = format!("{} unchanged lines", rows.len());
    if written.0 >= UNFOLDABLE {
        return markup! { p.fold { (words) } };
    }
    written.0 += size(rows);
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

#[cfg(test)]
mod tests {
    use super::super::tests::nothing;
    use super::*;

    fn shown(from: Option<String>, to: Option<String>, written: usize) -> (String, usize) {
        let detail = Detail {
            property: "definition".into(),
            from,
            to,
            possible_rename: None,
        };
        let mut written = Written(written);
        let text = text(&nothing(), &detail, &mut written).into_string();
        (text, written.0)
    }

    fn lines(count: usize, last: &str) -> Option<String> {
        Some("a line of some text\n".repeat(count) + last)
    }

    #[test]
    fn unchanged_lines_can_be_unfolded_until_the_page_is_long() {
        let (text, written) = shown(lines(100, "x"), lines(100, "y"), 0);
        assert!(text.contains("<details class=\"fold\"><summary>97 unchanged lines</summary>"));
        assert!(
            written <= text.len() && text.len() < 2 * written,
            "{written} of {}",
            text.len()
        );
        let (text, _) = shown(lines(100, "x"), lines(100, "y"), UNFOLDABLE);
        assert!(
            text.contains("<p class=\"fold\">97 unchanged lines</p>"),
            "{text}"
        );
        assert!(text.contains("<del>x</del>"));
    }

    #[test]
    fn a_text_that_would_make_the_page_too_long_is_only_counted() {
        let (text, written) = shown(None, lines(100, ""), MOST - 1_000);
        assert!(text.contains("100 lines are left out"), "{text}");
        assert_eq!(written, MOST - 1_000);
    }

    #[test]
    fn a_long_text_of_one_side_is_folded() {
        let (text, _) = shown(None, lines(OPEN, ""), 0);
        assert!(text.starts_with("<table class=\"one\">"), "{text}");
        let (text, _) = shown(None, lines(OPEN + 1, ""), 0);
        assert!(text.contains("<summary>17 lines</summary>"), "{text}");
    }

    #[test]
    fn texts_that_differ_in_no_line_are_said_to() {
        let (text, _) = shown(Some("a\r\nb".into()), Some("a\nb\n".into()), 0);
        assert!(text.contains("The lines are the same"), "{text}");
    }
}
