//! Recognises the history tables of other migration tools, by name and by columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{Schema, Table};

/// A table in which another tool records what it applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherTool {
    /// The tool's name.
    pub tool: String,
    /// Its history table, as the database names it.
    pub table: String,
}

/// How a tool's history table is recognised. An application may have a table of the same name, but not with these columns.
struct Fingerprint {
    tool: &'static str,
    /// Names of the table without its schema, in lower case.
    tables: &'static [&'static str],
    /// Columns that it always has, in lower case.
    columns: &'static [&'static str],
}

const fn fingerprint(
    tool: &'static str,
    tables: &'static [&'static str],
    columns: &'static [&'static str],
) -> Fingerprint {
    Fingerprint {
        tool,
        tables,
        columns,
    }
}

/// The first that matches counts. Tools whose table can have any name are found by its default name.
const FINGERPRINTS: &[Fingerprint] = &[
    fingerprint(
        "Flyway",
        // `schema_version` until Flyway 5; `version_rank` came before `installed_rank` stood alone.
        &["flyway_schema_history", "schema_version"],
        &["installed_rank", "installed_on", "success"],
    ),
    fingerprint(
        "DbUp",
        &["schemaversions", "schema_versions"],
        &["scriptname", "applied"],
    ),
    // Where there are no schemas, as on SQLite, theirs stands before the name of the table.
    fingerprint(
        "RoundhousE",
        &["roundhouse_scriptsrun"],
        &["script_name", "text_hash", "one_time_script"],
    ),
    fingerprint(
        "RoundhousE",
        &["roundhouse_version"],
        &["repository_path", "version", "entry_date"],
    ),
    fingerprint(
        "grate",
        &["scriptsrun", "grate_scriptsrun"],
        &["script_name", "text_hash", "one_time_script"],
    ),
    fingerprint(
        "grate",
        &["version", "grate_version"],
        &["repository_path", "version", "entry_date"],
    ),
    fingerprint(
        "Evolve",
        &["changelog"],
        &["type", "version", "installed_by", "installed_on", "success"],
    ),
    fingerprint(
        "FluentMigrator",
        &["versioninfo"],
        &["version", "appliedon"],
    ),
    fingerprint(
        "Entity Framework Core",
        &["__efmigrationshistory"],
        &["migrationid", "productversion"],
    ),
    fingerprint(
        "Entity Framework 6",
        &["__migrationhistory"],
        &["migrationid", "model", "productversion"],
    ),
    fingerprint(
        "Liquibase",
        &["databasechangelog"],
        &["id", "author", "filename", "dateexecuted"],
    ),
    fingerprint(
        "SQL Change Automation",
        &["__migrationlog"],
        &["migration_id", "script_checksum", "complete_dt"],
    ),
    fingerprint("SqlPackage", &["__refactorlog"], &["operationkey"]),
    fingerprint(
        "Yuniql",
        &["__yuniql_schema_version"],
        &["sequence_id", "version"],
    ),
    fingerprint(
        "Atlas",
        &["atlas_schema_revisions"],
        &["version", "applied", "executed_at"],
    ),
    fingerprint(
        "sqlx",
        &["_sqlx_migrations"],
        &["version", "installed_on", "checksum"],
    ),
    fingerprint(
        "refinery",
        &["refinery_schema_history"],
        &["version", "applied_on", "checksum"],
    ),
    fingerprint(
        "Diesel",
        &["__diesel_schema_migrations"],
        &["version", "run_on"],
    ),
    fingerprint(
        "golang-migrate",
        &["schema_migrations"],
        &["version", "dirty"],
    ),
    fingerprint("Rails or dbmate", &["schema_migrations"], &["version"]),
    fingerprint(
        "goose",
        &["goose_db_version"],
        &["version_id", "is_applied"],
    ),
    fingerprint("Alembic", &["alembic_version"], &["version_num"]),
    fingerprint(
        "Django",
        &["django_migrations"],
        &["app", "name", "applied"],
    ),
    fingerprint(
        "Prisma",
        &["_prisma_migrations"],
        &["migration_name", "applied_steps_count"],
    ),
    fingerprint(
        "Knex",
        &["knex_migrations"],
        &["name", "batch", "migration_time"],
    ),
    fingerprint("Sequelize", &["sequelizemeta"], &["name"]),
    fingerprint("Laravel", &["migrations"], &["migration", "batch"]),
    fingerprint("TypeORM", &["migrations"], &["timestamp", "name"]),
];

/// The tables of a schema that are another tool's history.
pub fn other_tools(schema: &Schema) -> Vec<OtherTool> {
    schema
        .tables
        .iter()
        .filter_map(|table| {
            tool_of(table).map(|tool| OtherTool {
                tool: tool.to_owned(),
                table: table.name.clone(),
            })
        })
        .collect()
}

fn tool_of(table: &Table) -> Option<&'static str> {
    let name = table.name.to_lowercase();
    let (namespace, name) = match name.rsplit_once('.') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name.as_str()),
    };
    let has = |column: &str| {
        table
            .columns
            .iter()
            .any(|present| present.name.eq_ignore_ascii_case(column))
    };
    let found = FINGERPRINTS.iter().find(|known| {
        known.tables.contains(&name) && known.columns.iter().all(|column| has(column))
    })?;
    // grate continued RoundhousE, and its tables are the same.
    let is_roundhouse = found.tool == "grate" && namespace == Some("roundhouse");
    Some(if is_roundhouse {
        "RoundhousE"
    } else {
        found.tool
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Column;

    fn table(name: &str, columns: &str) -> Table {
        Table {
            name: name.to_owned(),
            columns: columns
                .split_whitespace()
                .map(|name| Column {
                    name: name.to_owned(),
                    ..Column::default()
                })
                .collect(),
            ..Table::default()
        }
    }

    #[track_caller]
    fn expect(name: &str, columns: &str, tool: Option<&str>) {
        let schema = Schema {
            tables: vec![table(name, columns)],
            ..Schema::default()
        };
        let found = other_tools(&schema);
        assert_eq!(
            found.first().map(|found| found.tool.as_str()),
            tool,
            "{name} ({columns})"
        );
        if tool.is_some() {
            assert_eq!(found[0].table, name);
        }
    }

    #[test]
    fn the_history_of_every_tool_is_recognised_in_any_schema_and_case() {
        for (tool, name, columns) in [
            (
                "Flyway",
                "dbo.flyway_schema_history",
                "installed_rank version description type script checksum installed_by installed_on execution_time success",
            ),
            (
                "Flyway",
                "dbo.schema_version",
                "version_rank installed_rank version description type script checksum installed_by installed_on execution_time success",
            ),
            ("DbUp", "dbo.SchemaVersions", "Id ScriptName Applied"),
            (
                "DbUp",
                "SchemaVersions",
                "SchemaVersionID ScriptName Applied",
            ),
            (
                "grate",
                "grate.ScriptsRun",
                "id version_id script_name text_of_script text_hash one_time_script entry_date modified_date entered_by",
            ),
            (
                "grate",
                "grate_Version",
                "id repository_path version entry_date modified_date entered_by status",
            ),
            (
                "RoundhousE",
                "RoundhousE.ScriptsRun",
                "id version_id script_name text_of_script text_hash one_time_script entry_date modified_date entered_by",
            ),
            (
                "RoundhousE",
                "RoundhousE_Version",
                "id repository_path version entry_date modified_date entered_by",
            ),
            (
                "Evolve",
                "dbo.changelog",
                "id type version description name checksum installed_by installed_on success",
            ),
            (
                "FluentMigrator",
                "dbo.VersionInfo",
                "Version AppliedOn Description",
            ),
            (
                "Entity Framework Core",
                "dbo.__EFMigrationsHistory",
                "MigrationId ProductVersion",
            ),
            (
                "Entity Framework 6",
                "dbo.__MigrationHistory",
                "MigrationId ContextKey Model ProductVersion",
            ),
            (
                "Liquibase",
                "app.DATABASECHANGELOG",
                "ID AUTHOR FILENAME DATEEXECUTED ORDEREXECUTED EXECTYPE MD5SUM DESCRIPTION COMMENTS TAG LIQUIBASE",
            ),
            (
                "SQL Change Automation",
                "dbo.__MigrationLog",
                "migration_id script_checksum script_filename complete_dt applied_by deployed version",
            ),
            ("SqlPackage", "dbo.__RefactorLog", "OperationKey"),
            (
                "Yuniql",
                "dbo.__yuniql_schema_version",
                "sequence_id version applied_on_utc applied_by_user",
            ),
            (
                "Atlas",
                "atlas_schema_revisions",
                "version description type applied total executed_at execution_time error hash operator_version",
            ),
            (
                "sqlx",
                "_sqlx_migrations",
                "version description installed_on success checksum execution_time",
            ),
            (
                "refinery",
                "refinery_schema_history",
                "version name applied_on checksum",
            ),
            ("Diesel", "__diesel_schema_migrations", "version run_on"),
            ("golang-migrate", "dbo.schema_migrations", "version dirty"),
            ("Rails or dbmate", "schema_migrations", "version"),
            (
                "goose",
                "goose_db_version",
                "id version_id is_applied tstamp",
            ),
            ("Alembic", "dbo.alembic_version", "version_num"),
            ("Django", "django_migrations", "id app name applied"),
            (
                "Prisma",
                "dbo._prisma_migrations",
                "id checksum finished_at migration_name logs rolled_back_at started_at applied_steps_count",
            ),
            ("Knex", "knex_migrations", "id name batch migration_time"),
            ("Sequelize", "SequelizeMeta", "name"),
            ("Laravel", "migrations", "id migration batch"),
            ("TypeORM", "migrations", "id timestamp name"),
        ] {
            expect(name, columns, Some(tool));
            expect(&name.to_uppercase(), &columns.to_lowercase(), Some(tool));
        }
    }

    #[test]
    fn every_fingerprint_is_in_lower_case_and_has_columns() {
        for known in FINGERPRINTS {
            assert!(!known.columns.is_empty(), "{}", known.tool);
            for name in known.tables.iter().chain(known.columns) {
                assert_eq!(*name, name.to_lowercase(), "{}", known.tool);
            }
        }
    }

    #[test]
    fn a_table_of_an_application_is_not_taken_for_a_history_by_its_name_alone() {
        for (name, columns) in [
            ("dbo.VersionInfo", "id product version released"),
            ("dbo.changelog", "id changed_by changed_at entity old_value"),
            ("dbo.Version", "id version"),
            ("dbo.ScriptsRun", "id actor film"),
            ("schema_version", "version applied_at"),
            ("SchemaVersions", "id name valid_from"),
            ("migrations", "id species from_country to_country"),
            ("flyway_schema_history", "id"),
            ("dbo.orders", "id customer total"),
            (
                "dbo.not_flyway_schema_history",
                "installed_rank installed_on success",
            ),
        ] {
            expect(name, columns, None);
        }
    }
}
