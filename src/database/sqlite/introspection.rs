//! Reads the schema of a SQLite database, in a fixed number of queries whatever the number of tables.
//!
//! The pragmas are the authority on what exists; the text of a CREATE statement adds what they do not tell. Left out
//! are the tables of SQLite itself (`sqlite_…`), temporary objects, and the shadow tables in which a virtual table keeps
//! its rows, since they follow from its definition. Not read are `ON CONFLICT` clauses of constraints: no other engine has
//! them and the model has no place for them, so a difference in nothing else goes unnoticed.

mod declaration;

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Row};

use crate::schema::{
    Column, ForeignKey, Generated, Index, KeyColumn, KeyTerm, Module, PrimaryKey,
    ReferentialAction, Schema, Table, TableOptions, Trigger, Unique,
};
use declaration::{IndexDeclaration, TableDeclaration, fold};

/// The collation of a column that names none.
const DEFAULT_COLLATION: &str = "BINARY";

/// The schema of the main database of the connection.
///
/// Consistent when the caller holds a read transaction: there are several queries. Objects are in canonical order.
///
/// # Errors
///
/// What SQLite says when it cannot read its catalog: the file is no database, is locked, or has a name in it that is
/// not UTF-8. A view that no longer works and a virtual table whose module is missing are no errors.
pub fn read_schema(connection: &Connection) -> Result<Schema, rusqlite::Error> {
    let texts = Texts::read(connection)?;
    let mut tables = read_tables(connection, &texts)?;
    read_columns(connection, &mut tables)?;
    read_indexes(connection, &texts, &mut tables)?;
    read_foreign_keys(connection, &mut tables)?;
    let schema = Schema {
        tables: tables.into_values().map(|reading| reading.table).collect(),
        views: texts.views,
        triggers: texts.triggers,
        ..Schema::default()
    };
    Ok(schema.sorted())
}

/// The texts of all CREATE statements.
#[derive(Default)]
struct Texts {
    tables: HashMap<String, String>,
    indexes: HashMap<String, String>,
    views: Vec<Module>,
    triggers: Vec<Trigger>,
}

impl Texts {
    fn read(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut texts = Self::default();
        let mut statement = connection.prepare(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name, table, text): (String, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            match kind.as_str() {
                "table" => drop(texts.tables.insert(name, text)),
                "index" => drop(texts.indexes.insert(name, text)),
                "view" => texts.views.push(Module {
                    name,
                    text,
                    ..Module::default()
                }),
                "trigger" => texts.triggers.push(Trigger {
                    name,
                    table,
                    text,
                    ..Trigger::default()
                }),
                _ => {}
            }
        }
        Ok(texts)
    }
}

/// A table that is being put together.
struct Reading {
    table: Table,
    declared: TableDeclaration,
    /// The columns of the primary key with their places in it.
    key: BTreeMap<i64, String>,
}

impl Reading {
    /// The collation of a column, by whatever name it goes.
    fn collation_of(&self, column: &str) -> &str {
        let declared = self.declared.columns.get(&fold(column));
        declared
            .and_then(|column| column.collation.as_deref())
            .unwrap_or(DEFAULT_COLLATION)
    }
}

/// The tables by their folded names.
type Readings = BTreeMap<String, Reading>;

fn read_tables(connection: &Connection, texts: &Texts) -> Result<Readings, rusqlite::Error> {
    let mut tables = Readings::new();
    let mut statement = connection.prepare(
        "SELECT name, type = 'virtual', wr, strict FROM pragma_table_list
         WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let text = texts
            .tables
            .get(&name)
            .map(String::as_str)
            .unwrap_or_default();
        let (virtual_module, declared) = if row.get(1)? {
            (
                declaration::virtual_module(text),
                TableDeclaration::default(),
            )
        } else {
            (None, declaration::table(text))
        };
        let options = TableOptions {
            without_rowid: row.get(2)?,
            strict: row.get(3)?,
            virtual_module,
            ..TableOptions::default()
        };
        let checks = declared.checks.clone();
        let table = Table {
            name: name.clone(),
            options,
            checks,
            ..Table::default()
        };
        tables.insert(
            fold(&name),
            Reading {
                table,
                declared,
                key: BTreeMap::new(),
            },
        );
    }
    Ok(tables)
}

/// Reads the columns, and the primary keys as far as the columns tell them.
///
/// A virtual table whose module is missing has no columns in the list of tables; to ask for them would be an error.
fn read_columns(connection: &Connection, tables: &mut Readings) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT l.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden
         FROM pragma_table_list l CROSS JOIN pragma_table_xinfo(l.name, 'main') c
         WHERE l.schema = 'main' AND l.type IN ('table', 'virtual') AND l.ncol > 0
         ORDER BY l.name, c.cid",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(reading) = tables.get_mut(&fold(&row.get::<_, String>(0)?)) else {
            continue;
        };
        let name: String = row.get(1)?;
        let place: i64 = row.get(5)?;
        if place > 0 {
            reading.key.insert(place, name.clone());
        }
        let column = column(row, name, reading)?;
        reading.table.columns.push(column);
    }
    for reading in tables
        .values_mut()
        .filter(|reading| !reading.key.is_empty())
    {
        reading.table.primary_key = Some(PrimaryKey {
            name: reading.declared.primary_key_name.clone(),
            columns: reading.key.values().map(KeyColumn::ascending).collect(),
            ..PrimaryKey::default()
        });
    }
    Ok(())
}

fn column(row: &Row, name: String, reading: &Reading) -> Result<Column, rusqlite::Error> {
    /// What `hidden` of the pragma says.
    const OF_THE_MODULE: i64 = 1;
    const STORED: i64 = 3;
    let hidden: i64 = row.get(6)?;
    let declared = reading.declared.columns.get(&fold(&name));
    let expression = declared.and_then(|column| column.generated.clone());
    Ok(Column {
        data_type: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        nullable: !row.get::<_, bool>(3)?,
        default: row.get(4)?,
        collation: Some(reading.collation_of(&name))
            .filter(|collation| !collation.eq_ignore_ascii_case(DEFAULT_COLLATION))
            .map(str::to_owned),
        identity: declared.is_some_and(|column| column.autoincrement),
        generated: (hidden > OF_THE_MODULE).then(|| Generated {
            expression: expression.unwrap_or_default(),
            stored: hidden == STORED,
        }),
        hidden: hidden == OF_THE_MODULE,
        name,
        ..Column::default()
    })
}

/// One index as the pragmas tell it; a constraint has one too.
struct RawIndex {
    name: String,
    unique: bool,
    origin: String,
    members: Vec<RawMember>,
}

struct RawMember {
    /// Absent for an expression.
    column: Option<String>,
    descending: bool,
    collation: String,
}

fn read_indexes(
    connection: &Connection,
    texts: &Texts,
    tables: &mut Readings,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT l.name, i.name, i.\"unique\", i.origin, m.name, m.\"desc\", coalesce(m.coll, 'BINARY')
         FROM pragma_table_list l
         CROSS JOIN pragma_index_list(l.name, 'main') i
         CROSS JOIN pragma_index_xinfo(i.name, 'main') m
         WHERE l.schema = 'main' AND l.type = 'table' AND m.\"key\" = 1
         ORDER BY l.name, i.seq, m.seqno",
    )?;
    let mut rows = statement.query([])?;
    let mut indexes: Vec<(String, RawIndex)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, name): (String, String) = (row.get(0)?, row.get(1)?);
        let member = RawMember {
            column: row.get(4)?,
            descending: row.get(5)?,
            collation: row.get(6)?,
        };
        match indexes.last_mut() {
            Some((of, index)) if *of == table && index.name == name => index.members.push(member),
            _ => {
                let index = RawIndex {
                    name,
                    unique: row.get(2)?,
                    origin: row.get(3)?,
                    members: vec![member],
                };
                indexes.push((table, index));
            }
        }
    }
    for (table, index) in indexes {
        if let Some(reading) = tables.get_mut(&fold(&table)) {
            add_index(reading, index, texts);
        }
    }
    Ok(())
}

/// Puts an index where it belongs: it is one, or the means of a key or unique constraint.
fn add_index(reading: &mut Reading, index: RawIndex, texts: &Texts) {
    let declared = texts
        .indexes
        .get(&index.name)
        .map(|text| declaration::index(text))
        .unwrap_or_default();
    let columns = key_columns(&index, &declared, reading);
    match index.origin.as_str() {
        "pk" => {
            let name = reading.declared.primary_key_name.clone();
            reading.table.primary_key = Some(PrimaryKey {
                name,
                columns,
                ..PrimaryKey::default()
            });
        }
        "u" => {
            let folded: Vec<Option<String>> = index
                .members
                .iter()
                .map(|member| member.column.as_deref().map(fold))
                .collect();
            let is_it = |unique: &&declaration::DeclaredUnique| {
                unique
                    .columns
                    .iter()
                    .map(Some)
                    .eq(folded.iter().map(Option::as_ref))
            };
            let name = reading
                .declared
                .unique
                .iter()
                .find(is_it)
                .and_then(|unique| unique.name.clone());
            reading.table.unique.push(Unique {
                name,
                columns,
                ..Unique::default()
            });
        }
        _ => reading.table.indexes.push(Index {
            name: index.name,
            unique: index.unique,
            columns,
            filter: declared.filter,
            ..Index::default()
        }),
    }
}

fn key_columns(index: &RawIndex, declared: &IndexDeclaration, reading: &Reading) -> Vec<KeyColumn> {
    let key_column = |(place, member): (usize, &RawMember)| match &member.column {
        Some(column) => KeyColumn {
            term: KeyTerm::Column(column.clone()),
            descending: member.descending,
            collation: Some(&member.collation)
                .filter(|collation| !collation.eq_ignore_ascii_case(reading.collation_of(column)))
                .cloned(),
        },
        None => {
            let written = declared.members.get(place);
            KeyColumn {
                term: KeyTerm::Expression(
                    written
                        .map(|member| member.expression.clone())
                        .unwrap_or_default(),
                ),
                descending: member.descending,
                collation: written.and_then(|member| member.collation.clone()),
            }
        }
    };
    index.members.iter().enumerate().map(key_column).collect()
}

/// A foreign key as the pragma tells it: the columns that it refers to may be left open.
struct RawForeignKey {
    id: i64,
    table: String,
    columns: Vec<(String, Option<String>)>,
    on_update: ReferentialAction,
    on_delete: ReferentialAction,
}

fn read_foreign_keys(
    connection: &Connection,
    tables: &mut Readings,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT l.name, k.id, k.\"table\", k.\"from\", k.\"to\", k.on_update, k.on_delete
         FROM pragma_table_list l CROSS JOIN pragma_foreign_key_list(l.name, 'main') k
         WHERE l.schema = 'main' AND l.type = 'table'
         ORDER BY l.name, k.id, k.seq",
    )?;
    let mut rows = statement.query([])?;
    let mut keys: Vec<(String, RawForeignKey)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (owner, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let pair = (row.get(3)?, row.get(4)?);
        match keys.last_mut() {
            Some((of, key)) if *of == owner && key.id == id => key.columns.push(pair),
            _ => {
                let action = |column| {
                    let text = row.get::<_, String>(column);
                    text.map(|text| ReferentialAction::from_sql(&text).unwrap_or_default())
                };
                let key = RawForeignKey {
                    id,
                    table: row.get(2)?,
                    columns: vec![pair],
                    on_update: action(5)?,
                    on_delete: action(6)?,
                };
                keys.push((owner, key));
            }
        }
    }
    for (owner, key) in keys {
        let (table, referenced_columns) = referenced(&key, tables);
        if let Some(reading) = tables.get_mut(&fold(&owner)) {
            add_foreign_key(reading, key, table, referenced_columns);
        }
    }
    Ok(())
}

/// The table and columns that a foreign key refers to, in the spelling of that table.
///
/// A key that names no columns means the primary key: said in full, so that both ways of writing it are equal.
fn referenced(key: &RawForeignKey, tables: &Readings) -> (String, Vec<String>) {
    let named: Vec<String> = key
        .columns
        .iter()
        .filter_map(|(_, to)| to.clone())
        .collect();
    let Some(target) = tables.get(&fold(&key.table)) else {
        return (key.table.clone(), named);
    };
    if named.is_empty() {
        return (
            target.table.name.clone(),
            target.key.values().cloned().collect(),
        );
    }
    let spelled = |name: String| {
        let column = target
            .table
            .columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(&name));
        column.map(|column| column.name.clone()).unwrap_or(name)
    };
    (
        target.table.name.clone(),
        named.into_iter().map(spelled).collect(),
    )
}

fn add_foreign_key(
    reading: &mut Reading,
    key: RawForeignKey,
    referenced_table: String,
    referenced_columns: Vec<String>,
) {
    let columns: Vec<String> = key.columns.into_iter().map(|(from, _)| from).collect();
    let folded: Vec<String> = columns.iter().map(|column| fold(column)).collect();
    let target = fold(&referenced_table);
    // Taken out, so that of two equal keys each finds its own. The pragma tells the last one first.
    let declared = &mut reading.declared.foreign_keys;
    let found = declared
        .iter()
        .rposition(|key| key.columns == folded && key.referenced_table == target);
    let declared = found.map(|position| declared.remove(position));
    reading.table.foreign_keys.push(ForeignKey {
        deferred: declared.as_ref().is_some_and(|key| key.deferred),
        name: declared.and_then(|key| key.name),
        columns,
        referenced_table,
        referenced_columns,
        on_update: key.on_update,
        on_delete: key.on_delete,
        ..ForeignKey::default()
    });
}

#[cfg(test)]
mod tests;
