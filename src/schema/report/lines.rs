//! Two versions of a text set against each other, line by line.

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Kept(&'a str),
    Removed(&'a str),
    Added(&'a str),
}

/// The lines that both texts begin and end with are kept, what is between them was removed and added.
///
/// Not the shortest difference, but one that takes linear time whatever the texts, and shows one edit just as well.
pub(super) fn compare<'a>(from: &'a str, to: &'a str) -> Vec<Line<'a>> {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let equal = |(one, other): &(&&str, &&str)| one == other;
    let head = from.iter().zip(&to).take_while(equal).count();
    let (from_rest, to_rest) = (&from[head..], &to[head..]);
    let tail = from_rest
        .iter()
        .rev()
        .zip(to_rest.iter().rev())
        .take_while(equal)
        .count();
    let (removed, kept) = from_rest.split_at(from_rest.len() - tail);
    let added = &to_rest[..to_rest.len() - tail];
    let begin = from[..head].iter().map(|line| Line::Kept(line));
    let middle = removed
        .iter()
        .map(|line| Line::Removed(line))
        .chain(added.iter().map(|line| Line::Added(line)));
    begin
        .chain(middle)
        .chain(kept.iter().map(|line| Line::Kept(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Line::*;
    use super::*;

    #[test]
    fn lines_around_the_edit_are_kept() {
        assert_eq!(
            compare("a\nb\nc\nd", "a\nx\ny\nd"),
            vec![
                Kept("a"),
                Removed("b"),
                Removed("c"),
                Added("x"),
                Added("y"),
                Kept("d")
            ]
        );
    }

    #[test]
    fn a_line_is_never_kept_twice() {
        assert_eq!(compare("a\na", "a"), vec![Kept("a"), Removed("a")]);
        assert_eq!(compare("a", "a\na"), vec![Kept("a"), Added("a")]);
    }

    #[test]
    fn a_text_that_came_or_went_has_only_one_kind_of_line() {
        assert_eq!(compare("", "a\nb"), vec![Added("a"), Added("b")]);
        assert_eq!(compare("a", ""), vec![Removed("a")]);
    }
}
