//! The schema in which dbvc's own tables are on SQL Server.

use std::fmt;
use std::sync::Arc;

/// Longest name of a schema.
const MOST_CHARS: usize = 128;

/// Schemas of the server itself, in which nobody can create tables or should.
const RESERVED: [&str; 3] = ["sys", "INFORMATION_SCHEMA", "guest"];

/// The schema in which dbvc's own tables are on SQL Server. Defaults to `dbo`.
///
/// Its characters need no escaping in brackets or quotes, and `@` is not among them: nothing in a statement can be mistaken
/// for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySchema(Arc<str>);

/// Why a name is not accepted. The name itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistrySchemaError {
    /// The name has other characters, begins with another one, or is too long.
    #[error(
        "must be a schema name of at most {MOST_CHARS} letters (a to z), digits, _, $ and #, beginning with a letter or _"
    )]
    Form,
    /// The schema belongs to the server.
    #[error("must not be a schema of SQL Server itself (sys, INFORMATION_SCHEMA, guest)")]
    Reserved,
}

impl RegistrySchema {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it is not a regular identifier, or names a schema of the server itself.
    pub fn parse(name: &str) -> Result<Self, RegistrySchemaError> {
        let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#');
        if !begins_well || !name.chars().all(is_allowed) || name.len() > MOST_CHARS {
            return Err(RegistrySchemaError::Form);
        }
        if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name)) {
            return Err(RegistrySchemaError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// The name, without quotes.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether this is `dbo`, which every database has.
    pub fn is_dbo(&self) -> bool {
        self.0.eq_ignore_ascii_case("dbo")
    }
}

impl Default for RegistrySchema {
    fn default() -> Self {
        Self("dbo".into())
    }
}

impl fmt::Display for RegistrySchema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_regular_identifiers() {
        let longest = "s".repeat(MOST_CHARS);
        for name in ["dbo", "dbvc", "_Version2", "a$b#c", longest.as_str()] {
            assert_eq!(RegistrySchema::parse(name).unwrap().name(), name);
        }
        assert!(RegistrySchema::default().is_dbo());
        assert!(RegistrySchema::parse("DBO").unwrap().is_dbo());
        assert!(!RegistrySchema::parse("dbvc").unwrap().is_dbo());
    }

    #[test]
    fn refuses_what_would_need_escaping_and_what_is_the_servers() {
        let too_long = "s".repeat(MOST_CHARS + 1);
        for name in [
            "",
            "1a",
            "$a",
            "#temporary",
            "a b",
            "a.b",
            "a]b",
            "a'b",
            "a@P1",
            "größe",
            too_long.as_str(),
        ] {
            assert_eq!(
                RegistrySchema::parse(name),
                Err(RegistrySchemaError::Form),
                "{name}"
            );
        }
        for name in ["sys", "SYS", "information_schema", "Guest"] {
            assert_eq!(
                RegistrySchema::parse(name),
                Err(RegistrySchemaError::Reserved),
                "{name}"
            );
        }
    }
}
