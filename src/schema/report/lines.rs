//! Two versions of a text set against each other, line by line, and word by word within a line that changed.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::words;

/// Words are looked at only in a stretch of changed lines of at most this size, in bytes: what was written anew from end
/// to end is better read as that.
const REWORDED: usize = 16 * 1024;

/// So many lines around a change are shown with it.
const CONTEXT: usize = 3;

/// What stands on one height when the texts stand side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row<'a> {
    Kept {
        from: usize,
        to: usize,
        text: &'a str,
    },
    /// One line in place of another, or only one of the two.
    Changed {
        from: Option<Line<'a>>,
        to: Option<Line<'a>>,
    },
}

/// A line that the other text does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    pub pieces: Vec<Piece<'a>>,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Whether it is what makes the line differ from the one that it stands beside.
    pub marked: bool,
    pub text: &'a str,
}

/// A part of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretch<'r, 'a> {
    /// Changes and the lines around them.
    Shown(&'r [Row<'a>]),
    /// Unchanged lines far from any change.
    Folded(&'r [Row<'a>]),
}

impl Row<'_> {
    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// The number of its line in each text.
    pub fn numbers(&self) -> (Option<usize>, Option<usize>) {
        let number = |line: &Option<Line>| line.as_ref().map(|line| line.number);
        match self {
            Self::Kept { from, to, .. } => (Some(*from), Some(*to)),
            Self::Changed { from, to } => (number(from), number(to)),
        }
    }
}

/// The rows of two texts side by side.
///
/// Finding the lines that stayed is left to Myers' algorithm with the bounds of [`similar`]: its work grows about in line
/// with the texts whatever they are, at the price that two long texts with little in common may be shown with more
/// changes than there are.
pub(super) fn compare<'a>(from: &'a str, to: &'a str) -> Vec<Row<'a>> {
    let (from, to) = (Text::of(from), Text::of(to));
    let mut rows = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &from.lines, &to.lines) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = op
        {
            rows.extend((0..len).map(|place| Row::Kept {
                from: from.number(old_index + place),
                to: to.number(new_index + place),
                text: to.lines[new_index + place],
            }));
        } else {
            rows.extend(reworded(&from, op.old_range(), &to, op.new_range()));
        }
    }
    rows
}

/// The rows in stretches: unchanged lines are folded where that hides more than one.
pub(super) fn stretches<'r, 'a>(rows: &'r [Row<'a>]) -> Vec<Stretch<'r, 'a>> {
    let mut stretches = Vec::new();
    let mut shown = 0;
    let mut at = 0;
    for run in rows.chunk_by(|one, next| one.is_kept() == next.is_kept()) {
        let end = at + run.len();
        if run[0].is_kept() {
            let begin = if at == 0 { 0 } else { at + CONTEXT };
            let stop = if end == rows.len() {
                end
            } else {
                end.saturating_sub(CONTEXT)
            };
            if begin + 1 < stop {
                if shown < begin {
                    stretches.push(Stretch::Shown(&rows[shown..begin]));
                }
                stretches.push(Stretch::Folded(&rows[begin..stop]));
                shown = stop;
            }
        }
        at = end;
    }
    if shown < rows.len() {
        stretches.push(Stretch::Shown(&rows[shown..]));
    }
    stretches
}

/// The lines of a text from its first to its last that is not blank, with the numbers that they have in the whole.
struct Text<'a> {
    before: usize,
    lines: Vec<&'a str>,
}

impl<'a> Text<'a> {
    fn of(whole: &'a str) -> Self {
        let text = whole.trim_start();
        let before = &whole[..whole.len() - text.len()];
        Self {
            before: before.matches('\n').count(),
            lines: text.trim_end().lines().collect(),
        }
    }

    fn number(&self, place: usize) -> usize {
        self.before + place + 1
    }

    fn line(&self, place: usize, pieces: Vec<Piece<'a>>) -> Line<'a> {
        Line {
            number: self.number(place),
            pieces,
        }
    }

    /// A line of which nothing is marked.
    fn plain(&self, place: usize) -> Line<'a> {
        let text = self.lines[place];
        self.line(
            place,
            vec![Piece {
                marked: false,
                text,
            }],
        )
    }
}

/// The rows for lines that came in place of others: those that share words stand side by side.
fn reworded<'a>(
    from: &Text<'a>,
    old: Range<usize>,
    to: &Text<'a>,
    new: Range<usize>,
) -> Vec<Row<'a>> {
    let (before, after) = (&from.lines[old.clone()], &to.lines[new.clone()]);
    let size = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
    let pairs = if size(before) + size(after) <= REWORDED {
        words::pairs(before, after)
    } else {
        Vec::new()
    };
    let mut rows = Vec::new();
    let (mut left, mut right) = (old.start, new.start);
    for pair in pairs {
        let (one, other) = (old.start + pair.from, new.start + pair.to);
        rows.extend(side_by_side(from, left..one, to, right..other));
        let (before, after) = words::pieces(from.lines[one], to.lines[other]);
        rows.push(Row::Changed {
            from: Some(from.line(one, before)),
            to: Some(to.line(other, after)),
        });
        (left, right) = (one + 1, other + 1);
    }
    rows.extend(side_by_side(from, left..old.end, to, right..new.end));
    rows
}

/// Lines that have nothing to do with each other, in their order.
fn side_by_side<'a>(
    from: &Text<'a>,
    mut old: Range<usize>,
    to: &Text<'a>,
    mut new: Range<usize>,
) -> Vec<Row<'a>> {
    (0..old.len().max(new.len()))
        .map(|_| Row::Changed {
            from: old.next().map(|place| from.plain(place)),
            to: new.next().map(|place| to.plain(place)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as people draw them: `[…]` is what is marked.
    fn drawn(from: &str, to: &str) -> Vec<String> {
        let line = |line: &Option<Line>| match line {
            None => String::new(),
            Some(line) => {
                let piece = |piece: &Piece| match piece.marked {
                    true => format!("[{}]", piece.text),
                    false => piece.text.to_owned(),
                };
                let text: String = line.pieces.iter().map(piece).collect();
                format!("{} {text}", line.number)
            }
        };
        let row = |row: &Row| match row {
            Row::Kept { from, to, text } => format!("{from} = {to} {text}"),
            Row::Changed { from, to } => format!("{} | {}", line(from), line(to)),
        };
        compare(from, to).iter().map(row).collect()
    }

    #[test]
    fn lines_that_stayed_are_found_between_edits() {
        assert_eq!(
            drawn("a\nb\nc\nd\ne", "a\nx\nc\nd\ny\ne"),
            [
                "1 = 1 a",
                "2 b | 2 x",
                "3 = 3 c",
                "4 = 4 d",
                " | 5 y",
                "5 = 6 e"
            ]
        );
    }

    #[test]
    fn a_line_is_never_kept_twice() {
        assert_eq!(drawn("a\na", "a"), ["1 = 1 a", "2 a | "]);
        assert_eq!(drawn("a", "a\na"), ["1 = 1 a", " | 2 a"]);
    }

    #[test]
    fn a_text_that_came_or_went_has_only_one_side() {
        assert_eq!(drawn("", "a\nb"), [" | 1 a", " | 2 b"]);
        assert_eq!(drawn("a", ""), ["1 a | "]);
    }

    #[test]
    fn the_words_that_changed_are_marked() {
        assert_eq!(
            drawn("SELECT id, net\nFROM a", "SELECT id, net, tax\nFROM a"),
            ["1 SELECT id, net | 1 SELECT id, net[, tax]", "2 = 2 FROM a"]
        );
        assert_eq!(
            drawn("net NUMERIC(10, 2)", "net NUMERIC(12, 2)"),
            ["1 net NUMERIC([10], 2) | 1 net NUMERIC([12], 2)"]
        );
    }

    #[test]
    fn a_reworded_line_stands_beside_what_it_was_though_others_came_before_it() {
        assert_eq!(
            drawn(
                "begin\nWHERE net > 1000\nend",
                "begin\n-- only what\n-- matters\nWHERE net > 2000\nend"
            ),
            [
                "1 = 1 begin",
                " | 2 -- only what",
                " | 3 -- matters",
                "2 WHERE net > [1000] | 4 WHERE net > [2000]",
                "3 = 5 end"
            ]
        );
    }

    #[test]
    fn lines_are_numbered_as_in_the_whole_text() {
        assert_eq!(drawn("\n\n  a\nb\n", "a\nc"), ["3 = 1 a", "4 b | 2 c"]);
    }

    #[test]
    fn lines_far_from_a_change_are_folded() {
        let from: Vec<String> = (1..=30).map(|number| format!("line {number}")).collect();
        let mut to = from.clone();
        to[14] = "something else".into();
        let (from, to) = (from.join("\n"), to.join("\n"));
        let rows = compare(&from, &to);
        let drawn = |rows: &[Row]| (rows[0].numbers().0, rows.len());
        let found: Vec<_> = stretches(&rows)
            .iter()
            .map(|stretch| match stretch {
                Stretch::Shown(rows) => ("shown", drawn(rows)),
                Stretch::Folded(rows) => ("folded", drawn(rows)),
            })
            .collect();
        assert_eq!(
            found,
            [
                ("folded", (Some(1), 11)),
                ("shown", (Some(12), 7)),
                ("folded", (Some(19), 12))
            ]
        );
    }

    #[test]
    fn a_single_line_is_not_folded_and_equal_texts_are_folded_whole() {
        let rows = compare("1\n2\n3\n4\nx", "1\n2\n3\n4\ny");
        assert!(matches!(stretches(&rows)[..], [Stretch::Shown(all)] if all.len() == 5));
        let rows = compare("1\n2\n3", "1\n2\n3");
        assert!(matches!(stretches(&rows)[..], [Stretch::Folded(all)] if all.len() == 3));
        assert!(stretches(&[]).is_empty());
    }
}
