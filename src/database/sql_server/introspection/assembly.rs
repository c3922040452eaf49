//! The rows that the catalog gave, put together into a schema. Pure.

use std::collections::HashMap;

use super::super::super::{ColumnError, Row};
use super::data_type::{DataType, full_name};
use super::queries::Answers;
use crate::schema::{
    Check, Column, ForeignKey, Generated, Index, KeyColumn, Module, ModuleSettings, OtherObject,
    PrimaryKey, ReferentialAction, Schema, Table, Trigger, Unique,
};

mod parts;

/// The kind of an index that the model does not mention.
const USUAL_KIND: &str = "NONCLUSTERED";

/// Has all columns of its table, so that to name them says nothing.
const WHOLE_TABLE: &str = "CLUSTERED COLUMNSTORE";

/// The answers as a schema in canonical order.
///
/// What belongs to an object that the answers do not have, because it came or went between two queries, is left out.
pub(super) fn assemble(answers: &Answers) -> Result<Schema, ColumnError> {
    let [
        database,
        objects,
        modules,
        columns,
        indexes,
        members,
        foreign_keys,
        checks,
    ] = &answers.core;
    let collation = match database.first() {
        Some(row) => row.optional_text("collation_name")?,
        None => None,
    };
    let mut assembly = Assembly::default();
    assembly.name_objects(objects)?;
    let modules = by_ids(modules, ["object_id"])?;
    assembly.add_objects(objects, &modules)?;
    let parts = parts::Parts::of(answers);
    assembly.add_types(&parts)?;
    assembly.add_columns(columns, collation)?;
    assembly.add_indexes(indexes, &by_ids(members, ["object_id", "index_id"])?)?;
    assembly.add_foreign_keys(foreign_keys)?;
    assembly.add_checks(checks)?;
    assembly.add_parts(&parts, &modules)?;
    Ok(assembly.finish())
}

/// Rows by the ids of what they belong to, in their order.
type RowsById<'a, const N: usize> = HashMap<[i64; N], Vec<&'a Row>>;

fn by_ids<'a, const N: usize>(
    rows: &'a [Row],
    columns: [&str; N],
) -> Result<RowsById<'a, N>, ColumnError> {
    let mut found = RowsById::new();
    for row in rows {
        found.entry(ids(row, columns)?).or_default().push(row);
    }
    Ok(found)
}

fn ids<const N: usize>(row: &Row, columns: [&str; N]) -> Result<[i64; N], ColumnError> {
    let mut ids = [0; N];
    for (id, column) in ids.iter_mut().zip(columns) {
        *id = row.integer(column)?;
    }
    Ok(ids)
}

/// A schema on the way, its objects by the ids of the catalog.
#[derive(Default)]
struct Assembly {
    names: HashMap<i64, String>,
    /// What belongs to no table.
    rest: Schema,
    /// The types that are tables, by the ids of those.
    table_types: Vec<i64>,
    /// By the ids of table and column.
    column_names: HashMap<(i64, i64), String>,
    tables: HashMap<i64, Table>,
    views: HashMap<i64, Module>,
    procedures: Vec<Module>,
    functions: Vec<Module>,
    triggers: Vec<Trigger>,
    /// By the ids of table and index.
    index_names: HashMap<(i64, i64), String>,
    schema_names: HashMap<i64, String>,
    type_names: HashMap<i64, String>,
}

impl Assembly {
    fn name_objects(&mut self, objects: &[Row]) -> Result<(), ColumnError> {
        for row in objects {
            let name = full_name(row.text("schema_name")?, row.text("name")?);
            self.names.insert(row.integer("object_id")?, name);
        }
        Ok(())
    }

    fn add_objects(&mut self, objects: &[Row], modules: &RowsById<1>) -> Result<(), ColumnError> {
        for row in objects {
            let id = row.integer("object_id")?;
            let name = self.name(id);
            let (text, settings) = match modules.get(&[id]).and_then(|rows| rows.first()) {
                Some(module) => (text(module)?, settings(module)?),
                None => Default::default(),
            };
            match row.text("kind")? {
                "U" => {
                    let table = Table {
                        name,
                        ..Table::default()
                    };
                    self.tables.insert(id, table);
                }
                "TR" | "TA" => self.triggers.push(Trigger {
                    // It always has the schema of its table.
                    name: row.text("name")?.to_owned(),
                    table: self.name(row.integer("parent_object_id")?),
                    text,
                    settings,
                    disabled: is(row, "is_disabled")?,
                }),
                // Known by their tables, or by queries of their own.
                "PK" | "UQ" | "F" | "C" | "D" | "SO" | "SN" | "TT" | "IT" | "S" => {}
                kind => {
                    let module = Module {
                        name,
                        text,
                        settings,
                        indexes: Vec::new(),
                    };
                    match kind {
                        "V" => drop(self.views.insert(id, module)),
                        "P" | "PC" => self.procedures.push(module),
                        "FN" | "IF" | "TF" | "FS" | "FT" | "AF" => self.functions.push(module),
                        _ => self.rest.other_objects.push(OtherObject {
                            name: module.name,
                            type_description: row.text("type_desc")?.to_owned(),
                        }),
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

    /// Puts each index where it belongs: it is one, of a table or a view, or the means of a key or unique constraint.
    fn add_indexes(&mut self, indexes: &[Row], members: &RowsById<2>) -> Result<(), ColumnError> {
        for row in indexes {
            let id @ [owner, number] = ids(row, ["object_id", "index_id"])?;
            let members = members.get(&id).map_or(&[] as &[_], Vec::as_slice);
            let index = self.index(row, owner, members)?;
            self.index_names.insert((owner, number), index.name.clone());
            if let Some(table) = self.tables.get_mut(&owner) {
                if is(row, "is_primary_key")? {
                    table.primary_key = Some(PrimaryKey {
                        name: given_name(row)?,
                        columns: index.columns,
                        kind: index.kind,
                        disabled: index.disabled,
                    });
                } else if is(row, "is_unique_constraint")? {
                    table.unique.push(Unique {
                        name: given_name(row)?,
                        columns: index.columns,
                        kind: index.kind,
                        disabled: index.disabled,
                    });
                } else {
                    table.indexes.push(index);
                }
            } else if let Some(view) = self.views.get_mut(&owner) {
                view.indexes.push(index);
            }
        }
        Ok(())
    }

    fn index(&self, row: &Row, owner: i64, members: &[&Row]) -> Result<Index, ColumnError> {
        let kind = row.text("type_desc")?;
        let mut index = Index {
            name: row.text("name")?.to_owned(),
            unique: is(row, "is_unique")?,
            kind: (kind != USUAL_KIND).then(|| kind.to_owned()),
            filter: row.optional_text("filter_definition")?.map(str::to_owned),
            disabled: is(row, "is_disabled")?,
            ignores_duplicates: is(row, "ignore_dup_key")?,
            ..Index::default()
        };
        for member in members {
            let name = self.column_name(owner, member.integer("column_id")?);
            if is(member, "is_included_column")? {
                if kind != WHOLE_TABLE {
                    index.included.push(name);
                }
            // The column by which it is partitioned is no member of it.
            } else if is(member, "key_ordinal")? {
                index.columns.push(KeyColumn {
                    descending: is(member, "is_descending_key")?,
                    ..KeyColumn::ascending(name)
                });
            }
        }
        Ok(index)
    }

    fn add_foreign_keys(&mut self, pairs: &[Row]) -> Result<(), ColumnError> {
        for pairs in by_ids(pairs, ["object_id"])?.into_values() {
            let owner = pairs[0].integer("parent_object_id")?;
            let key = self.foreign_key(owner, &pairs)?;
            if let Some(table) = self.tables.get_mut(&owner) {
                table.foreign_keys.push(key);
            }
        }
        Ok(())
    }

    fn foreign_key(&self, owner: i64, pairs: &[&Row]) -> Result<ForeignKey, ColumnError> {
        let row = pairs[0];
        let target = row.integer("referenced_object_id")?;
        let mut key = ForeignKey {
            name: given_name(row)?,
            referenced_table: self.name(target),
            on_update: action(row, "update_referential_action_desc")?,
            on_delete: action(row, "delete_referential_action_desc")?,
            disabled: is(row, "is_disabled")?,
            untrusted: is_untrusted(row)?,
            ..ForeignKey::default()
        };
        for pair in pairs {
            let column = self.column_name(owner, pair.integer("parent_column_id")?);
            let referenced = self.column_name(target, pair.integer("referenced_column_id")?);
            key.columns.push(column);
            key.referenced_columns.push(referenced);
        }
        Ok(key)
    }

    fn add_checks(&mut self, checks: &[Row]) -> Result<(), ColumnError> {
        for row in checks {
            let check = Check {
                name: given_name(row)?,
                expression: text(row)?,
                disabled: is(row, "is_disabled")?,
                untrusted: is_untrusted(row)?,
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

    fn finish(mut self) -> Schema {
        self.give_types_their_tables();
        let schema = Schema {
            tables: self.tables.into_values().collect(),
            views: self.views.into_values().collect(),
            procedures: self.procedures,
            functions: self.functions,
            triggers: self.triggers,
            ..self.rest
        };
        schema.sorted()
    }
}

/// The type that a row describes by its name, size and the schema of a user's type.
fn data_type(row: &Row) -> Result<String, ColumnError> {
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
    Ok(data_type.render())
}

fn column(row: &Row, database_collation: Option<&str>) -> Result<Column, ColumnError> {
    let collation = row.optional_text("collation_name")?;
    Ok(Column {
        name: row.text("name")?.to_owned(),
        data_type: data_type(row)?,
        nullable: is(row, "is_nullable")?,
        default: row.optional_text("default_definition")?.map(str::to_owned),
        collation: collation
            .filter(|collation| Some(*collation) != database_collation)
            .map(str::to_owned),
        identity: is(row, "is_identity")?,
        generated: match row.optional_text("computed_definition")? {
            Some(expression) => Some(Generated {
                expression: expression.to_owned(),
                stored: is(row, "is_persisted")?,
            }),
            None => None,
        },
        hidden: is(row, "is_hidden")?,
        sparse: is(row, "is_sparse")?,
        row_guid: is(row, "is_rowguidcol")?,
        generated_always: row.optional_text("generated_always")?.map(str::to_owned),
        // Told by queries of their own.
        identity_range: None,
        mask: None,
    })
}

/// Flags of the catalog may be NULL, which is no.
fn is(row: &Row, column: &str) -> Result<bool, ColumnError> {
    Ok(row.optional_integer(column)?.is_some_and(|flag| flag != 0))
}

/// What is switched off is never trusted, so that nothing more is said by that.
fn is_untrusted(row: &Row) -> Result<bool, ColumnError> {
    Ok(is(row, "is_not_trusted")? && !is(row, "is_disabled")?)
}

/// A name that the server made up is none.
fn given_name(row: &Row) -> Result<Option<String>, ColumnError> {
    if is(row, "is_system_named")? {
        return Ok(None);
    }
    Ok(row.optional_text("name")?.map(str::to_owned))
}

fn action(row: &Row, column: &str) -> Result<ReferentialAction, ColumnError> {
    let text = row.optional_text(column)?.unwrap_or_default();
    Ok(ReferentialAction::from_sql(text).unwrap_or_default())
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

#[cfg(test)]
mod tests;
