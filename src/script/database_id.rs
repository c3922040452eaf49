//! The id of a managed database in the inventory.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::text_form::serde_as_text;

/// The longest id, in characters: what a DNS label may have, since server and resource names follow from it.
const MAX_LENGTH: usize = 63;
/// What a run says when it means every database; no database may have it as its id.
const EVERY_DATABASE: &str = "all";

/// The id of a managed database, such as `lpa-bloom-sql-dev`: `[a-z0-9][a-z0-9-]{0,62}`, never `all`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(extend("not" = { "const": EVERY_DATABASE }))]
pub struct DatabaseId(#[schemars(regex(pattern = "^[a-z0-9][a-z0-9-]{0,62}$"))] String);

/// Why a text is not a [`DatabaseId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseIdError {
    /// The text is not of the form.
    #[error(
        "the id of a database must be 1 to {MAX_LENGTH} lower case letters, digits or '-', and not begin with '-'"
    )]
    Form,
    /// The text means every database.
    #[error("'{EVERY_DATABASE}' means every database and cannot be the id of one")]
    EveryDatabase,
}

impl DatabaseId {
    /// Reads the id of a database.
    ///
    /// # Errors
    ///
    /// When the text is not of the form, or is `all`.
    pub fn parse(text: &str) -> Result<Self, DatabaseIdError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let begins_well = text.bytes().next().is_some_and(plain);
        if !begins_well
            || text.len() > MAX_LENGTH
            || !text.bytes().all(|byte| plain(byte) || byte == b'-')
        {
            return Err(DatabaseIdError::Form);
        }
        if text == EVERY_DATABASE {
            return Err(DatabaseIdError::EveryDatabase);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for DatabaseId {
    type Err = DatabaseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

serde_as_text!(DatabaseId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lower_case_letters_digits_and_hyphens() {
        for text in ["lpa-bloom-sql-dev", "a", "0", "a-", "alls", &"a".repeat(63)] {
            assert_eq!(DatabaseId::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "",
            "-a",
            "A",
            "a_b",
            "a b",
            "a.b",
            "é",
            "../a",
            &"a".repeat(64),
        ] {
            assert_eq!(
                DatabaseId::parse(text),
                Err(DatabaseIdError::Form),
                "{text}"
            );
        }
    }

    #[test]
    fn all_is_the_id_of_no_database() {
        assert_eq!(
            DatabaseId::parse("all"),
            Err(DatabaseIdError::EveryDatabase)
        );
        assert!(serde_json::from_str::<DatabaseId>(r#""all""#).is_err());
    }
}
