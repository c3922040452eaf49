//! The variables of a script: `$(name)` stands for a value that is put in before a batch is sent.
//!
//! As sqlcmd does it: in strings and quoted identifiers as well, but not in comments; names are compared without regard to
//! case; what does not look like a variable stays as it is (sqlcmd gives up there). Sources: "sqlcmd - Use with scripting
//! variables" for the names; for the places `batch.go` of microsoft/go-sqlcmd and `TextBlock.cs` of
//! microsoft/sqltoolsservice.
//!
//! A script is split before, so that no value can bring a `GO`, and its checksums are those of the text before.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::cursor::{Cursor, Mark, is_plain};
use super::syntax::Syntax;

/// A place where a variable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Its name, as it was written.
    pub name: &'a str,
    /// Whether it stands in a string or a quoted identifier.
    pub is_quoted: bool,
    pub(super) mark: Mark,
}

impl Reference<'_> {
    /// The line of the text, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.mark.line
    }

    /// The bytes of the text from the dollar sign to the parenthesis.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.mark.offset..self.mark.offset + self.name.len() + MARKS
    }
}

/// The bytes around a name: `$()`.
const MARKS: usize = 3;

/// The places of a script or batch where variables stand, in order.
pub fn references(text: &str, syntax: Syntax) -> impl Iterator<Item = Reference<'_>> {
    References {
        cursor: Cursor::new(text),
        syntax,
        quoted_to: 0,
    }
}

/// The values of variables, by their names in any case. A value may be a secret, such as the password of a login: the `Debug`
/// form shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

/// Why something is no variable, or its value no value. Neither is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// The name has a wrong form.
    #[error(
        "must name the variable with a letter or an underscore, then letters, digits and underscores"
    )]
    Name,
    /// The name is there already, perhaps in another case.
    #[error(
        "names a variable that is there in another case as well: names are the same in any case"
    )]
    Repeated,
    /// The value has a line end.
    #[error(
        "must not hold a line end: the lines that the server names in an error would no longer be those of the file"
    )]
    LineEnd,
}

/// A variable of a script has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the variable '{name}' has no value: give it one, or correct its name")]
pub struct UndefinedVariable {
    /// Its name, as it was written.
    pub name: String,
    /// The line of the text, from 1.
    pub line: u32,
}

impl Variables {
    /// Adds a variable.
    ///
    /// # Errors
    ///
    /// When its name or its value cannot be one.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), VariableError> {
        if !is_name(name) {
            return Err(VariableError::Name);
        }
        if value.contains(['\r', '\n']) {
            return Err(VariableError::LineEnd);
        }
        let name = name.to_ascii_lowercase();
        if self.0.contains_key(&name) {
            return Err(VariableError::Repeated);
        }
        self.0.insert(name, value.to_owned());
        Ok(())
    }

    /// The text with every value put back to its `$(name)`: a server repeats parts of what it was sent. Values of fewer than
    /// four characters stay, since they are no secrets and stand in many words.
    pub fn conceal(&self, text: &str) -> String {
        const SHORTEST: usize = 4;
        let mut concealed = text.to_owned();
        // A value may be a part of another: the longest first.
        let mut values: Vec<(&String, &String)> = self.0.iter().collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in values {
            if value.chars().count() >= SHORTEST && concealed.contains(value.as_str()) {
                concealed = concealed.replace(value.as_str(), &format!("$({name})"));
            }
        }
        concealed
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the values into a batch, once: what a value brings is not looked at again. Its lines stay as they are.
    ///
    /// # Errors
    ///
    /// The first variable that has no value.
    pub fn substitute<'t>(
        &self,
        batch: &'t str,
        syntax: Syntax,
    ) -> Result<Cow<'t, str>, UndefinedVariable> {
        let mut substituted = String::new();
        let mut copied = 0;
        for reference in references(batch, syntax) {
            let value = self.0.get(&reference.name.to_ascii_lowercase());
            let value = value.ok_or_else(|| UndefinedVariable {
                name: reference.name.to_owned(),
                line: reference.line(),
            })?;
            let range = reference.range();
            substituted.push_str(&batch[copied..range.start]);
            substituted.push_str(value);
            copied = range.end;
        }
        if copied == 0 {
            return Ok(Cow::Borrowed(batch));
        }
        substituted.push_str(&batch[copied..]);
        Ok(Cow::Owned(substituted))
    }
}

/// The names of the variables of a JSON text, each with its line. All stand in strings: JSON has no other place for them.
pub fn json_references(text: &str) -> impl Iterator<Item = (&str, u32)> {
    json_places(text).map(|(range, line)| (&text[range.start + 2..range.end - 1], line))
}

fn json_places(text: &str) -> impl Iterator<Item = (Range<usize>, u32)> {
    let mut line = 1;
    let mut counted = 0;
    text.match_indices("$(").filter_map(move |(offset, _)| {
        let name = name_in_reference(&text[offset..])?;
        line += line_ends(&text[counted..offset]);
        counted = offset;
        Some((offset..offset + name.len() + MARKS, line))
    })
}

fn line_ends(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(at, byte)| {
        **byte == b'\n' || (**byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
    });
    u32::try_from(ends.count()).unwrap_or(u32::MAX)
}

impl Variables {
    /// Puts the values into a JSON text, once, so that each is a part of the string in which its variable stands and of
    /// nothing else.
    ///
    /// # Errors
    ///
    /// The first variable that has no value.
    pub fn substitute_json<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, UndefinedVariable> {
        let mut substituted = String::new();
        let mut copied = 0;
        for (range, line) in json_places(text) {
            let name = &text[range.start + 2..range.end - 1];
            let value = self.0.get(&name.to_ascii_lowercase());
            let value = value.ok_or_else(|| UndefinedVariable {
                name: name.to_owned(),
                line,
            })?;
            substituted.push_str(&text[copied..range.start]);
            // A string in its quotes; without them it is what stands within a string.
            let quoted = serde_json::Value::from(value.as_str()).to_string();
            substituted.push_str(&quoted[1..quoted.len() - 1]);
            copied = range.end;
        }
        if copied == 0 {
            return Ok(Cow::Borrowed(text));
        }
        substituted.push_str(&text[copied..]);
        Ok(Cow::Owned(substituted))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

struct References<'a> {
    cursor: Cursor<'a>,
    syntax: Syntax,
    /// Where the string or quoted identifier ends that the cursor stands in.
    quoted_to: usize,
}

impl<'a> Iterator for References<'a> {
    type Item = Reference<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // What is closed by a bracket is not passed over either.
            self.cursor
                .skip_while(|byte| is_plain(byte) && !matches!(byte, b'$' | b']'));
            let mark = self.cursor.mark();
            if mark.offset >= self.quoted_to {
                let mut behind = self.cursor.clone();
                match behind.skip_element(self.syntax) {
                    Ok(None) => {}
                    Ok(Some(element)) if element.is_comment() => {
                        self.cursor = behind;
                        continue;
                    }
                    Ok(Some(_)) => self.quoted_to = behind.mark().offset,
                    Err(open) if open.element.is_comment() => return None,
                    Err(_) => self.quoted_to = usize::MAX,
                }
            }
            if self.cursor.skip_line_end() {
                continue;
            }
            self.cursor.peek(0)?;
            let Some(name) = name_in_reference(self.cursor.rest()) else {
                self.cursor.advance(1);
                continue;
            };
            self.cursor.advance(name.len() + MARKS);
            return Some(Reference {
                name,
                is_quoted: mark.offset < self.quoted_to,
                mark,
            });
        }
    }
}

/// The name of the variable that a text begins with.
fn name_in_reference(text: &str) -> Option<&str> {
    let behind = text.strip_prefix("$(")?;
    let length = behind
        .bytes()
        .take_while(|&byte| is_name_byte(byte))
        .count();
    let (name, rest) = behind.split_at_checked(length)?;
    (is_name(name) && rest.starts_with(')')).then_some(name)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T_SQL: Syntax = Syntax::TransactSql;

    fn found(text: &str) -> Vec<(&str, u32, bool)> {
        references(text, T_SQL)
            .map(|reference| (reference.name, reference.line(), reference.is_quoted))
            .collect()
    }

    fn variables(values: &[(&str, &str)]) -> Result<Variables, VariableError> {
        let mut variables = Variables::default();
        for (name, value) in values {
            variables.add(name, value)?;
        }
        Ok(variables)
    }

    fn substituted(batch: &str, values: &[(&str, &str)]) -> String {
        let variables = variables(values).unwrap();
        variables.substitute(batch, T_SQL).unwrap().into_owned()
    }

    #[test]
    fn a_variable_is_a_name_in_parentheses_behind_a_dollar_sign() {
        assert_eq!(
            found("USE $(a);$(B_2)$(_c-3)\r\n$(d)"),
            [
                ("a", 1, false),
                ("B_2", 1, false),
                ("_c-3", 1, false),
                ("d", 2, false)
            ]
        );
        for text in [
            "$()", "$(1)", "$(-a)", "$(a b)", "$(a", "$ (a)", "$[a]", "$(é)", "$a", "$",
        ] {
            assert_eq!(found(text), [], "{text:?}");
        }
        assert_eq!(found("$($(a)"), [("a", 1, false)]);
        assert_eq!(found("é$$(a)"), [("a", 1, false)]);
    }

    #[test]
    fn variables_stand_in_quotes_but_not_in_comments() {
        let text = "'$(a)\n''$(b)' [$(c)]]$(d)] \"$(e)\" -- $(f)\n/* $(g) /* */ $(h)\r\n */ $(i)";
        assert_eq!(
            found(text),
            [
                ("a", 1, true),
                ("b", 2, true),
                ("c", 2, true),
                ("d", 2, true),
                ("e", 2, true),
                ("i", 4, false)
            ]
        );
    }

    #[test]
    fn what_is_not_closed_is_read_as_if_it_ended_with_the_text() {
        assert_eq!(found("'$(a) -- $(b)"), [("a", 1, true), ("b", 1, true)]);
        assert_eq!(found("$(a) /* $(b)"), [("a", 1, false)]);
    }

    #[test]
    fn every_variable_is_replaced_by_its_value_in_any_case() {
        assert_eq!(
            substituted(
                "USE [$(Db)]; SELECT '$(dB)$(x)' /* $(nothing) */",
                &[("DB", "a]b"), ("x", "")]
            ),
            "USE [a]b]; SELECT 'a]b' /* $(nothing) */"
        );
        let text = "SELECT '$(1)'";
        assert!(matches!(
            Variables::default().substitute(text, T_SQL),
            Ok(Cow::Borrowed(same)) if same == text
        ));
    }

    #[test]
    fn what_a_server_repeats_of_a_value_is_put_back_to_its_name() {
        let mut variables = Variables::default();
        variables.add("password", "hush hush").unwrap();
        variables.add("word", "hush").unwrap();
        variables.add("flag", "on").unwrap();
        assert_eq!(
            variables.conceal("near 'hush hush' on line 3: hush"),
            "near '$(password)' on line 3: $(word)"
        );
    }

    #[test]
    fn a_value_is_put_in_once() {
        assert_eq!(
            substituted("$(a)$(b)", &[("a", "$(b)"), ("b", "/*")]),
            "$(b)/*"
        );
    }

    #[test]
    fn a_variable_without_a_value_is_named_with_its_line() {
        let variables = variables(&[("a", "1")]).unwrap();
        assert_eq!(
            variables.substitute("$(a)\r\n'\n$(Bc)'", T_SQL),
            Err(UndefinedVariable {
                name: "Bc".to_owned(),
                line: 3
            })
        );
    }

    #[test]
    fn a_value_may_not_move_the_lines_behind_it() {
        for value in ["a\nb", "a\r", "\r\n"] {
            assert_eq!(variables(&[("a", value)]), Err(VariableError::LineEnd));
        }
    }

    #[test]
    fn a_name_has_one_form_and_one_value() {
        for name in ["", "1a", "-a", "a b", "$(a)", "é"] {
            assert_eq!(variables(&[(name, "")]), Err(VariableError::Name));
        }
        assert_eq!(
            variables(&[("ab", "1"), ("aB", "2")]),
            Err(VariableError::Repeated)
        );
    }

    #[test]
    fn in_json_a_value_stays_within_its_string() {
        let variables = variables(&[("who", "ada \\ \", \"x\": \"")]).unwrap();
        let text = "{\"a\": \"<$(WHO)>\",\r\n \"b\": \"$(1) $who\"}";
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&variables.substitute_json(text).unwrap())
                .unwrap(),
            serde_json::json!({"a": "<ada \\ \", \"x\": \">", "b": "$(1) $who"})
        );
        let nothing = variables.substitute_json("{}").unwrap();
        assert!(matches!(nothing, Cow::Borrowed("{}")));
        let text = "{\"a\":\r\n \"$(who)\",\n \"b\": \"$(nobody)\"}";
        let names: Vec<_> = json_references(text).collect();
        assert_eq!(names, [("who", 2), ("nobody", 3)]);
        assert_eq!(
            variables.substitute_json(text),
            Err(UndefinedVariable {
                name: "nobody".to_owned(),
                line: 3
            })
        );
    }

    #[test]
    fn values_are_not_shown() {
        let variables = variables(&[("password", "secret")]).unwrap();
        assert_eq!(format!("{variables:?}"), "{\"password\"}");
    }

    proptest! {
        #[test]
        fn substituting_keeps_the_lines_and_the_rest_of_the_text(
            pieces in prop::collection::vec(("[a-z '\r\n;]{0,5}|--|/\\*|\\*/", "[abc]"), 0..20),
            value in "[^\r\n]{0,5}",
        ) {
            let batch: String = pieces.iter().map(|(text, name)| format!("{text}$({name})")).collect();
            let values = ["a", "b", "c"].map(|name| (name, value.as_str()));
            let after = substituted(&batch, &values);
            let line_ends = |text: &str| text.matches(['\r', '\n']).collect::<String>();
            prop_assert_eq!(line_ends(&after), line_ends(&batch));
            let mut expected = batch.clone();
            let found: Vec<_> = references(&batch, T_SQL).collect();
            for reference in found.iter().rev() {
                prop_assert_eq!(&batch[reference.range()], format!("$({})", reference.name));
                expected.replace_range(reference.range(), &value);
            }
            prop_assert_eq!(after, expected);
        }

        #[test]
        fn no_text_makes_looking_for_variables_panic(text in "(\\PC|\n|\\$\\(|\\)|a|'|\\[|`|--|/\\*){0,30}") {
            for syntax in [T_SQL, Syntax::Sqlite] {
                let _ = references(&text, syntax).count();
                let _ = Variables::default().substitute(&text, syntax);
            }
        }
    }
}
