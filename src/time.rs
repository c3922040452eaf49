//! A moment as dbvc writes it everywhere: UTC, RFC 3339, three digits of milliseconds, `Z`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A UTC moment with millisecond precision, written `2025-11-27T14:30:00.000Z`.
///
/// The text has a fixed length, so that comparing texts compares moments: SQLite compares them so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct Timestamp(
    #[schemars(
        with = "String",
        regex(pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"),
        extend("format" = "date-time")
    )]
    jiff::Timestamp,
);

impl Timestamp {
    /// The first moment that every engine can hold: the beginning of the year 1.
    pub const FIRST: Self = Self(jiff::Timestamp::constant(-62_135_596_800, 0));

    /// The last moment that every engine can hold, to the millisecond.
    pub const LAST: Self = Self(jiff::Timestamp::constant(253_402_207_199, 999_000_000));

    /// The moment by this machine's clock. Who holds a lock is never decided by it: see `Dialect`.
    pub fn now() -> Self {
        Self::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    /// The moment this many milliseconds after the beginning of 1970; before it when negative.
    pub fn from_millis(millis: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Milliseconds since the beginning of 1970; negative before it.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The moment this many whole seconds later.
    #[must_use]
    pub fn plus_seconds(self, seconds: u32) -> Self {
        Self::from_millis(
            self.0
                .as_millisecond()
                .saturating_add(i64::from(seconds) * 1000),
        )
    }

    /// Milliseconds from `earlier` to this moment; never negative, whatever the clock did in between.
    pub fn millis_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.as_millisecond() - earlier.0.as_millisecond()).unwrap_or(0)
    }

    /// The moment for calendar arithmetic.
    pub fn as_jiff(self) -> jiff::Timestamp {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed: jiff::Timestamp = text.parse()?;
        Ok(Self::from_millis(parsed.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_has_three_digits_of_milliseconds() {
        let whole: Timestamp = "2025-11-27T14:30:00Z".parse().unwrap();
        assert_eq!(whole.to_string(), "2025-11-27T14:30:00.000Z");
        let finer: Timestamp = "2025-11-27T15:30:00.1239+01:00".parse().unwrap();
        assert_eq!(finer.to_string(), "2025-11-27T14:30:00.123Z");
    }

    #[test]
    fn time_that_ran_backwards_counts_as_none() {
        let later: Timestamp = "2025-11-27T14:30:01Z".parse().unwrap();
        let earlier: Timestamp = "2025-11-27T14:30:00Z".parse().unwrap();
        assert_eq!(earlier.millis_since(later), 0);
        assert_eq!(later.millis_since(earlier), 1000);
    }
}
