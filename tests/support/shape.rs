//! The shape of an answer: a JSON value in which `<…>` stands for what is different each time.

use serde_json::Value;

/// Panics unless `actual` has every field of `expected`, with its value or of its kind. Fields beyond those are allowed,
/// as the contract allows them; lists have exactly the expected items.
///
/// The kinds are `<id>`, `<time>`, `<sha256>`, `<number>`, `<text>`, and each of them with `?` when it may be null.
#[track_caller]
pub fn expect_like(actual: &Value, expected: &Value) {
    if let Err(difference) = compare(actual, expected, "$") {
        panic!("{difference}\nin {actual:#}");
    }
}

fn compare(actual: &Value, expected: &Value, place: &str) -> Result<(), String> {
    match expected {
        Value::Object(fields) => {
            let Value::Object(found) = actual else {
                return Err(format!("{place} is no object"));
            };
            for (name, expected) in fields {
                let place = format!("{place}.{name}");
                let actual = found.get(name).ok_or(format!("{place} is missing"))?;
                compare(actual, expected, &place)?;
            }
            Ok(())
        }
        Value::Array(items) => {
            let Value::Array(found) = actual else {
                return Err(format!("{place} is no list"));
            };
            if found.len() != items.len() {
                return Err(format!(
                    "{place} has {} items instead of {}",
                    found.len(),
                    items.len()
                ));
            }
            for (index, (actual, expected)) in found.iter().zip(items).enumerate() {
                compare(actual, expected, &format!("{place}[{index}]"))?;
            }
            Ok(())
        }
        Value::String(kind) if kind.starts_with('<') && kind.ends_with('>') => {
            if is_of_kind(actual, kind) {
                Ok(())
            } else {
                Err(format!("{place} is not {kind}: {actual}"))
            }
        }
        _ if actual == expected => Ok(()),
        _ => Err(format!("{place} is {actual} instead of {expected}")),
    }
}

fn is_of_kind(actual: &Value, kind: &str) -> bool {
    if let Some(kind) = kind.strip_suffix("?>") {
        return actual.is_null() || is_of_kind(actual, &format!("{kind}>"));
    }
    let text = actual.as_str().unwrap_or_default();
    match kind {
        "<id>" => uuid::Uuid::parse_str(text).is_ok(),
        "<time>" => is_time(text),
        "<sha256>" => text.strip_prefix("sha256:").is_some_and(|hex| {
            hex.len() == 64
                && hex
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        }),
        "<number>" => actual.is_u64(),
        "<text>" => !text.is_empty(),
        other => panic!("{other} is no kind of value"),
    }
}

/// RFC 3339 in UTC with milliseconds and `Z`, nothing else.
fn is_time(text: &str) -> bool {
    let is_like = |sample: &str| {
        text.len() == sample.len()
            && text
                .bytes()
                .zip(sample.bytes())
                .all(|(b, like)| match like {
                    b'0' => b.is_ascii_digit(),
                    like => b == like,
                })
    };
    is_like("0000-00-00T00:00:00.000Z") && text.parse::<jiff::Timestamp>().is_ok()
}
