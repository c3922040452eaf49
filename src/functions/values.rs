//! The kinds of values in requests, with the limits of each.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::Value;

use crate::engine::{AllDatabases, DryRun, Target};
use crate::script::{DatabaseId, MigrationId};
use crate::time::Timestamp;

/// The longest name of a person or a service, in characters.
pub const MAX_PERSON: usize = 200;
/// The longest name of an environment that is compared at all, in characters.
pub const MAX_ENVIRONMENT: usize = 100;
/// The longest token that dbvc itself gave out, in characters.
pub const MAX_TOKEN: usize = 1000;
/// The most items of a page, and how many there are when the caller does not say.
pub const MAX_LIMIT: u32 = 1000;
pub const DEFAULT_LIMIT: u32 = 100;

/// Any string.
pub fn string(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("must be a string".to_owned()),
    }
}

/// A line of 1 to `longest` characters.
pub fn line(longest: usize) -> impl FnOnce(Value) -> Result<String, String> {
    move |value| {
        let text = string(value)?;
        if text.trim().is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.chars().nth(longest).is_some() {
            return Err(format!("must be at most {longest} characters long"));
        }
        if text.chars().any(char::is_control) {
            return Err("must not hold control characters".to_owned());
        }
        Ok(text)
    }
}

/// Some lines for people, at most `longest` characters.
pub fn prose(longest: usize) -> impl FnOnce(Value) -> Result<String, String> {
    move |value| {
        let text = string(value)?;
        if text.chars().nth(longest).is_some() {
            return Err(format!("must be at most {longest} characters long"));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return Err(
                "must not hold control characters other than line ends and tabs".to_owned(),
            );
        }
        Ok(text)
    }
}

/// Who calls, or who wrote something.
pub fn person(value: Value) -> Result<String, String> {
    line(MAX_PERSON)(value)
}

/// The environment that the caller believes to be talking to; whether it is, the engine says.
pub fn environment(value: Value) -> Result<String, String> {
    line(MAX_ENVIRONMENT)(value)
}

/// A script, verbatim. An empty one is a mistake: a migration without a down script leaves the field out.
pub fn script(value: Value) -> Result<String, String> {
    let text = string(value)?;
    if text.trim().is_empty() {
        return Err("must not be empty; leave a down script out when there is none".to_owned());
    }
    if text.contains('\0') {
        return Err("must not hold a NUL character; is the file UTF-16?".to_owned());
    }
    Ok(text)
}

/// `true` or `false`.
pub fn flag(value: Value) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| "must be true or false".to_owned())
}

/// `true` or `false` in a query.
pub fn flag_in_query(value: Value) -> Result<bool, String> {
    match value.as_str() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A string that a type of its own reads.
pub fn parsed<T>(value: Value) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    string(value)?
        .parse()
        .map_err(|error: T::Err| format!("is wrong: {error}"))
}

/// A database or `all`.
pub fn target(value: Value) -> Result<Target, String> {
    if value == "all" {
        return Ok(Target::All(AllDatabases::All));
    }
    parsed::<DatabaseId>(value).map(Target::One)
}

/// `false`, `true` or `"execute"`.
pub fn dry_run(value: Value) -> Result<DryRun, String> {
    match &value {
        Value::Bool(false) => Ok(DryRun::No),
        Value::Bool(true) => Ok(DryRun::Preview),
        Value::String(text) if text == "execute" => Ok(DryRun::Execute),
        _ => Err("must be false, true or \"execute\"".to_owned()),
    }
}

/// The id of a migration, whether or not there is one.
pub fn migration_id(value: Value) -> Result<String, String> {
    parsed::<MigrationId>(value).map(|id| id.to_string())
}

/// A token that dbvc gave out: an id of a run, a snapshot or an execution, or a continuation.
pub fn token(value: Value) -> Result<String, String> {
    line(MAX_TOKEN)(value)
}

/// How many items a page may have, from a query.
pub fn limit(value: Option<u32>) -> u32 {
    value.unwrap_or(DEFAULT_LIMIT)
}

/// The number of a `limit` in a query.
pub fn limit_in_query(value: Value) -> Result<u32, String> {
    value
        .as_str()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| format!("must be a whole number from 1 to {MAX_LIMIT}"))
}

/// A moment in a query. A `+` that was not percent-encoded arrives as a blank, and no moment has a blank at its offset.
pub fn moment_in_query(value: Value) -> Result<Timestamp, String> {
    let text = string(value)?;
    let with_plus = || {
        let (rest, offset) = text.rsplit_once(' ')?;
        format!("{rest}+{offset}").parse().ok()
    };
    text.parse()
        .ok()
        .or_else(with_plus)
        .ok_or_else(|| "must be a moment by RFC 3339, such as 2025-11-27T14:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_have_names_of_one_line() {
        for text in ["developer@lpa.com", "Łukasz", &"é".repeat(200)] {
            assert!(person(json!(text)).is_ok(), "{text}");
        }
        for text in ["", "  ", "a\nb", "a\0", "\u{85}", &"é".repeat(201)] {
            assert!(person(json!(text)).is_err(), "{text}");
        }
        for value in [json!(1), json!(["a"]), json!({}), json!(true)] {
            assert!(person(value).is_err());
        }
    }

    #[test]
    fn prose_may_have_lines() {
        assert!(prose(10)(json!("a\r\n\tb")).is_ok());
        assert!(prose(10)(json!("")).is_ok());
        assert!(prose(10)(json!("a\0b")).is_err());
        assert!(prose(10)(json!("x".repeat(11))).is_err());
    }

    #[test]
    fn a_script_has_text_and_no_nul() {
        assert!(script(json!("-- only a comment")).is_ok());
        for text in ["", " \r\n", "S\0E\0L\0"] {
            assert!(script(json!(text)).is_err());
        }
    }

    #[test]
    fn a_limit_is_1_to_1000() {
        for (text, expected) in [("1", 1), ("1000", 1000), ("0042", 42)] {
            assert_eq!(limit_in_query(json!(text)), Ok(expected));
        }
        for text in [
            "",
            "0",
            "1001",
            "-1",
            "+1",
            "1.0",
            "ten",
            "99999999999999999999",
            "1,2",
        ] {
            assert!(limit_in_query(json!(text)).is_err(), "{text}");
        }
        assert_eq!(limit(None), 100);
    }

    #[test]
    fn a_moment_survives_a_plus_that_was_not_encoded() {
        let expected: Timestamp = "2025-11-27T13:30:00Z".parse().unwrap();
        for text in [
            "2025-11-27T13:30:00Z",
            "2025-11-27T14:30:00+01:00",
            "2025-11-27T14:30:00 01:00",
        ] {
            assert_eq!(moment_in_query(json!(text)), Ok(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2025-11-27",
            "2025-11-27T14:30:00",
            "2025-13-27T14:30:00Z",
        ] {
            assert!(moment_in_query(json!(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_run_is_for_one_database_or_all() {
        assert_eq!(target(json!("all")), Ok(Target::All(AllDatabases::All)));
        assert_eq!(target(json!("orders")).unwrap().to_string(), "orders");
        assert!(target(json!("ALL")).is_err());
    }
}
