//! The rows that the catalog gave, put together into a schema. Pure.

use std::collections::HashMap;

use super::super::super::{ColumnError, Row};
use super::super::session::ResultSet;
use super::QUERIES;
use super::data_type::{DataType, full_name};
use crate::schema::{
    Check, Column, ForeignKey, Generated, Index, KeyColumn, KeyTerm, Module, ModuleSettings,
    PrimaryKey, ReferentialAction, Schema, Table, Trigger, Unique,
};

/// The kind of an index that the model does not mention.
const USUAL_KIND: &str = "NONCLUSTERED";

/// Has all columns of its table, so that to name them says nothing.
const WHOLE_TABLE: &str = "CLUSTERED COLUMNSTORE";

/// The answers to [`QUERIES`] as a schema in canonical order.
///
/// What belongs to an object that the answers do not have, because it came or went between two queries, is left out.
pub(super) fn assemble(answers: &[ResultSet; QUERIES.len()]) -> Result<Schema, ColumnError> {
    let [database, objects, columns, indexes, foreign_keys, checks] = answers;
    let collation = match database.first() {
        Some(row) => row.optional_text("collation_name")?,
        None => None,
    };
    let mut assembly = Assembly::default();
    assembly.name_objects(objects)?;
    assembly.add_objects(objects)?;
    assembly.add_columns(columns, collation)?;
    assembly.add_indexes(indexes)?;
    assembly.add_foreign_keys(foreign_keys)?;
    assembly.add_checks(checks)?;
    Ok(assembly.finish())
}

/// A schema on the way, its objects by the ids of the catalog.
#[derive(Default)]
struct Assembly {
    names: HashMap<i64, String>,
    /// By the ids of table and column.
    column_names: HashMap<(i64, i64), String>,
    tables: HashMap<i64, Table>,
    views: HashMap<i64, Module>,
    procedures: Vec<Module>,
    functions: Vec<Module>,
    triggers: Vec<Trigger>,
}

impl Assembly {
    fn name_objects(&mut self, objects: &[Row]) -> Result<(), ColumnError> {
        for row in objects {
            let name = full_name(row.text("schema_name")?, row.text("name")?);
            self.names.insert(row.integer("object_id")?, name);
        }
        Ok(())
    }

    fn add_objects(&mut self, objects: &[Row]) -> Result<(), ColumnError> {
        for row in objects {
            let id = row.integer("object_id")?;
            let name = self.name(id);
            match row.text("kind")? {
                "U" => {
                    let table = Table {
                        name,
                        ..Table::default()
                    };
                    self.tables.insert(id, table);
                }
                "TR" | "TA" => self.triggers.push(Trigger {
                    name,
                    table: self.name(row.integer("parent_object_id")?),
                    text: text(row)?,
                    settings: settings(row)?,
                    disabled: is(row, "is_disabled")?,
                }),
                kind => {
                    let module = Module {
                        name,
                        text: text(row)?,
                        settings: settings(row)?,
                        indexes: Vec::new(),
                    };
                    match kind {
                        "V" => drop(self.views.insert(id, module)),
                        "P" | "PC" => self.procedures.push(module),
                        // Of which there are several kinds.
                        _ => self.functions.push(module),
                    }
                }
            }
        }
        Ok(())
    }

    fn add_columns(
        &mut self,
        columns: &[Row],
        database_collation: Option<&str>,
    ) -> Result<(), ColumnError> {
        for row in columns {
            let table = row.integer("object_id")?;
            let column = column(row, database_collation)?;
            self.column_names
                .insert((table, row.integer("column_id")?), column.name.clone());
            if let Some(table) = self.tables.get_mut(&table) {
                table.columns.push(column);
            }
        }
        Ok(())
    }

    fn add_indexes(&mut self, members: &[Row]) -> Result<(), ColumnError> {
        for members in grouped(members, &["object_id", "index_id"])? {
            self.add_index(members)?;
        }
        Ok(())
    }

    /// Puts an index where it belongs: it is one, of a table or a view, or the means of a key or unique constraint.
    fn add_index(&mut self, members: &[Row]) -> Result<(), ColumnError> {
        let Some(row) = members.first() else {
            return Ok(());
        };
        let owner = row.integer("object_id")?;
        let kind = row.text("type_desc")?;
        let mut columns = Vec::new();
        let mut included = Vec::new();
        for member in members {
            // An index may have none, and the column by which it is partitioned is not a member of it.
            let Some(id) = member.optional_integer("column_id")? else {
                continue;
            };
            let name = self.column_name(owner, id);
            if is(member, "is_included_column")? {
                if kind != WHOLE_TABLE {
                    included.push(name);
                }
            } else if is(member, "key_ordinal")? {
                columns.push(KeyColumn {
                    term: KeyTerm::Column(name),
                    descending: is(member, "is_descending_key")?,
                    collation: None,
                });
            }
        }
        let given_name = given_name(row)?;
        let disabled = is(row, "is_disabled")?;
        let shown_kind = Some(kind.to_owned()).filter(|kind| kind != USUAL_KIND);
        let table = self.tables.get_mut(&owner);
        match (table, self.views.get_mut(&owner)) {
            (Some(table), _) if is(row, "is_primary_key")? => {
                table.primary_key = Some(PrimaryKey {
                    name: given_name,
                    columns,
                    kind: shown_kind,
                    disabled,
                });
            }
            (Some(table), _) if is(row, "is_unique_constraint")? => table.unique.push(Unique {
                name: given_name,
                columns,
                kind: shown_kind,
                disabled,
            }),
            (table, view) => {
                let index = Index {
                    name: row.text("name")?.to_owned(),
                    unique: is(row, "is_unique")?,
                    columns,
                    included,
                    kind: shown_kind,
                    filter: row.optional_text("filter_definition")?.map(str::to_owned),
                    disabled,
                };
                let indexes = table
                    .map(|table| &mut table.indexes)
                    .or(view.map(|view| &mut view.indexes));
                if let Some(indexes) = indexes {
                    indexes.push(index);
                }
            }
        }
        Ok(())
    }

    fn add_foreign_keys(&mut self, pairs: &[Row]) -> Result<(), ColumnError> {
        for pairs in grouped(pairs, &["object_id"])? {
            let Some(row) = pairs.first() else {
                continue;
            };
            let owner = row.integer("parent_object_id")?;
            let target = row.integer("referenced_object_id")?;
            let names = |table: i64, column: &str| {
                pairs
                    .iter()
                    .map(|pair| Ok(self.column_name(table, pair.integer(column)?)))
                    .collect::<Result<Vec<_>, ColumnError>>()
            };
            let action = |column: &str| -> Result<ReferentialAction, ColumnError> {
                let text = row.optional_text(column)?.unwrap_or_default();
                Ok(ReferentialAction::from_sql(text).unwrap_or_default())
            };
            let key = ForeignKey {
                name: given_name(row)?,
                columns: names(owner, "parent_column_id")?,
                referenced_table: self.name(target),
                referenced_columns: names(target, "referenced_column_id")?,
                on_update: action("update_referential_action_desc")?,
                on_delete: action("delete_referential_action_desc")?,
                deferred: false,
                disabled: is(row, "is_disabled")?,
            };
            if let Some(table) = self.tables.get_mut(&owner) {
                table.foreign_keys.push(key);
            }
        }
        Ok(())
    }

    fn add_checks(&mut self, checks: &[Row]) -> Result<(), ColumnError> {
        for row in checks {
            let check = Check {
                name: given_name(row)?,
                expression: text(row)?,
                disabled: is(row, "is_disabled")?,
            };
            if let Some(table) = self.tables.get_mut(&row.integer("parent_object_id")?) {
                table.checks.push(check);
            }
        }
        Ok(())
    }

    /// The name of an object; empty when the user may not see it.
    fn name(&self, id: i64) -> String {
        self.names.get(&id).cloned().unwrap_or_default()
    }

    /// The name of a column; empty when the user may not see it.
    fn column_name(&self, table: i64, column: i64) -> String {
        let name = self.column_names.get(&(table, column));
        name.cloned().unwrap_or_default()
    }

    fn finish(self) -> Schema {
        let schema = Schema {
            tables: self.tables.into_values().collect(),
            views: self.views.into_values().collect(),
            procedures: self.procedures,
            functions: self.functions,
            triggers: self.triggers,
            ..Schema::default()
        };
        schema.sorted()
    }
}

fn column(row: &Row, database_collation: Option<&str>) -> Result<Column, ColumnError> {
    let data_type = DataType {
        name: row.optional_text("type_name")?.unwrap_or_default(),
        schema: match row.optional_text("type_schema")? {
            schema if is(row, "is_user_defined")? => schema,
            _ => None,
        },
        max_length: row.integer("max_length")?,
        precision: row.integer("precision")?,
        scale: row.integer("scale")?,
    };
    let collation = row.optional_text("collation_name")?;
    let computed = row.optional_text("computed_definition")?;
    Ok(Column {
        name: row.text("name")?.to_owned(),
        data_type: data_type.render(),
        nullable: is(row, "is_nullable")?,
        default: row.optional_text("default_definition")?.map(str::to_owned),
        collation: collation
            .filter(|collation| Some(*collation) != database_collation)
            .map(str::to_owned),
        identity: is(row, "is_identity")?,
        generated: match computed {
            Some(expression) => Some(Generated {
                expression: expression.to_owned(),
                stored: is(row, "is_persisted")?,
            }),
            None => None,
        },
        hidden: is(row, "is_hidden")?,
    })
}

/// What follows one another and agrees in these numbers.
fn grouped<'a>(rows: &'a [Row], keys: &[&str]) -> Result<Vec<&'a [Row]>, ColumnError> {
    let key_of = |row: &Row| {
        let key = keys.iter().map(|key| row.integer(key));
        key.collect::<Result<Vec<_>, _>>()
    };
    let mut groups = Vec::new();
    let mut begin = 0;
    for end in 1..=rows.len() {
        if end == rows.len() || key_of(&rows[begin])? != key_of(&rows[end])? {
            groups.push(&rows[begin..end]);
            begin = end;
        }
    }
    Ok(groups)
}

/// Flags of the catalog may be NULL, which is no.
fn is(row: &Row, column: &str) -> Result<bool, ColumnError> {
    Ok(row.optional_integer(column)?.is_some_and(|flag| flag != 0))
}

/// A name that the server made up is none.
fn given_name(row: &Row) -> Result<Option<String>, ColumnError> {
    if is(row, "is_system_named")? {
        return Ok(None);
    }
    Ok(row.optional_text("name")?.map(str::to_owned))
}

fn text(row: &Row) -> Result<String, ColumnError> {
    Ok(row
        .optional_text("definition")?
        .unwrap_or_default()
        .to_owned())
}

fn settings(row: &Row) -> Result<ModuleSettings, ColumnError> {
    // NULL, as of a module that is no T-SQL, is not off.
    let off = |column: &str| Ok::<_, ColumnError>(row.optional_integer(column)? == Some(0));
    Ok(ModuleSettings {
        ansi_nulls_off: off("uses_ansi_nulls")?,
        quoted_identifier_off: off("uses_quoted_identifier")?,
    })
}
