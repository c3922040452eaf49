//! The version of a migration: dotted numbers.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::text_form::serde_as_text;

/// The longest part of a version, in digits. Eighteen digits always fit a signed 64-bit column.
const MAX_DIGITS: usize = 18;
/// The most parts a version may have.
const MAX_PARTS: usize = 16;
/// The longest version as written, in characters: with the longest name, the id of a migration then has 300.
const MAX_LENGTH: usize = 97;
/// The first part of the versions that belong to dbvc's own tables.
const RESERVED_PART: u64 = 100;

/// The version of a migration, such as `101`, `1.1` or `20251127143000`.
///
/// Parts are compared as numbers and missing trailing parts are zero, so `1`, `01` and `1.0` are one version. The text
/// is kept as it was written, because the id of a migration shows it that way.
#[derive(Debug, Clone)]
pub struct Version {
    written: String,
    /// Without trailing zero parts, so that equal versions have equal parts.
    parts: Vec<u64>,
}

/// Why a text is not a [`Version`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// A part between two dots is missing, or the whole text is.
    #[error("version '{0}' has an empty part: write dotted numbers such as 101 or 1.1")]
    EmptyPart(String),
    /// A part holds something other than the digits 0 to 9.
    #[error(
        "version '{0}' holds something other than digits and dots: write dotted numbers such as 101 or 1.1"
    )]
    NotANumber(String),
    /// A part is too long.
    #[error("version '{0}' has a part of more than {MAX_DIGITS} digits: shorten it")]
    PartTooLong(String),
    /// There are too many parts.
    #[error("version '{0}' has more than {MAX_PARTS} parts: use fewer")]
    TooManyParts(String),
    /// The text is too long, although its parts are not.
    #[error("version '{0}' is longer than {MAX_LENGTH} characters: shorten it")]
    TooLong(String),
}

impl Version {
    /// Reads dotted numbers; `1_1` is `1.1`, as in the names of files.
    ///
    /// # Errors
    ///
    /// When a part is missing, is not a number or has more than 18 digits, when there are more than 16 parts, or
    /// when the text is longer than 97 characters.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let written = text.replace('_', ".");
        let mut parts = Vec::new();
        for part in written.split('.') {
            if parts.len() == MAX_PARTS {
                return Err(VersionError::TooManyParts(shown(text)));
            }
            parts.push(parse_part(part, text)?);
        }
        if written.len() > MAX_LENGTH {
            return Err(VersionError::TooLong(shown(text)));
        }
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Ok(Self { written, parts })
    }

    /// The UTC time as a version of 14 digits, to the second. A time before the year 0 gives the year 0.
    #[must_use]
    pub fn from_time(time: jiff::Timestamp) -> Self {
        let utc = TimeZone::UTC.to_datetime(time);
        let number = [
            utc.month(),
            utc.day(),
            utc.hour(),
            utc.minute(),
            utc.second(),
        ]
        .into_iter()
        .fold(
            u64::try_from(utc.year()).unwrap_or(0),
            |number, two_digits| number * 100 + u64::from(two_digits.unsigned_abs()),
        );
        Self {
            written: format!("{number:014}"),
            parts: if number == 0 {
                Vec::new()
            } else {
                vec![number]
            },
        }
    }

    /// The text as it was written, with `_` as `.`.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.written
    }

    /// One text for all spellings of one version: no leading zeros, no trailing zero parts. For unique columns.
    #[must_use]
    pub fn key(&self) -> String {
        if self.parts.is_empty() {
            return "0".to_owned();
        }
        let parts: Vec<String> = self.parts.iter().map(u64::to_string).collect();
        parts.join(".")
    }

    /// Whether the version belongs to dbvc's own tables: 100 and 100.x.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.parts.first() == Some(&RESERVED_PART)
    }

    /// Whether the version was written as 14 digits that are a valid UTC time `YYYYMMDDHHMMSS`.
    #[must_use]
    pub fn is_timestamp(&self) -> bool {
        self.timestamp_halves().is_some()
    }

    /// Date and time of a version that [is a time](Self::is_timestamp), as they were written.
    pub(super) fn timestamp_halves(&self) -> Option<(&str, &str)> {
        let text = self.written.as_str();
        if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let two_digits = |from: usize| text.get(from..from + 2)?.parse::<i8>().ok();
        DateTime::new(
            text.get(..4)?.parse().ok()?,
            two_digits(4)?,
            two_digits(6)?,
            two_digits(8)?,
            two_digits(10)?,
            two_digits(12)?,
            0,
        )
        .ok()?;
        text.split_at_checked(8)
    }
}

fn parse_part(part: &str, text: &str) -> Result<u64, VersionError> {
    if part.is_empty() {
        return Err(VersionError::EmptyPart(shown(text)));
    }
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VersionError::NotANumber(shown(text)));
    }
    if part.len() > MAX_DIGITS {
        return Err(VersionError::PartTooLong(shown(text)));
    }
    part.parse()
        .map_err(|_| VersionError::NotANumber(shown(text)))
}

/// The beginning of a refused text: the text comes from outside and may be of any length.
fn shown(text: &str) -> String {
    const MAX_SHOWN: usize = 80;
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}

serde_as_text!(Version);

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn parts_are_compared_as_numbers() {
        assert!(version("9") < version("10"));
        assert!(version("1.9") < version("1.10"));
        assert!(version("1") < version("1.0.1"));
        assert!(version("1.2") < version("2"));
        assert!(version("101") < version("20251127143000"));
        assert!(version("999999999999999999") > version("99999999999999999"));
    }

    #[test]
    fn leading_zeros_and_trailing_zero_parts_make_no_difference() {
        for (one, other) in [
            ("1", "1.0"),
            ("01", "1"),
            ("1.0.0", "1_0"),
            ("0", "0.0"),
            ("1.01", "1.1"),
        ] {
            assert_eq!(version(one), version(other), "{one} and {other}");
            assert_eq!(
                version(one).key(),
                version(other).key(),
                "{one} and {other}"
            );
        }
        assert_ne!(version("1"), version("0.1"));
        assert_ne!(version("1.0.1"), version("1.1"));
        assert_eq!(version("0.0").key(), "0");
        assert_eq!(version("007.010.0").key(), "7.10");
    }

    #[test]
    fn an_underscore_is_a_dot_and_the_rest_stays_as_written() {
        assert_eq!(version("1_1").as_written(), "1.1");
        assert_eq!(version("01.0").as_written(), "01.0");
        assert_eq!(version("01.0").to_string(), "01.0");
    }

    #[test]
    fn what_is_not_dotted_numbers_is_refused() {
        let empty = |text: &str| VersionError::EmptyPart(text.to_owned());
        let not_a_number = |text: &str| VersionError::NotANumber(text.to_owned());
        for text in ["", ".", "1.", ".1", "1..2", "1__2"] {
            assert_eq!(Version::parse(text), Err(empty(text)));
        }
        for text in ["x", "1.x", "-1", "+1", "1 ", "١", "1e3"] {
            assert_eq!(Version::parse(text), Err(not_a_number(text)));
        }
    }

    #[test]
    fn a_part_has_at_most_18_digits_and_a_version_16_parts() {
        assert!(Version::parse(&"9".repeat(18)).is_ok());
        assert!(matches!(
            Version::parse(&"9".repeat(19)),
            Err(VersionError::PartTooLong(_))
        ));
        assert!(Version::parse(&["1"; 16].join(".")).is_ok());
        assert!(matches!(
            Version::parse(&["1"; 17].join(".")),
            Err(VersionError::TooManyParts(_))
        ));
        assert!(Version::parse(&["123456"; 14].join(".")).is_ok());
        assert!(matches!(
            Version::parse(&["1234567"; 14].join(".")),
            Err(VersionError::TooLong(_))
        ));
    }

    #[test]
    fn an_error_shows_only_the_beginning_of_a_long_text() {
        let error = Version::parse(&"é".repeat(100_000))
            .unwrap_err()
            .to_string();
        assert!(error.chars().count() < 250, "{error}");
    }

    #[test]
    fn versions_100_and_100_x_are_reserved() {
        for text in ["100", "100.0", "100.1", "100_7.2", "0100"] {
            assert!(version(text).is_reserved(), "{text}");
        }
        for text in ["10", "1000", "1.100", "101", "0.100"] {
            assert!(!version(text).is_reserved(), "{text}");
        }
    }

    #[test]
    fn a_time_is_14_digits_that_a_calendar_knows() {
        for text in ["20251127143000", "20240229235959"] {
            assert!(version(text).is_timestamp(), "{text}");
        }
        for text in [
            "20251327143000",
            "20250229000000",
            "20251127240000",
            "20251127146000",
            "20251127143060",
            "2025112714300",
            "202511271430000",
            "20251127143000.0",
            "20251127.14300",
        ] {
            assert!(!version(text).is_timestamp(), "{text}");
        }
    }

    #[test]
    fn a_version_from_a_time_is_its_utc_time_to_the_second() {
        let time: jiff::Timestamp = "2025-11-27T16:30:00.999+02:00".parse().unwrap();
        let version = Version::from_time(time);
        assert_eq!(version.as_written(), "20251127143000");
        assert!(version.is_timestamp());
        assert_eq!(version, Version::parse("20251127143000").unwrap());
        assert!(Version::from_time(jiff::Timestamp::MAX).is_timestamp());
        assert_eq!(
            Version::from_time(jiff::Timestamp::MIN).as_written().len(),
            14
        );
    }

    #[test]
    fn json_holds_the_version_as_written() {
        assert_eq!(
            serde_json::to_string(&version("1_01")).unwrap(),
            r#""1.01""#
        );
        assert_eq!(
            serde_json::from_str::<Version>(r#""1.1""#).unwrap(),
            version("1.1")
        );
        assert!(serde_json::from_str::<Version>(r#""one""#).is_err());
    }

    proptest! {
        #[test]
        fn equality_order_hash_and_key_agree(one in "[0-2]{1,2}([._][0-2]{1,2}){0,3}", other in "[0-2]{1,2}([._][0-2]{1,2}){0,3}") {
            let (one, other) = (version(&one), version(&other));
            let equal = one == other;
            prop_assert_eq!(equal, one.cmp(&other) == Ordering::Equal);
            prop_assert_eq!(equal, one.key() == other.key());
            let state = RandomState::new();
            prop_assert!(!equal || state.hash_one(&one) == state.hash_one(&other));
            prop_assert_eq!(version(&one.key()), one);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in any::<String>()) {
            let _ = Version::parse(&text).map(|version| version.is_timestamp());
        }
    }
}
