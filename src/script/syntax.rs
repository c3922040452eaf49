//! The syntaxes that scripts are written in, as far as splitting them needs to know.

use super::engine_kind::EngineKind;

/// What counts as a comment, a string or a quoted identifier in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// T-SQL: block comments nest, `]]` is a bracket inside a bracket identifier.
    TransactSql,
    /// SQLite: block comments do not nest, the first `]` ends a bracket identifier, backticks quote as well.
    Sqlite,
}

impl Syntax {
    /// The syntax of scripts for an engine; `None` for Cosmos, whose scripts are JSON and are not split.
    #[must_use]
    pub fn of_engine(engine: EngineKind) -> Option<Self> {
        match engine {
            EngineKind::SqlServer => Some(Self::TransactSql),
            EngineKind::Sqlite => Some(Self::Sqlite),
            EngineKind::Cosmos => None,
        }
    }
}
