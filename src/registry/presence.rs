//! Whether a database has a registry: read from the catalog alone, and told from tables of the application that only bear
//! the same names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::database::{ColumnError, DatabaseError, OwnTables, Row, Sql, Statement, TakenName};
use crate::script::EngineKind;

use super::definition::{OWN_TABLES, OWN_VERSIONS};

/// What the catalog says of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// No object bears a name that the registry needs.
    Absent,
    /// All tables are there with all their columns.
    Present,
    /// There is a registry, and a part of it is missing.
    Damaged(Damage),
    /// There is no registry, and its names are taken by the objects of somebody else.
    NamesTaken(Vec<TakenName>),
    /// The registry is in another schema of SQL Server than the settings say.
    InSchema(String),
}

/// What a registry lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// The missing tables.
    pub tables: Vec<String>,
    /// The missing columns, each with its table.
    pub columns: Vec<(String, String)>,
}

impl Damage {
    /// Whether a table is missing.
    pub fn lacks_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| table == name)
    }

    /// One sentence for each table and column.
    pub fn sentences(&self) -> Vec<String> {
        let tables = self
            .tables
            .iter()
            .map(|table| format!("table {table} is missing"));
        let columns = self
            .columns
            .iter()
            .map(|(table, column)| format!("column {column} of {table} is missing"));
        tables.chain(columns).collect()
    }
}

/// The registry as a connection to SQL Server must know it.
pub const ON_SQL_SERVER: OwnTables = OwnTables {
    names: OWN_TABLES,
    catalog: || Sql(&SQL_SERVER_CATALOG).bind([]),
    explain,
};

/// The registry as a connection to SQLite must know it.
pub const ON_SQLITE: OwnTables = OwnTables {
    names: OWN_TABLES,
    catalog: || Sql(&SQLITE_CATALOG).bind([]),
    explain,
};

/// Reads the objects that bear a name of the registry. Unlike a statement that names a table, it does not end a transaction
/// of SQL Server when the table is missing.
pub fn statement(engine: EngineKind) -> Statement {
    match engine {
        EngineKind::Sqlite => (ON_SQLITE.catalog)(),
        EngineKind::SqlServer | EngineKind::Cosmos => (ON_SQL_SERVER.catalog)(),
    }
}

/// Tables share their names with everything in `sys.objects`. Indexes do not: a name of theirs counts per table.
static SQL_SERVER_CATALOG: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT s.name AS schema_name, CASE WHEN s.name = {{own schema}} THEN 1 ELSE 0 END AS in_own_schema, \
         o.name AS object_name, RTRIM(o.type) AS object_type, c.name AS column_name \
         FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id \
         LEFT JOIN sys.columns c ON c.object_id = o.object_id WHERE o.name IN ({})",
        quoted(OWN_TABLES.iter().copied())
    )
});

/// Tables, views and indexes share their names. Columns are read of tables only: a view may no longer compile.
static SQLITE_CATALOG: LazyLock<String> = LazyLock::new(|| {
    let indexes = own_indexes();
    let names = OWN_TABLES.iter().copied().chain(indexes);
    format!(
        "SELECT NULL AS schema_name, 1 AS in_own_schema, m.name AS object_name, m.type AS object_type, \
         c.name AS column_name FROM main.sqlite_schema m \
         LEFT JOIN pragma_table_info(CASE WHEN m.type = 'table' THEN m.name END, 'main') c \
         WHERE m.type IN ('table', 'view', 'index') AND lower(m.name) IN ({})",
        quoted(names)
    )
});

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// The indexes that dbvc's own scripts make.
fn own_indexes() -> Vec<&'static str> {
    OWN_VERSIONS
        .iter()
        .flat_map(|own| own.sqlite.lines())
        .filter_map(|line| {
            let rest = line.strip_prefix("CREATE ")?;
            let rest = rest.strip_prefix("UNIQUE ").unwrap_or(rest);
            rest.strip_prefix("INDEX ")
        })
        .filter_map(|rest| rest.split_whitespace().next())
        .collect()
}

/// Every table of the registry with its columns.
fn own_tables() -> BTreeMap<String, Vec<String>> {
    OWN_VERSIONS
        .iter()
        .flat_map(|own| own.tables(EngineKind::Sqlite))
        .collect()
}

/// An object of the catalog that bears a name of the registry.
#[derive(Debug)]
struct Found {
    in_own_schema: bool,
    schema: Option<String>,
    /// As the catalog writes it.
    name: String,
    kind: String,
    columns: BTreeSet<String>,
}

impl Found {
    fn is_table(&self) -> bool {
        ["U", "table"].contains(&self.kind.as_str())
    }

    /// Whether it is a table with all columns that dbvc gave the table of this name, and perhaps others.
    fn is_whole(&self, own: &BTreeMap<String, Vec<String>>) -> bool {
        self.is_table()
            && own
                .get(&self.name.to_ascii_lowercase())
                .is_some_and(|columns| columns.iter().all(|column| self.columns.contains(column)))
    }

    fn taken(&self) -> TakenName {
        TakenName {
            name: match &self.schema {
                Some(schema) => format!("{schema}.{}", self.name),
                None => self.name.clone(),
            },
            kind: match self.kind.as_str() {
                "U" | "table" => "table",
                "V" | "view" => "view",
                "index" => "index",
                "P" | "PC" | "X" => "procedure",
                "FN" | "IF" | "TF" | "FS" | "FT" | "AF" => "function",
                "SN" => "synonym",
                "SO" => "sequence",
                "TR" | "TA" => "trigger",
                "C" | "D" | "F" | "PK" | "UQ" => "constraint",
                _ => "object",
            },
        }
    }
}

/// Judges the rows of [`statement`].
///
/// A table is the registry's when it has all columns that dbvc gave it. One such table in dbvc's schema is enough: an
/// application has none by chance, and the rest may have been lost. In another schema there may be a copy of some; only
/// most of them are a registry.
///
/// # Errors
///
/// When the rows are not those of the statement.
pub fn judge(rows: &[Row]) -> Result<Presence, ColumnError> {
    let own = own_tables();
    let found = objects(rows)?;
    let (here, elsewhere): (Vec<&Found>, Vec<&Found>) =
        found.iter().partition(|found| found.in_own_schema);
    if here.iter().any(|found| found.is_whole(&own)) {
        let damage = damage(&here, &own);
        return Ok(if damage == Damage::default() {
            Presence::Present
        } else {
            Presence::Damaged(damage)
        });
    }
    let mut whole: BTreeMap<&str, usize> = BTreeMap::new();
    for found in elsewhere.iter().filter(|found| found.is_whole(&own)) {
        *whole
            .entry(found.schema.as_deref().unwrap_or_default())
            .or_default() += 1;
    }
    if let Some((schema, _)) = whole.into_iter().find(|(_, count)| count * 2 > own.len()) {
        return Ok(Presence::InSchema(schema.to_owned()));
    }
    if here.is_empty() {
        return Ok(Presence::Absent);
    }
    Ok(Presence::NamesTaken(
        here.iter().map(|found| found.taken()).collect(),
    ))
}

/// The objects of the rows, of which there is one for each column, by schema and name.
fn objects(rows: &[Row]) -> Result<Vec<Found>, ColumnError> {
    let mut found: BTreeMap<(Option<String>, String), Found> = BTreeMap::new();
    for row in rows {
        let schema = row.optional_text("schema_name")?.map(str::to_owned);
        let name = row.text("object_name")?.to_owned();
        let object = match found.entry((schema.clone(), name.clone())) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Found {
                in_own_schema: row.flag("in_own_schema")?,
                schema,
                name,
                kind: row.text("object_type")?.to_owned(),
                columns: BTreeSet::new(),
            }),
        };
        if let Some(column) = row.optional_text("column_name")? {
            object.columns.insert(column.to_ascii_lowercase());
        }
    }
    Ok(found.into_values().collect())
}

fn damage(here: &[&Found], own: &BTreeMap<String, Vec<String>>) -> Damage {
    let mut damage = Damage::default();
    for (table, columns) in own {
        let found = here
            .iter()
            .find(|found| found.is_table() && found.name.eq_ignore_ascii_case(table));
        match found {
            None => damage.tables.push(table.clone()),
            Some(found) => damage.columns.extend(
                columns
                    .iter()
                    .filter(|column| !found.columns.contains(*column))
                    .map(|column| (table.clone(), column.clone())),
            ),
        }
    }
    damage
}

/// What the catalog makes of an error that a statement of the registry met.
fn explain(error: DatabaseError, rows: &[Row]) -> DatabaseError {
    match (judge(rows), error) {
        (Ok(Presence::NamesTaken(names)), _) => DatabaseError::NamesTaken(names),
        (Ok(Presence::InSchema(schema)), _) => DatabaseError::RegistryInSchema { schema },
        // Not every server says in a way of its own that a table is missing (SQL Server: 208).
        (Ok(Presence::Absent), DatabaseError::Refused { message, .. }) => {
            DatabaseError::NoRegistry { message }
        }
        (Ok(Presence::Damaged(damage)), DatabaseError::Refused { message, .. })
            if !damage.tables.is_empty() =>
        {
            DatabaseError::NoRegistry { message }
        }
        (_, error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::database::{Dialect, RegistrySchema, Value};

    /// The rows of an object of a SQL Server: one for each column.
    fn object(schema: &str, own: bool, name: &str, kind: &str, columns: &[&str]) -> Vec<Row> {
        let header: Arc<[String]> = [
            "schema_name",
            "in_own_schema",
            "object_name",
            "object_type",
            "column_name",
        ]
        .map(str::to_owned)
        .into();
        let row = |column: Value| {
            let values = vec![
                schema.into(),
                i64::from(own).into(),
                name.into(),
                kind.into(),
                column,
            ];
            Row::new(Arc::clone(&header), values)
        };
        if columns.is_empty() {
            return vec![row(Value::Null)];
        }
        columns.iter().map(|column| row((*column).into())).collect()
    }

    /// A registry in a schema, without what `leave_out` names: a table, or a column of one.
    fn registry(schema: &str, own: bool, leave_out: &[&str]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (table, columns) in own_tables() {
            if leave_out.contains(&table.as_str()) {
                continue;
            }
            let columns: Vec<&str> = columns
                .iter()
                .map(String::as_str)
                .filter(|column| !leave_out.contains(&format!("{table}.{column}").as_str()))
                .collect();
            rows.extend(object(schema, own, &table, "U", &columns));
        }
        rows
    }

    fn taken(name: &str, kind: &'static str) -> TakenName {
        TakenName {
            name: name.to_owned(),
            kind,
        }
    }

    #[test]
    fn nothing_is_no_registry_and_everything_is_one() {
        assert_eq!(judge(&[]).unwrap(), Presence::Absent);
        assert_eq!(
            judge(&registry("dbo", true, &[])).unwrap(),
            Presence::Present
        );
    }

    #[test]
    fn each_name_of_a_table_of_the_application_is_told_with_its_schema() {
        for table in OWN_TABLES {
            let rows = object("dbo", true, table, "U", &["id", "database_id"]);
            assert_eq!(
                judge(&rows).unwrap(),
                Presence::NamesTaken(vec![taken(&format!("dbo.{table}"), "table")])
            );
        }
    }

    #[test]
    fn whatever_shares_the_names_of_tables_is_told_as_what_it_is() {
        let mut rows = object("dbo", true, "Migration_Runs", "V", &["run_id"]);
        rows.extend(object("dbo", true, "audit_events", "SN", &[]));
        rows.extend(object("dbo", true, "trail_heads", "P", &[]));
        rows.extend(object("dbo", true, "db_inventory", "PK", &[]));
        assert_eq!(
            judge(&rows).unwrap(),
            Presence::NamesTaken(vec![
                taken("dbo.Migration_Runs", "view"),
                taken("dbo.audit_events", "synonym"),
                taken("dbo.db_inventory", "constraint"),
                taken("dbo.trail_heads", "procedure"),
            ])
        );
    }

    #[test]
    fn a_view_with_all_columns_is_no_table_of_the_registry() {
        let columns = own_tables().remove("trail_heads").unwrap();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let rows = object("dbo", true, "trail_heads", "V", &columns);
        assert!(matches!(judge(&rows).unwrap(), Presence::NamesTaken(_)));
    }

    #[test]
    fn tables_of_the_same_names_in_other_schemas_are_nobodys_business() {
        let mut rows = object("app", false, "audit_events", "U", &["id"]);
        assert_eq!(judge(&rows).unwrap(), Presence::Absent);
        rows.extend(registry("dbvc", true, &[]));
        assert_eq!(judge(&rows).unwrap(), Presence::Present);
    }

    #[test]
    fn a_registry_in_another_schema_is_found_whatever_is_in_this_one() {
        let mut rows = registry("dbvc", false, &["migration_runs"]);
        let elsewhere = Presence::InSchema("dbvc".to_owned());
        assert_eq!(judge(&rows).unwrap(), elsewhere);
        rows.extend(object("dbo", true, "audit_events", "U", &["id"]));
        assert_eq!(judge(&rows).unwrap(), elsewhere);
    }

    #[test]
    fn copies_of_some_tables_are_no_registry() {
        let columns = own_tables().remove("audit_events").unwrap();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let rows = object("backup", false, "audit_events", "U", &columns);
        assert_eq!(judge(&rows).unwrap(), Presence::Absent);
    }

    #[test]
    fn a_registry_that_lacks_something_is_damaged_and_nobody_elses() {
        let lacking = ["trail_heads", "schema_snapshots.covers"];
        let Presence::Damaged(damage) = judge(&registry("dbo", true, &lacking)).unwrap() else {
            panic!("there is a registry, and something is missing");
        };
        assert!(damage.lacks_table("trail_heads"));
        assert!(!damage.lacks_table("schema_snapshots"));
        assert_eq!(
            damage.sentences(),
            [
                "table trail_heads is missing",
                "column covers of schema_snapshots is missing"
            ]
        );
    }

    #[test]
    fn a_registry_of_a_newer_dbvc_may_have_more() {
        let mut rows = registry("dbo", true, &[]);
        rows.extend(object("dbo", true, "audit_events", "U", &["a_new_column"]));
        assert_eq!(judge(&rows).unwrap(), Presence::Present);
    }

    fn refused() -> DatabaseError {
        DatabaseError::Refused {
            phase: "reading",
            number: Some(207),
            message: "Invalid column name".to_owned(),
        }
    }

    #[test]
    fn the_catalog_explains_an_error() {
        let explained = |error, rows: &[Row]| explain(error, rows);
        let foreign = object("dbo", true, "audit_events", "U", &["id"]);
        assert!(matches!(
            explained(refused(), &foreign),
            DatabaseError::NamesTaken(_)
        ));
        assert!(matches!(
            explained(refused(), &registry("dbvc", false, &[])),
            DatabaseError::RegistryInSchema { .. }
        ));
        assert!(matches!(
            explained(refused(), &[]),
            DatabaseError::NoRegistry { .. }
        ));
        for rows in [
            registry("dbo", true, &[]),
            registry("dbo", true, &["trail_heads.hash"]),
        ] {
            assert!(matches!(
                explained(refused(), &rows),
                DatabaseError::Refused { .. }
            ));
        }
    }

    #[test]
    fn the_catalog_of_sql_server_is_asked_in_t_sql() {
        let schema = RegistrySchema::parse("dbvc").unwrap();
        let text = Dialect::TransactSql(&schema).render(&SQL_SERVER_CATALOG);
        assert!(!text.contains('{') && text.contains("N'dbvc'"), "{text}");
        let dialect = sqlparser::dialect::MsSqlDialect {};
        let parsed = sqlparser::parser::Parser::parse_sql(&dialect, &text);
        assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
    }

    /// What the catalog of a SQLite database with these objects says.
    fn of_sqlite(script: &str) -> Presence {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(script).unwrap();
        let text = Dialect::Sqlite.render(&SQLITE_CATALOG);
        let mut prepared = connection.prepare(&text).unwrap();
        let header: Arc<[String]> = prepared.column_names().map(str::to_owned).collect();
        let value = |value: rusqlite::types::Value| match value {
            rusqlite::types::Value::Integer(number) => Value::Integer(number),
            rusqlite::types::Value::Text(text) => Value::Text(text),
            _ => Value::Null,
        };
        let rows: Vec<Row> = prepared
            .query_map([], |row| {
                (0..header.len())
                    .map(|index| row.get(index).map(value))
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .unwrap()
            .map(|values| Row::new(Arc::clone(&header), values.unwrap()))
            .collect();
        judge(&rows).unwrap()
    }

    #[test]
    fn the_catalog_of_sqlite_tells_the_registry_from_other_objects() {
        assert_eq!(
            of_sqlite("CREATE TABLE orders (id INTEGER)"),
            Presence::Absent
        );
        assert_eq!(of_sqlite(OWN_VERSIONS[0].sqlite), Presence::Present);
        assert_eq!(
            of_sqlite(
                "CREATE TABLE Audit_Events (id INTEGER); CREATE TABLE orders (id INTEGER);
                 CREATE VIEW migration_runs AS SELECT * FROM nowhere;
                 CREATE INDEX ix_schema_snapshots_database ON orders (id)"
            ),
            Presence::NamesTaken(vec![
                taken("Audit_Events", "table"),
                taken("ix_schema_snapshots_database", "index"),
                taken("migration_runs", "view"),
            ])
        );
        let damaged = format!("{}; DROP TABLE migration_run_plans", OWN_VERSIONS[0].sqlite);
        assert!(matches!(of_sqlite(&damaged), Presence::Damaged(_)));
    }

    #[test]
    fn the_indexes_of_the_registry_are_read_from_its_script() {
        let indexes = own_indexes();
        assert!(indexes.contains(&"ux_migration_registry_version"));
        assert_eq!(
            indexes.len(),
            OWN_VERSIONS[0].sqlite.matches(" INDEX ").count()
        );
    }
}
