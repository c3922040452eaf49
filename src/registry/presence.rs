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
