//! The id of a migration, by which requests and records name it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::migration_name::MigrationName;
use super::text_form::serde_as_text;
use super::version::Version;

/// The longest text that is looked up as an id, in UTF-16 units: that is how T-SQL counts the length of a column.
const MAX_LENGTH: usize = 300;

/// The id of a migration: `V101__add_users`, `20251127_143000_add_users` or `R__refresh_views`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct MigrationId(
    #[schemars(length(min = 1, max = MAX_LENGTH), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    String,
);

/// Why a text cannot be the id of a migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationIdError {
    /// The text is empty or too long.
    #[error("the id of a migration must be 1 to {MAX_LENGTH} characters long")]
    Length,
    /// The text holds a control character.
    #[error("the id of a migration must not hold control characters")]
    ControlCharacter,
}

impl MigrationId {
    /// The id of a versioned migration: `V<version as written>__<name>`, except that a version that
    /// [is a time](Version::is_timestamp) gives `20251127_143000_<name>`.
    #[must_use]
    pub fn versioned(version: &Version, name: &MigrationName) -> Self {
        match version.timestamp_halves() {
            Some((date, time)) => Self(format!("{date}_{time}_{name}")),
            None => Self(format!("V{version}__{name}")),
        }
    }

    /// The id of a repeatable migration: `R__<name>`.
    #[must_use]
    pub fn repeatable(name: &MigrationName) -> Self {
        Self(format!("R__{name}"))
    }

    /// Reads an id to look up: any text of 1 to 300 characters. Whether a migration has it is for the registry to say.
    ///
    /// # Errors
    ///
    /// When the text is empty, too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, MigrationIdError> {
        if text.is_empty() || text.encode_utf16().nth(MAX_LENGTH).is_some() {
            return Err(MigrationIdError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(MigrationIdError::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for MigrationId {
    type Err = MigrationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

serde_as_text!(MigrationId);

#[cfg(test)]
mod tests {
    use super::*;

    fn versioned(version: &str) -> String {
        let name = MigrationName::from_request("add_users").unwrap();
        MigrationId::versioned(&Version::parse(version).unwrap(), &name).to_string()
    }

    #[test]
    fn an_id_shows_the_version_as_written() {
        assert_eq!(versioned("101"), "V101__add_users");
        assert_eq!(versioned("1_1"), "V1.1__add_users");
        assert_eq!(versioned("01.0"), "V01.0__add_users");
    }

    #[test]
    fn a_version_that_is_a_time_always_gives_date_and_time() {
        assert_eq!(versioned("20251127143000"), "20251127_143000_add_users");
    }

    #[test]
    fn fourteen_digits_that_are_no_time_are_a_plain_version() {
        assert_eq!(versioned("20251327143000"), "V20251327143000__add_users");
    }

    #[test]
    fn a_repeatable_migration_has_no_version_in_its_id() {
        let name = MigrationName::from_file("Refresh views").unwrap();
        assert_eq!(MigrationId::repeatable(&name).as_str(), "R__Refresh views");
    }

    #[test]
    fn any_plausible_text_can_be_looked_up() {
        assert_eq!(
            MigrationId::parse("no such ид").unwrap().as_str(),
            "no such ид"
        );
        assert!(MigrationId::parse(&"é".repeat(300)).is_ok());
        assert_eq!(
            MigrationId::parse(&"é".repeat(301)),
            Err(MigrationIdError::Length)
        );
        assert_eq!(MigrationId::parse(""), Err(MigrationIdError::Length));
        for text in ["a\nb", "a\0", "\u{85}"] {
            assert_eq!(
                MigrationId::parse(text),
                Err(MigrationIdError::ControlCharacter)
            );
        }
    }

    #[test]
    fn the_longest_version_and_name_make_an_id_that_can_be_looked_up() {
        let name = MigrationName::from_file(&"n".repeat(200)).unwrap();
        let digits = "9".repeat(18);
        let version = Version::parse(&format!("{}.12", [digits.as_str(); 5].join("."))).unwrap();
        assert!(
            Version::parse(&format!("{version}3")).is_err(),
            "no version is longer"
        );
        let id = MigrationId::versioned(&version, &name);
        assert_eq!(id.as_str().len(), 300);
        assert_eq!(MigrationId::parse(id.as_str()), Ok(id));
    }
}
