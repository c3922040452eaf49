//! The name of a script file, which says what the script is.

use std::str::FromStr;

use super::engine_kind::EngineKind;
use super::migration_id::MigrationId;
use super::migration_name::{MigrationName, MigrationNameError};
use super::version::{Version, VersionError};

/// What every message about a wrong name ends in.
const FORM: &str = "name it V<version>__<name>, U<version>__<name> or R__<name>, with .sql for T-SQL, .sqlite.sql or \
                    .cosmos.json behind it, such as V101__add_users.sql";
/// Between the version and the name.
const SEPARATOR: &str = "__";

/// What a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// `V`: applies a versioned migration.
    Up,
    /// `U`: rolls a versioned migration back.
    Down,
    /// `R`: applies a repeatable migration, whenever its text changes.
    Repeatable,
}

/// The name of a script file, such as `V101__add_users.sql`, `U101__add_users.sqlite.sql` or `R__refresh_views.sql`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName {
    /// What the script is for.
    pub prefix: Prefix,
    /// The version; `None` exactly for repeatable migrations.
    pub version: Option<Version>,
    /// The name of the migration.
    pub name: MigrationName,
    /// The engine that the script is written for.
    pub engine: EngineKind,
}

/// Why the name of a file is not that of a script. Every message says what the form is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// The name ends in none of the suffixes.
    #[error("the name does not end as that of a script: {FORM}")]
    Suffix,
    /// The suffix is not in lower case, so that it would mean something else on another machine.
    #[error("the end of the name must be '{0}' in lower case: {FORM}")]
    SuffixCase(&'static str),
    /// The name begins with another letter.
    #[error("the name does not begin with V, U or R: {FORM}")]
    Prefix,
    /// The first letter is in lower case.
    #[error("the first letter of the name must be in upper case: {FORM}")]
    PrefixCase,
    /// There are no two underscores.
    #[error("the name has no '{SEPARATOR}' between the version and the rest: {FORM}")]
    Separator,
    /// A repeatable migration has a version.
    #[error("a repeatable migration has no version: {FORM}")]
    RepeatableVersion,
    /// The version is wrong.
    #[error("{0}: {FORM}")]
    Version(#[from] VersionError),
    /// The name behind the version is wrong.
    #[error("{0}: {FORM}")]
    Name(#[from] MigrationNameError),
}

impl FileName {
    /// Reads the name of a file, without its folder.
    ///
    /// # Errors
    ///
    /// When it is not the name of a script; the message says what the form is.
    pub fn parse(file_name: &str) -> Result<Self, FileNameError> {
        let (engine, stem) = split_suffix(file_name)?;
        let (prefix, rest) = split_prefix(stem)?;
        let (version, name) = rest.split_once(SEPARATOR).ok_or(FileNameError::Separator)?;
        let version = match prefix {
            Prefix::Up | Prefix::Down => Some(Version::parse(version)?),
            Prefix::Repeatable if version.is_empty() => None,
            Prefix::Repeatable => return Err(FileNameError::RepeatableVersion),
        };
        Ok(Self {
            prefix,
            version,
            name: MigrationName::from_file(name)?,
            engine,
        })
    }

    /// The name of the file that holds the up script of this migration for an engine.
    #[must_use]
    pub fn up_file(&self, engine: EngineKind) -> String {
        let suffix = engine.script_suffix();
        match &self.version {
            Some(version) => format!("V{}__{}{suffix}", version.as_written(), self.name),
            None => format!("R__{}{suffix}", self.name),
        }
    }

    /// The id of the migration that the script belongs to. A down script has that of its up script.
    #[must_use]
    pub fn migration_id(&self) -> MigrationId {
        match &self.version {
            Some(version) => MigrationId::versioned(version, &self.name),
            None => MigrationId::repeatable(&self.name),
        }
    }

    /// The engine that the end of a file's name speaks of, whatever the rest of the name is and in any case. `None`
    /// when the file is no script at all.
    #[must_use]
    pub fn engine_of(file_name: &str) -> Option<EngineKind> {
        // The longest suffix first: every SQLite script also ends in the suffix of T-SQL.
        [
            EngineKind::Cosmos,
            EngineKind::Sqlite,
            EngineKind::SqlServer,
        ]
        .into_iter()
        .find(|engine| {
            let suffix = engine.script_suffix().as_bytes();
            let start = file_name.len().saturating_sub(suffix.len());
            file_name.as_bytes()[start..].eq_ignore_ascii_case(suffix)
        })
    }
}

fn split_suffix(file_name: &str) -> Result<(EngineKind, &str), FileNameError> {
    let engine = FileName::engine_of(file_name).ok_or(FileNameError::Suffix)?;
    let suffix = engine.script_suffix();
    let stem = file_name
        .strip_suffix(suffix)
        .ok_or(FileNameError::SuffixCase(suffix))?;
    Ok((engine, stem))
}

fn split_prefix(stem: &str) -> Result<(Prefix, &str), FileNameError> {
    let mut rest = stem.chars();
    let prefix = match rest.next() {
        Some('V') => Prefix::Up,
        Some('U') => Prefix::Down,
        Some('R') => Prefix::Repeatable,
        Some('v' | 'u' | 'r') => return Err(FileNameError::PrefixCase),
        _ => return Err(FileNameError::Prefix),
    };
    Ok((prefix, rest.as_str()))
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(file_name: &str) -> (Prefix, Option<String>, String, EngineKind) {
        let name =
            FileName::parse(file_name).unwrap_or_else(|error| panic!("{file_name}: {error}"));
        let version = name.version.map(|version| version.to_string());
        (name.prefix, version, name.name.to_string(), name.engine)
    }

    fn versioned(
        prefix: Prefix,
        version: &str,
        name: &str,
        engine: EngineKind,
    ) -> (Prefix, Option<String>, String, EngineKind) {
        (prefix, Some(version.to_owned()), name.to_owned(), engine)
    }

    #[test]
    fn a_name_says_what_the_script_is() {
        use EngineKind::{Cosmos, SqlServer, Sqlite};
        use Prefix::{Down, Up};
        for (file_name, expected) in [
            ("V101__x.sql", versioned(Up, "101", "x", SqlServer)),
            ("V101__x.sqlite.sql", versioned(Up, "101", "x", Sqlite)),
            ("V101__x.cosmos.json", versioned(Up, "101", "x", Cosmos)),
            ("U101__x.sql", versioned(Down, "101", "x", SqlServer)),
            ("V1_1__a__b.sql", versioned(Up, "1.1", "a__b", SqlServer)),
            (
                "V1.2__Add users 2.0.sql",
                versioned(Up, "1.2", "Add users 2.0", SqlServer),
            ),
            (
                "V1__x.cosmos.sql",
                versioned(Up, "1", "x.cosmos", SqlServer),
            ),
            (
                "V20251127143000__x.sql",
                versioned(Up, "20251127143000", "x", SqlServer),
            ),
        ] {
            assert_eq!(parts(file_name), expected, "{file_name}");
        }
        let repeatable = (Prefix::Repeatable, None, "views".to_owned(), Sqlite);
        assert_eq!(parts("R__views.sqlite.sql"), repeatable);
    }

    #[test]
    fn up_and_down_script_belong_to_one_migration() {
        let id = |file_name: &str| {
            FileName::parse(file_name)
                .unwrap()
                .migration_id()
                .to_string()
        };
        assert_eq!(id("V101__x.sql"), "V101__x");
        assert_eq!(id("U101__x.sqlite.sql"), "V101__x");
        assert_eq!(id("V1_1__x.sql"), "V1.1__x");
        assert_eq!(id("V20251127143000__x.sql"), "20251127_143000_x");
        assert_eq!(id("R__x.sql"), "R__x");
    }

    #[test]
    fn a_wrong_name_is_refused_for_what_is_wrong() {
        for (file_name, expected) in [
            ("", FileNameError::Suffix),
            ("V1__x", FileNameError::Suffix),
            ("V1__x.json", FileNameError::Suffix),
            ("V1__x.sql.bak", FileNameError::Suffix),
            ("V1__x.SQL", FileNameError::SuffixCase(".sql")),
            ("V1__x.SQLite.sql", FileNameError::SuffixCase(".sqlite.sql")),
            (
                "V1__x.Cosmos.json",
                FileNameError::SuffixCase(".cosmos.json"),
            ),
            (".sql", FileNameError::Prefix),
            ("add_users.sql", FileNameError::Prefix),
            ("é1__x.sql", FileNameError::Prefix),
            ("v1__x.sql", FileNameError::PrefixCase),
            ("V1_x.sql", FileNameError::Separator),
            ("R1__x.sql", FileNameError::RepeatableVersion),
            (
                "V__x.sql",
                FileNameError::Version(VersionError::EmptyPart(String::new())),
            ),
            (
                "V1a__x.sql",
                FileNameError::Version(VersionError::NotANumber("1a".to_owned())),
            ),
            ("V1__.sql", FileNameError::Name(MigrationNameError::InFile)),
            (
                "V1___x.sql",
                FileNameError::Name(MigrationNameError::InFile),
            ),
            ("V1__é.sql", FileNameError::Name(MigrationNameError::InFile)),
            (
                "V1__../x.sql",
                FileNameError::Name(MigrationNameError::InFile),
            ),
        ] {
            let error = FileName::parse(file_name).expect_err(file_name);
            assert_eq!(error, expected, "{file_name}");
            assert!(error.to_string().contains("V101__add_users.sql"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in "[VUR]?.*(\\.sql|\\.sqlite\\.sql|\\.cosmos\\.json)?") {
            let _ = FileName::parse(&text);
        }
    }
}
