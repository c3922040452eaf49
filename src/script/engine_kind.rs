//! The kinds of engine that a managed database may run on.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;

use super::text_form::serde_as_text;

/// The engine of a managed database, as the inventory names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Azure SQL Database and SQL Server: `sql-server`.
    SqlServer,
    /// The embedded engine: `sqlite`.
    Sqlite,
    /// Cosmos DB: `cosmos`.
    Cosmos,
}

/// Why a text is not an [`EngineKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the engine must be sql-server, sqlite or cosmos")]
pub struct EngineKindError;

impl EngineKind {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::SqlServer, Self::Sqlite, Self::Cosmos];

    /// The name in the inventory.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SqlServer => "sql-server",
            Self::Sqlite => "sqlite",
            Self::Cosmos => "cosmos",
        }
    }

    /// Whether a batch of which nobody knows whether it was applied can be sent again: every operation on Cosmos DB says
    /// what is to be, and finds out whether it is so already.
    #[must_use]
    pub fn takes_batches_again(self) -> bool {
        matches!(self, Self::Cosmos)
    }

    /// How the name of a script for this engine ends. The suffix of SQL Server is also an end of that of SQLite: try
    /// the longer one first.
    #[must_use]
    pub fn script_suffix(self) -> &'static str {
        match self {
            Self::SqlServer => ".sql",
            Self::Sqlite => ".sqlite.sql",
            Self::Cosmos => ".cosmos.json",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EngineKind {
    type Err = EngineKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|engine| engine.as_str() == text)
            .ok_or(EngineKindError)
    }
}

serde_as_text!(EngineKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_named_as_in_the_inventory() {
        let json = serde_json::to_string(&EngineKind::ALL).unwrap();
        assert_eq!(json, r#"["sql-server","sqlite","cosmos"]"#);
        assert_eq!(
            serde_json::from_str::<[EngineKind; 3]>(&json).unwrap(),
            EngineKind::ALL
        );
        assert_eq!("mysql".parse::<EngineKind>(), Err(EngineKindError));
    }
}
