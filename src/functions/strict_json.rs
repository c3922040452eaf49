//! JSON as requests must be: UTF-8 without byte order mark, and no name twice in an object.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a body is no JSON that dbvc takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrictJsonError {
    /// Bytes that are not UTF-8.
    #[error("the body is not UTF-8; send JSON in UTF-8")]
    NotUtf8,
    /// A byte order mark, which RFC 8259 forbids to send.
    #[error("the body begins with a byte order mark; send JSON without it")]
    ByteOrderMark,
    /// No JSON.
    #[error("the body is not JSON: {0}")]
    Syntax(String),
    /// Names that an object holds twice: which of the two values counts, readers of JSON do not agree on.
    #[error("the body holds a name twice in one object")]
    Repeated(Vec<String>),
}

/// Reads a body.
pub fn parse(bytes: &[u8]) -> Result<Value, StrictJsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| StrictJsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(StrictJsonError::ByteOrderMark);
    }
    let syntax = |error: serde_json::Error| StrictJsonError::Syntax(error.to_string());
    let repeated = RefCell::new(Vec::new());
    // The reader of serde_json gives up at a depth of 128, long before the stack does.
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Node(&repeated).deserialize(&mut reader).map_err(syntax)?;
    reader.end().map_err(syntax)?;
    let repeated = repeated.into_inner();
    if repeated.is_empty() {
        Ok(value)
    } else {
        Err(StrictJsonError::Repeated(repeated))
    }
}

/// A value that is being read, and the names found twice so far.
#[derive(Clone, Copy)]
struct Node<'a>(&'a RefCell<Vec<String>>);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.contains_key(&name) {
                self.0.borrow_mut().push(name);
            } else {
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let text =
            r#"{"a": [1, -2, 3.5, "x\n", true, null, {}], "b": {"a": 18446744073709551615}}"#;
        assert_eq!(
            parse(text.as_bytes()),
            Ok(json!({"a": [1, -2, 3.5, "x\n", true, null, {}], "b": {"a": u64::MAX}}))
        );
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for text in [
            "",
            " ",
            "{",
            "{} {}",
            "{'a': 1}",
            "[1,]",
            "nul",
            "1e999",
            r#""\ud800""#,
            "\u{0}",
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(
                matches!(&error, StrictJsonError::Syntax(place) if place.contains("line 1")),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        assert_eq!(parse(b"{\"a\": \"\xff\"}"), Err(StrictJsonError::NotUtf8));
        assert_eq!(
            parse("\u{feff}{}".as_bytes()),
            Err(StrictJsonError::ByteOrderMark)
        );
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_at_any_depth() {
        let text = r#"{"a": 1, "b": {"c": [{"d": 1, "d": 2}]}, "a": 3}"#;
        assert_eq!(
            parse(text.as_bytes()),
            Err(StrictJsonError::Repeated(vec![
                "d".to_owned(),
                "a".to_owned()
            ]))
        );
        // Written differently, the same name.
        assert!(parse(br#"{"a": 1, "\u0061": 2}"#).is_err());
    }

    #[test]
    fn a_body_of_brackets_does_not_exhaust_the_stack() {
        for bracket in ["[", "{\"a\":"] {
            assert!(matches!(
                parse(bracket.repeat(1_000_000).as_bytes()),
                Err(StrictJsonError::Syntax(_))
            ));
        }
    }
}
