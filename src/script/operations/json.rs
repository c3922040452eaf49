//! JSON with the place of every value, so that a fault can be shown where it stands.

use std::ops::Range;

/// How deep lists and objects may lie in each other.
const DEEPEST: usize = 100;

/// A place of a text, from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: u32,
    pub column: u32,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node<'a> {
    pub kind: Kind<'a>,
    pub place: Place,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    Null,
    Truth(bool),
    /// As it was written.
    Number(&'a str),
    Text(String),
    List(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member<'a> {
    pub name: String,
    pub place: Place,
    pub value: Node<'a>,
}

/// What is no JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub place: Place,
    pub message: String,
}

impl Node<'_> {
    /// The value without its place. Its numbers are those of JSON, which Cosmos DB keeps as double precision.
    pub fn value(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Truth(truth) => Value::Bool(*truth),
            // That it is a number was seen when it was read.
            Kind::Number(text) => serde_json::from_str(text).unwrap_or_default(),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(nodes) => nodes.iter().map(Node::value).collect(),
            Kind::Object(members) => members
                .iter()
                .map(|member| (member.name.clone(), member.value.value()))
                .collect(),
        }
    }

    /// What it is, in a word with its article.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Truth(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a string",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
        }
    }
}

/// Reads a text that is one value.
///
/// # Errors
///
/// The first thing that is no JSON, a field that an object has twice, and what lies too deep.
pub(super) fn read(text: &str) -> Result<Node<'_>, Malformed> {
    let mut reader = Reader {
        text,
        at: 0,
        place: Place { line: 1, column: 1 },
    };
    reader.skip_blanks();
    let node = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok(node),
        Some(found) => Err(reader.fault(format!("the JSON has ended before {}", shown(found)))),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    place: Place,
}

fn shown(found: char) -> String {
    format!("`{}`", found.escape_debug())
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        // A carriage return before a line feed belongs to the same line end.
        let ends_line = next == '\n' || (next == '\r' && self.peek() != Some('\n'));
        if ends_line {
            self.place.line = self.place.line.saturating_add(1);
            self.place.column = 1;
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(next)
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.advance();
        }
    }

    fn fault(&self, message: impl Into<String>) -> Malformed {
        Malformed {
            place: self.place,
            message: message.into(),
        }
    }

    fn expected(&self, what: &str) -> Malformed {
        match self.peek() {
            None => self.fault(format!("expected {what}, and the text ends here")),
            Some(found) => self.fault(format!("expected {what}, not {}", shown(found))),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Malformed> {
        if depth > DEEPEST {
            return Err(self.fault(format!("lies deeper than {DEEPEST} lists and objects")));
        }
        let (place, begin) = (self.place, self.at);
        let kind = match self.peek() {
            Some('{') => Kind::Object(self.members(depth)?),
            Some('[') => Kind::List(self.list(depth)?),
            Some('"') => Kind::Text(self.string()?),
            Some('-' | '0'..='9') => Kind::Number(self.number()?),
            Some('a'..='z') => self.word()?,
            _ => return Err(self.expected("a value")),
        };
        Ok(Node {
            kind,
            place,
            range: begin..self.at,
        })
    }

    fn members(&mut self, depth: usize) -> Result<Vec<Member<'a>>, Malformed> {
        self.advance();
        let mut members: Vec<Member<'a>> = Vec::new();
        self.skip_blanks();
        if self.peek() == Some('}') {
            self.advance();
            return Ok(members);
        }
        loop {
            self.skip_blanks();
            let place = self.place;
            if self.peek() != Some('"') {
                return Err(self.expected("the name of a field in double quotes"));
            }
            let name = self.string()?;
            if members.iter().any(|member| member.name == name) {
                return Err(Malformed {
                    place,
                    message: format!("the field {name} is there twice"),
                });
            }
            self.skip_blanks();
            if self.peek() != Some(':') {
                return Err(self.expected("a colon"));
            }
            self.advance();
            self.skip_blanks();
            let value = self.value(depth + 1)?;
            members.push(Member { name, place, value });
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.advance(),
                Some('}') => {
                    self.advance();
                    return Ok(members);
                }
                _ => return Err(self.expected("a comma or a closing brace")),
            };
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node<'a>>, Malformed> {
        self.advance();
        let mut nodes = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(']') {
            self.advance();
            return Ok(nodes);
        }
        loop {
            self.skip_blanks();
            nodes.push(self.value(depth + 1)?);
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.advance(),
                Some(']') => {
                    self.advance();
                    return Ok(nodes);
                }
                _ => return Err(self.expected("a comma or a closing bracket")),
            };
        }
    }

    fn string(&mut self) -> Result<String, Malformed> {
        let (place, begin) = (self.place, self.at);
        self.advance();
        loop {
            match self.peek() {
                None => {
                    return Err(Malformed {
                        place,
                        message: "the string is not closed".to_owned(),
                    });
                }
                Some('\n' | '\r') => {
                    return Err(Malformed {
                        place,
                        message:
                            "the string is not closed on its line; a line end in it is written \\n"
                                .to_owned(),
                    });
                }
                Some('\\') => {
                    self.advance();
                    self.advance();
                }
                Some('"') => {
                    self.advance();
                    break;
                }
                Some(_) => {
                    self.advance();
                }
            }
        }
        serde_json::from_str(&self.text[begin..self.at]).map_err(|_| Malformed {
            place,
            message: "the string holds a control character or an escape that JSON does not know"
                .to_owned(),
        })
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let (place, begin) = (self.place, self.at);
        while matches!(self.peek(), Some('-' | '+' | '.' | 'e' | 'E' | '0'..='9')) {
            self.advance();
        }
        let text = &self.text[begin..self.at];
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(_) => Ok(text),
            Err(_) => Err(Malformed {
                place,
                message: format!("{text} is no number of JSON, or too large for Cosmos DB"),
            }),
        }
    }

    fn word(&mut self) -> Result<Kind<'a>, Malformed> {
        let (place, begin) = (self.place, self.at);
        while matches!(self.peek(), Some('a'..='z')) {
            self.advance();
        }
        match &self.text[begin..self.at] {
            "null" => Ok(Kind::Null),
            "true" => Ok(Kind::Truth(true)),
            "false" => Ok(Kind::Truth(false)),
            word => Err(Malformed {
                place,
                message: format!("{word} is no value; a text stands in double quotes"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn fault(text: &str) -> (u32, u32, String) {
        let fault = read(text).unwrap_err();
        (fault.place.line, fault.place.column, fault.message)
    }

    #[test]
    fn every_kind_of_value_is_read_with_its_place() {
        let text = "\r\n [null, true,\r false, -1.5e2,\n\"\\u00e9\\n\", {\"é\": 1, \"b\": []}]\n";
        let node = read(text).unwrap();
        assert_eq!(
            node.value(),
            json!([null, true, false, -150.0, "é\n", {"é": 1, "b": []}])
        );
        let Kind::List(nodes) = &node.kind else {
            panic!("{node:?}");
        };
        let places: Vec<_> = nodes
            .iter()
            .map(|node| (node.place.line, node.place.column))
            .collect();
        assert_eq!(places, [(2, 3), (2, 9), (3, 2), (3, 9), (4, 1), (4, 13)]);
        assert_eq!(&text[nodes[5].range.clone()], "{\"é\": 1, \"b\": []}");
        let Kind::Object(members) = &nodes[5].kind else {
            panic!("{node:?}");
        };
        assert_eq!((members[1].place.line, members[1].place.column), (4, 22));
    }

    #[test]
    fn what_is_no_json_is_told_where_it_stands() {
        for (text, line, column, words) in [
            ("", 1, 1, "the text ends here"),
            ("[1,\n 2,\n]", 3, 1, "expected a value, not `]`"),
            ("{'a': 1}", 1, 2, "in double quotes"),
            ("{\"a\" 1}", 1, 6, "a colon"),
            ("{\"a\": 1 \"b\": 2}", 1, 9, "a comma or a closing brace"),
            ("[1 2]", 1, 4, "a comma or a closing bracket"),
            ("[1] x", 1, 5, "ended before `x`"),
            ("[\n\"a\n\"]", 2, 1, "not closed on its line"),
            ("[\"a", 1, 2, "not closed"),
            ("[\"\\x\"]", 1, 2, "an escape"),
            ("[01]", 1, 2, "no number"),
            ("[1e999]", 1, 2, "too large"),
            ("[yes]", 1, 2, "yes is no value"),
            ("{\"a\": 1,\n \"a\": 2}", 2, 2, "a is there twice"),
            ("// no comments\n{}", 1, 1, "expected a value"),
        ] {
            let (found_line, found_column, message) = fault(text);
            assert_eq!((found_line, found_column), (line, column), "{text}");
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    #[test]
    fn depth_does_no_harm() {
        for open in ["[", "{\"a\":"] {
            assert!(fault(&open.repeat(1_000_000)).2.contains("deeper"));
        }
    }

    fn some_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|[\"\\\\\n\t/]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(value in some_json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(read(&text).unwrap().value(), value.clone());
            }
        }

        #[test]
        fn a_text_is_json_exactly_when_others_say_so(text in "[\\[\\]{}:,\"a\\\\ 0-9.eE+\\-ntrufals\n]{0,24}") {
            // Others take the second of two equal fields.
            let ours = read(&text);
            let twice = ours.as_ref().is_err_and(|fault| fault.message.contains("twice"));
            prop_assert!(twice || ours.is_ok() == serde_json::from_str::<Value>(&text).is_ok(), "{:?}", ours);
        }

        #[test]
        fn no_text_makes_reading_panic(text in "(\\PC|[\\[\\]{}:,\"\\\\\r\n]){0,40}") {
            let _ = read(&text);
        }
    }
}
