//! Where a database stands.

use serde::{Deserialize, Serialize};

use crate::script::EngineKind;

/// Where a database stands: what tells it from another database with the same id in the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Its engine.
    pub engine: EngineKind,
    /// The server by its own name, the Cosmos DB account, or the machine that has the SQLite file.
    pub server: String,
    /// The name of the database on the server or account, or the path of the SQLite file.
    pub database: String,
}

impl Place {
    /// Whether both are one. Servers and their databases are compared without regard to case, files with it.
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| match self.engine {
            EngineKind::Sqlite => a == b,
            EngineKind::SqlServer | EngineKind::Cosmos => a.eq_ignore_ascii_case(b),
        };
        self.engine == other.engine
            && same(&self.server, &other.server)
            && same(&self.database, &other.database)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.engine {
            EngineKind::Sqlite => write!(f, "the file {} on {}", self.database, self.server),
            EngineKind::SqlServer => {
                write!(
                    f,
                    "the database {} on the server {}",
                    self.database, self.server
                )
            }
            EngineKind::Cosmos => {
                write!(
                    f,
                    "the Cosmos DB database {} of {}",
                    self.database, self.server
                )
            }
        }
    }
}
