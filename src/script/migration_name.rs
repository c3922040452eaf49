//! The name of a migration.

use std::fmt;
use std::str::FromStr;

use super::text_form::serde_as_text;

/// The longest name in a request, in characters.
const MAX_IN_REQUEST: usize = 100;
/// The longest name in the name of a file, in characters.
const MAX_IN_FILE: usize = 200;

/// The name of a migration, such as `add_user_preferences`.
///
/// A request may only name it in the strict form; the names of files, which exist already in real repositories, may be
/// of a wider one. Every name of the strict form is also one of the wider form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MigrationName(String);

/// Why a text is not a [`MigrationName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationNameError {
    /// The name in a request is not of the strict form.
    #[error(
        "the name must be 1 to {MAX_IN_REQUEST} characters: a lower case letter, then lower case letters, digits or '_'"
    )]
    InRequest,
    /// The name in the name of a file is not of the wider form.
    #[error(
        "the name must be 1 to {MAX_IN_FILE} characters: a letter or digit, then letters, digits, '_', '.', '-' or blanks"
    )]
    InFile,
}

impl MigrationName {
    /// The name of a migration in a request: `[a-z][a-z0-9_]{0,99}`.
    ///
    /// # Errors
    ///
    /// When the name is not of that form.
    pub fn from_request(name: &str) -> Result<Self, MigrationNameError> {
        let rest_is_fine =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
        if begins_well && name.len() <= MAX_IN_REQUEST && name.bytes().all(rest_is_fine) {
            Ok(Self(name.to_owned()))
        } else {
            Err(MigrationNameError::InRequest)
        }
    }

    /// The name in the name of a file: `[A-Za-z0-9][A-Za-z0-9_ .-]{0,199}`, not ending with a blank, because T-SQL holds
    /// two texts for equal that differ in that only.
    ///
    /// # Errors
    ///
    /// When the name is not of that form.
    pub fn from_file(name: &str) -> Result<Self, MigrationNameError> {
        let rest_is_fine =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'.' | b'-');
        let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if begins_well
            && name.len() <= MAX_IN_FILE
            && name.bytes().all(rest_is_fine)
            && !name.ends_with(' ')
        {
            Ok(Self(name.to_owned()))
        } else {
            Err(MigrationNameError::InFile)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MigrationName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads the wider form, because a stored name may have come from a file.
impl FromStr for MigrationName {
    type Err = MigrationNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_file(text)
    }
}

serde_as_text!(MigrationName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_migration_in_the_strict_form() {
        for name in ["a", "add_user_preferences", "x9_", &"a".repeat(100)] {
            assert_eq!(MigrationName::from_request(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "_a",
            "9a",
            "A",
            "aB",
            "a b",
            "a-b",
            "a.b",
            "é",
            "a\n",
            &"a".repeat(101),
        ] {
            assert_eq!(
                MigrationName::from_request(name),
                Err(MigrationNameError::InRequest),
                "{name}"
            );
        }
    }

    #[test]
    fn a_file_may_carry_capitals_blanks_dots_and_hyphens() {
        for name in ["a", "Add users-2.0 final", "9", "a_", &"a".repeat(200)] {
            assert_eq!(MigrationName::from_file(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "_a",
            " a",
            ".a",
            "-a",
            "a/b",
            "a\\b",
            "a'b",
            "é",
            "a\t",
            "a\n",
            &"a".repeat(201),
        ] {
            assert_eq!(
                MigrationName::from_file(name),
                Err(MigrationNameError::InFile),
                "{name}"
            );
        }
    }

    #[test]
    fn json_is_read_in_the_wider_form() {
        let name: MigrationName = serde_json::from_str(r#""Add users""#).unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""Add users""#);
        assert!(serde_json::from_str::<MigrationName>(r#""a/b""#).is_err());
    }
}
