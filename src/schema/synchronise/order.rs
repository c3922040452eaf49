//! An order in which what is mentioned comes before what mentions it.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::lexer::{TokenKind, code};

/// The names that a text mentions, in lower case and without quotes.
pub(super) fn names_in(sql: &str) -> BTreeSet<String> {
    let tokens = code(sql);
    let names = tokens
        .iter()
        .filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName));
    names.map(|token| token.name().to_lowercase()).collect()
}

/// Whether a text mentions a name, quoted or not.
pub(super) fn mentions(sql: &str, name: &str) -> bool {
    names_in(sql).contains(&name.to_lowercase())
}

/// One member of the order: a name as texts mention it, and its text.
pub(super) struct Member<'a> {
    pub name: &'a str,
    pub text: &'a str,
}

/// The places of the members, each behind those that its text mentions, otherwise in the order given; and the places at
/// which that cannot be, because they mention each other.
pub(super) fn by_mentions(members: &[Member<'_>]) -> (Vec<usize>, Vec<usize>) {
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, member) in members.iter().enumerate() {
        by_name
            .entry(member.name.to_lowercase())
            .or_default()
            .push(place);
    }
    let needs: Vec<Vec<usize>> = members
        .iter()
        .enumerate()
        .map(|(place, member)| {
            let names = names_in(member.text);
            let found = names.iter().filter_map(|name| by_name.get(name));
            let mut found: Vec<usize> = found
                .flatten()
                .copied()
                .filter(|other| *other != place)
                .collect();
            found.sort_unstable();
            found
        })
        .collect();
    let mut walk = Walk {
        needs: &needs,
        states: vec![State::New; members.len()],
        order: Vec::with_capacity(members.len()),
        in_circles: Vec::new(),
    };
    for place in 0..members.len() {
        walk.visit(place);
    }
    (walk.order, walk.in_circles)
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

struct Walk<'a> {
    needs: &'a [Vec<usize>],
    states: Vec<State>,
    order: Vec<usize>,
    in_circles: Vec<usize>,
}

impl Walk<'_> {
    /// Puts a member behind all that it needs. Without recursion: chains of modules have no limit.
    fn visit(&mut self, start: usize) {
        if self.states[start] != State::New {
            return;
        }
        self.states[start] = State::Open;
        let mut path = vec![(start, 0)];
        while let Some((place, next)) = path.last_mut() {
            match self.needs[*place].get(*next) {
                Some(&needed) => {
                    *next += 1;
                    match self.states[needed] {
                        State::New => {
                            self.states[needed] = State::Open;
                            path.push((needed, 0));
                        }
                        State::Open => self.in_circles.push(needed),
                        State::Done => {}
                    }
                }
                None => {
                    self.states[*place] = State::Done;
                    self.order.push(*place);
                    path.pop();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(texts: &[(&str, &str)]) -> (Vec<String>, usize) {
        let members: Vec<Member<'_>> = texts
            .iter()
            .map(|(name, text)| Member { name, text })
            .collect();
        let (order, circles) = by_mentions(&members);
        let names = order.iter().map(|place| texts[*place].0.to_owned());
        (names.collect(), circles.len())
    }

    #[test]
    fn what_is_mentioned_comes_first() {
        let (order, circles) = ordered(&[
            ("a", "CREATE VIEW a AS SELECT * FROM dbo.[B]"),
            ("b", "CREATE VIEW b AS SELECT * FROM c"),
            ("c", "CREATE VIEW c AS SELECT 1 -- a"),
        ]);
        assert_eq!((order.join(" "), circles), ("c b a".to_owned(), 0));
    }

    #[test]
    fn a_circle_is_told_and_everything_is_still_there_once() {
        let (order, circles) = ordered(&[
            ("a", "CREATE PROCEDURE a AS EXEC b"),
            ("b", "CREATE PROCEDURE b AS EXEC a"),
        ]);
        assert_eq!((order.join(" "), circles), ("b a".to_owned(), 1));
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let names: Vec<String> = (0..50_000).map(|number| format!("m{number}")).collect();
        let texts: Vec<String> = (1..=50_000).map(|number| format!("m{number}")).collect();
        let members: Vec<Member<'_>> = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| Member { name, text })
            .collect();
        assert_eq!(by_mentions(&members).0[0], 49_999);
    }
}
