//! The definition of dbvc's own tables: the versions 100 and 100.x, compiled in.

use std::borrow::Cow;

use crate::database::RegistrySchema;
use crate::script::{Checksum, EngineKind};

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

    /// The script that makes its tables in a schema. What is on record of it is [`OwnVersion::script`], whatever the schema,
    /// so that every dbvc finds the same text there.
    pub fn script_in(&self, engine: EngineKind, schema: &RegistrySchema) -> Cow<'static, str> {
        let script = self.script(engine);
        if engine == EngineKind::Sqlite || schema.is_dbo() {
            return script.into();
        }
        // The schema needs a batch of its own.
        format!(
            "IF SCHEMA_ID(N'{schema}') IS NULL EXEC(N'CREATE SCHEMA [{schema}]');\nGO\n{}",
            script.replace("dbo.", &format!("[{schema}]."))
        )
        .into()
    }

    /// The tables that its script makes, each with its columns, in order of creation.
    pub fn tables(&self, engine: EngineKind) -> Vec<(String, Vec<String>)> {
        tables_made_by(self.script(engine))
    }
}

/// Reads dbvc's own scripts only, which all have one form: a table begins on a line of its own, a column's line is
/// indented by four, and nothing else in a table begins with a small letter.
fn tables_made_by(script: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in script.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            let table = rest.trim_start_matches("dbo.").trim_end_matches(" (");
            found.push((table.to_owned(), Vec::new()));
        } else if let Some(rest) = line.strip_prefix("    ")
            && let Some((column, _)) = rest.split_once(' ')
            && column.starts_with(|c: char| c.is_ascii_lowercase())
            && let Some((_, columns)) = found.last_mut()
        {
            columns.push(column.to_owned());
        }
    }
    found
}

/// The versions that this dbvc knows, oldest first.
pub const OWN_VERSIONS: &[OwnVersion] = &[OwnVersion {
    version: "100",
    name: "version_control_schema",
    transact_sql: include_str!("../../migrations/V100__version_control_schema.sql"),
    sqlite: include_str!("../../migrations/V100__version_control_schema.sqlite.sql"),
}];

/// The engine whose script of version 100 has this checksum.
pub fn engine_of(checksum: &str) -> Option<EngineKind> {
    let first = OWN_VERSIONS.first()?;
    [EngineKind::SqlServer, EngineKind::Sqlite]
        .into_iter()
        .find(|engine| Checksum::of_text(first.script(*engine)).to_string() == checksum)
}

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
    "trail_announcements",
    "trail_heads",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_variants_have_the_same_tables_and_columns() {
        for own in OWN_VERSIONS {
            assert_eq!(tables_made_by(own.sqlite), tables_made_by(own.transact_sql));
        }
    }

    #[test]
    fn the_columns_of_a_table_are_read_from_its_script() {
        let tables = OWN_VERSIONS[0].tables(EngineKind::Sqlite);
        let head = tables
            .iter()
            .find(|(table, _)| table == "trail_heads")
            .unwrap();
        assert_eq!(head.1, ["database_id", "sequence", "hash"]);
    }

    #[test]
    fn the_script_of_another_schema_names_that_one_only() {
        let schema = RegistrySchema::parse("dbvc").unwrap();
        for own in OWN_VERSIONS {
            let dbo = RegistrySchema::default();
            assert_eq!(own.script_in(EngineKind::SqlServer, &dbo), own.transact_sql);
            assert_eq!(own.script_in(EngineKind::Sqlite, &schema), own.sqlite);
            let script = own.script_in(EngineKind::SqlServer, &schema);
            assert!(!script.contains("dbo."), "{script}");
            assert_eq!(
                script.matches("[dbvc].").count(),
                own.transact_sql.matches("dbo.").count()
            );
            let (first, rest) = script.split_once("\nGO\n").unwrap();
            assert_eq!(
                first,
                "IF SCHEMA_ID(N'dbvc') IS NULL EXEC(N'CREATE SCHEMA [dbvc]');"
            );
            assert_eq!(rest.replace("[dbvc].", "dbo."), own.transact_sql);
        }
    }

    #[test]
    fn the_list_of_own_tables_is_complete() {
        let mut tables: Vec<String> = OWN_VERSIONS
            .iter()
            .flat_map(|own| tables_made_by(own.sqlite))
            .map(|(table, _)| table)
            .collect();
        tables.sort();
        assert_eq!(tables, OWN_TABLES);
    }
}
