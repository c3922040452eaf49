//! The definition of dbvc's own tables: the versions 100 and 100.x, compiled in.

use crate::database::Statement;
use crate::script::EngineKind;

use super::statements as sql;

/// One of dbvc's own versions.
#[derive(Debug, Clone, Copy)]
pub struct OwnVersion {
    /// The version, `100` or `100.x`.
    pub version: &'static str,
    /// The name, as in the file's name.
    pub name: &'static str,
    /// The T-SQL script.
    pub transact_sql: &'static str,
    /// The SQLite script.
    pub sqlite: &'static str,
}

impl OwnVersion {
    /// The id under which it is registered.
    pub fn migration_id(&self) -> String {
        format!("V{}__{}", self.version, self.name)
    }

    /// The script for an engine; Cosmos databases have no registry of their own.
    pub fn script(&self, engine: EngineKind) -> &'static str {
        match engine {
            EngineKind::Sqlite => self.sqlite,
            EngineKind::SqlServer | EngineKind::Cosmos => self.transact_sql,
        }
    }
}

/// The versions that this dbvc knows, oldest first.
pub const OWN_VERSIONS: &[OwnVersion] = &[OwnVersion {
    version: "100",
    name: "version_control_schema",
    transact_sql: include_str!("../../migrations/V100__version_control_schema.sql"),
    sqlite: include_str!("../../migrations/V100__version_control_schema.sqlite.sql"),
}];

/// dbvc's own tables, which snapshots leave out.
pub const OWN_TABLES: &[&str] = &[
    "audit_events",
    "db_inventory",
    "migration_applied_status",
    "migration_execution_batches",
    "migration_execution_history",
    "migration_locks",
    "migration_registry",
    "migration_run_plans",
    "migration_runs",
    "schema_snapshot_parts",
    "schema_snapshots",
    "trail_heads",
];

/// Whether the registry is there: `present`, 0 or 1. Unlike any other statement it may be sent within a transaction to a
/// database without a registry.
pub fn present() -> Statement {
    sql::REGISTRY_PRESENT.bind([])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table, then column, in order of creation.
    fn columns(script: &str) -> Vec<(String, String)> {
        let mut table = String::new();
        let mut found = Vec::new();
        for line in script.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = rest
                    .trim_start_matches("dbo.")
                    .trim_end_matches(" (")
                    .to_owned();
            } else if let Some(rest) = line.strip_prefix("    ")
                && let Some((column, _)) = rest.split_once(' ')
                && column.starts_with(|c: char| c.is_ascii_lowercase())
            {
                found.push((table.clone(), column.to_owned()));
            }
        }
        found
    }

    #[test]
    fn both_variants_have_the_same_tables_and_columns() {
        for own in OWN_VERSIONS {
            assert_eq!(columns(own.sqlite), columns(own.transact_sql));
        }
    }

    #[test]
    fn the_list_of_own_tables_is_complete() {
        let mut tables: Vec<String> = OWN_VERSIONS
            .iter()
            .flat_map(|own| columns(own.sqlite))
            .map(|(table, _)| table)
            .collect();
        tables.sort();
        tables.dedup();
        assert_eq!(tables, OWN_TABLES);
    }
}
