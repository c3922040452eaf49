//! Which words of a line stayed in the line that came in its place, and which line that is.

use std::collections::BTreeMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::lines::Piece;

/// Two lines that belong together, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    pub from: usize,
    pub to: usize,
}

/// The lines that have at least a third of their words in common, in their order; each belongs to at most one.
pub(super) fn pairs(from: &[&str], to: &[&str]) -> Vec<Pair> {
    let (before, after) = (placed(from), placed(to));
    let (old, new): (Vec<&str>, Vec<&str>) = (texts(&before), texts(&after));
    let mut shared: BTreeMap<Pair, usize> = BTreeMap::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = op
        {
            for place in 0..len {
                let (line, word) = before[old_index + place];
                let pair = Pair {
                    from: line,
                    to: after[new_index + place].0,
                };
                *shared.entry(pair).or_default() += weight(word);
            }
        }
    }
    let enough = |(pair, shared): &(Pair, usize)| {
        *shared > 0 && 3 * *shared >= weight(from[pair.from]).max(weight(to[pair.to]))
    };
    let mut likely: Vec<(Pair, usize)> = shared.into_iter().filter(enough).collect();
    // What is shared never crosses, so the best may be taken first without looking where it stands.
    likely.sort_by_key(|(pair, shared)| (std::cmp::Reverse(*shared), *pair));
    let mut pairs: Vec<Pair> = Vec::new();
    for (pair, _) in likely {
        if !pairs
            .iter()
            .any(|taken| taken.from == pair.from || taken.to == pair.to)
        {
            pairs.push(pair);
        }
    }
    pairs.sort();
    pairs
}

/// Two lines in pieces, those marked that the other does not have.
pub(super) fn pieces<'a>(from: &'a str, to: &'a str) -> (Vec<Piece<'a>>, Vec<Piece<'a>>) {
    let (before, after): (Vec<&str>, Vec<&str>) = (words(from).collect(), words(to).collect());
    let (mut went, mut came) = (vec![true; before.len()], vec![true; after.len()]);
    for op in capture_diff_slices(Algorithm::Myers, &before, &after) {
        if let DiffOp::Equal { .. } = op {
            went[op.old_range()].fill(false);
            came[op.new_range()].fill(false);
        }
    }
    (joined(from, &before, went), joined(to, &after, came))
}

fn joined<'a>(line: &'a str, words: &[&str], mut marked: Vec<bool>) -> Vec<Piece<'a>> {
    // A space that stayed between two words that did not.
    for place in 1..words.len().saturating_sub(1) {
        if words[place].trim().is_empty() && marked[place - 1] && marked[place + 1] {
            marked[place] = true;
        }
    }
    let mut rest = line;
    let mut pieces = Vec::new();
    let mut place = 0;
    for run in marked.chunk_by(|one, next| one == next) {
        let length = words[place..place + run.len()]
            .iter()
            .map(|word| word.len())
            .sum();
        let (text, behind) = rest.split_at(length);
        pieces.push(Piece {
            marked: run[0],
            text,
        });
        rest = behind;
        place += run.len();
    }
    pieces
}

/// The words of some lines, each with the place of its line.
fn placed<'a>(lines: &[&'a str]) -> Vec<(usize, &'a str)> {
    let of_line = |(place, line): (usize, &&'a str)| words(line).map(move |word| (place, word));
    lines.iter().enumerate().flat_map(of_line).collect()
}

fn texts<'a>(words: &[(usize, &'a str)]) -> Vec<&'a str> {
    words.iter().map(|(_, word)| *word).collect()
}

/// A line cut into names and numbers, runs of space, and single other characters: what is changed in SQL as one.
fn words(line: &str) -> impl Iterator<Item = &str> {
    #[derive(PartialEq)]
    enum Class {
        Word,
        Space,
        Other,
    }
    let class = |character: char| match character {
        '_' | '@' | '#' | '$' => Class::Word,
        _ if character.is_alphanumeric() => Class::Word,
        _ if character.is_whitespace() => Class::Space,
        _ => Class::Other,
    };
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = class(rest.chars().next()?);
        let end = match first {
            Class::Other => rest.chars().next().map_or(0, char::len_utf8),
            _ => rest
                .find(|character| class(character) != first)
                .unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

/// How much of a text is more than space, in characters.
fn weight(text: &str) -> usize {
    text.chars()
        .filter(|character| !character.is_whitespace())
        .count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_cut_into_what_changes_as_one() {
        let cut: Vec<&str> = words("  @id=a.b_1, N'é'").collect();
        assert_eq!(
            cut,
            [
                "  ", "@id", "=", "a", ".", "b_1", ",", " ", "N", "'", "é", "'"
            ]
        );
        assert_eq!(words("").count(), 0);
    }

    #[test]
    fn the_space_between_changed_words_is_part_of_the_change() {
        let (_, to) = pieces("a x y b", "a p q b");
        let marked: Vec<&str> = to
            .iter()
            .filter(|piece| piece.marked)
            .map(|piece| piece.text)
            .collect();
        assert_eq!(marked, ["p q"]);
    }

    #[test]
    fn a_line_belongs_to_the_one_with_which_it_shares_most() {
        let found = pairs(&["aa bb cccc dddd"], &["aa bb", "cccc dddd e"]);
        assert_eq!(found, [Pair { from: 0, to: 1 }]);
    }

    #[test]
    fn lines_that_share_little_do_not_belong_together() {
        let found = pairs(&["SELECT net, tax FROM orders"], &["DELETE orders"]);
        assert_eq!(found, []);
        assert_eq!(pairs(&["  ", ""], &["   ", "  "]), []);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_line(from in "[ab,é ]{0,12}", to in "[ab,é ]{0,12}") {
            let text = |pieces: &[Piece]| pieces.iter().map(|piece| piece.text).collect::<String>();
            let (before, after) = pieces(&from, &to);
            prop_assert_eq!(text(&before), from.as_str());
            prop_assert_eq!(text(&after), to.as_str());
        }

        #[test]
        fn pairs_never_cross(
            from in prop::collection::vec("[abc ]{0,4}", 0..6),
            to in prop::collection::vec("[abc ]{0,4}", 0..6)
        ) {
            let (from, to): (Vec<&str>, Vec<&str>) =
                (from.iter().map(String::as_str).collect(), to.iter().map(String::as_str).collect());
            for two in pairs(&from, &to).windows(2) {
                prop_assert!(two[0].from < two[1].from && two[0].to < two[1].to, "{two:?}");
            }
        }
    }
}
