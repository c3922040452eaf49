//! What belongs to no table: schemas, types, sequences, synonyms, roles, permissions, notes, and details that a server may lack.

use super::super::super::session::ResultSet;
use super::super::data_type::{DataType, full_name};
use super::super::queries::{Answers, PARTS, PartQuery};
use super::{Assembly, ColumnError, Row, RowsById, data_type, is, settings, text};
use crate::schema::{
    ExtendedProperty, Namespace, NotRead, Part, Permission, PermissionState, Role, Securable,
    Sequence, SequenceCache, Synonym, Table, Trigger, UserType,
};

/// `NULL`, and where it stands for no table, 0.
const NONE: i64 = 0;

/// The schemas that every database has, of which the last nine go with the fixed roles. They are no part of anybody's schema,
/// but what was granted on them is. By name, since not every server gives them the same ids.
const OF_EVERY_DATABASE: [&str; 13] = [
    "dbo",
    "guest",
    "sys",
    "INFORMATION_SCHEMA",
    "db_owner",
    "db_accessadmin",
    "db_securityadmin",
    "db_ddladmin",
    "db_backupoperator",
    "db_datareader",
    "db_datawriter",
    "db_denydatareader",
    "db_denydatawriter",
];

/// The answers of the parts, by the views that they came from.
pub(super) struct Parts<'a>(Vec<(&'static PartQuery, &'a ResultSet)>);

impl<'a> Parts<'a> {
    pub fn of(answers: &'a Answers) -> Self {
        Self(PARTS.iter().zip(&answers.parts).collect())
    }

    /// The rows of a view; none when the server lacks it.
    fn rows(&self, view: &str) -> &'a [Row] {
        let found = self.0.iter().find(|(query, _)| query.view == view);
        let rows: &[Row] = found.map_or(&[], |(_, rows)| rows);
        if missing_view(rows).is_some() {
            &[]
        } else {
            rows
        }
    }

    fn not_read(&self) -> Vec<NotRead> {
        let note = |part: Part, view: &str| NotRead {
            part,
            reason: format!("the server has no view {view}"),
        };
        let missing = self.0.iter().filter_map(|(query, rows)| {
            let view = missing_view(rows)?;
            Some(note(query.part, view))
        });
        missing.collect()
    }
}

fn missing_view(rows: &[Row]) -> Option<&str> {
    rows.first()?.text("missing_view").ok()
}

impl Assembly {
    /// Types come before columns, since those of a table type are read with all others.
    pub(super) fn add_types(&mut self, parts: &Parts) -> Result<(), ColumnError> {
        for row in parts.rows("types") {
            let name = full_name(row.text("schema_name")?, row.text("name")?);
            let table = row
                .optional_integer("type_table_object_id")?
                .unwrap_or(NONE);
            let mut user_type = UserType {
                name: name.clone(),
                ..UserType::default()
            };
            if table != NONE {
                self.names.insert(table, name.clone());
                self.table_types.push(table);
                let table_of_type = Table {
                    name,
                    ..Table::default()
                };
                self.tables.insert(table, table_of_type);
            } else if !is(row, "is_assembly_type")? {
                let base = DataType {
                    name: row.optional_text("type_name")?.unwrap_or_default(),
                    schema: None,
                    max_length: row.integer("max_length")?,
                    precision: row.integer("precision")?,
                    scale: row.integer("scale")?,
                };
                user_type.base = Some(base.render());
                user_type.nullable = is(row, "is_nullable")?;
            }
            self.type_names
                .insert(row.integer("user_type_id")?, user_type.name.clone());
            self.rest.types.push(user_type);
        }
        Ok(())
    }

    pub(super) fn give_types_their_tables(&mut self) {
        for id in std::mem::take(&mut self.table_types) {
            let Some(table) = self.tables.remove(&id) else {
                continue;
            };
            let named = |user_type: &&mut UserType| user_type.name == table.name;
            if let Some(user_type) = self.rest.types.iter_mut().find(named) {
                user_type.table = Some(Box::new(table));
            }
        }
    }

    /// Everything else, when all tables and names are there.
    pub(super) fn add_parts(
        &mut self,
        parts: &Parts,
        modules: &RowsById<1>,
    ) -> Result<(), ColumnError> {
        self.rest.not_read = parts.not_read();
        self.add_namespaces(parts.rows("schemas"))?;
        self.add_sequences(parts.rows("sequences"))?;
        self.add_synonyms(parts.rows("synonyms"))?;
        self.add_roles(
            parts.rows("database_principals"),
            parts.rows("database_role_members"),
        )?;
        self.add_permissions(parts.rows("database_permissions"))?;
        self.add_notes(parts.rows("extended_properties"))?;
        self.add_details(parts)?;
        self.add_database_triggers(parts.rows("triggers"), modules)
    }

    fn add_namespaces(&mut self, rows: &[Row]) -> Result<(), ColumnError> {
        for row in rows {
            let name = row.text("name")?.to_owned();
            self.schema_names
                .insert(row.integer("schema_id")?, name.clone());
            if !OF_EVERY_DATABASE.contains(&name.as_str()) {
                let owner = owner(row)?;
                self.rest.schemas.push(Namespace { name, owner });
            }
        }
        Ok(())
    }

    fn add_sequences(&mut self, rows: &[Row]) -> Result<(), ColumnError> {
        for row in rows {
            let number = |column| Ok::<_, ColumnError>(row.text(column)?.to_owned());
            let cache = match row.optional_integer("cache_size")? {
                _ if !is(row, "is_cached")? => SequenceCache::None,
                Some(size) => SequenceCache::Numbers(size),
                None => SequenceCache::ServersChoice,
            };
            self.rest.sequences.push(Sequence {
                name: self.name(row.integer("object_id")?),
                data_type: data_type(row)?,
                start: number("start_value")?,
                increment: number("increment")?,
                minimum: number("minimum_value")?,
                maximum: number("maximum_value")?,
                cycles: is(row, "is_cycling")?,
                cache,
            });
        }
        Ok(())
    }

    fn add_synonyms(&mut self, rows: &[Row]) -> Result<(), ColumnError> {
        for row in rows {
            self.rest.synonyms.push(Synonym {
                name: self.name(row.integer("object_id")?),
                target: row.text("base_object_name")?.to_owned(),
            });
        }
        Ok(())
    }

    fn add_roles(&mut self, roles: &[Row], members: &[Row]) -> Result<(), ColumnError> {
        for row in roles {
            self.rest.roles.push(Role {
                name: row.text("name")?.to_owned(),
                owner: owner(row)?,
                ..Role::default()
            });
        }
        for row in members {
            let (name, member) = (row.text("role_name")?, row.text("member_name")?.to_owned());
            match self.rest.roles.iter_mut().find(|role| role.name == name) {
                Some(role) => role.members.push(member),
                None => self.rest.roles.push(Role {
                    name: name.to_owned(),
                    fixed: is(row, "is_fixed_role")?,
                    owner: None,
                    members: vec![member],
                }),
            }
        }
        Ok(())
    }

    fn add_permissions(&mut self, rows: &[Row]) -> Result<(), ColumnError> {
        for row in rows {
            let state = PermissionState::from_sql(row.text("state_desc")?);
            if let (Some(on), Some(state)) = (self.securable(row)?, state) {
                self.rest.permissions.push(Permission {
                    on,
                    permission: row.text("permission_name")?.to_owned(),
                    grantee: row.text("grantee")?.to_owned(),
                    state,
                });
            }
        }
        Ok(())
    }

    fn add_notes(&mut self, rows: &[Row]) -> Result<(), ColumnError> {
        for row in rows {
            if let Some(on) = self.securable(row)? {
                self.rest.extended_properties.push(ExtendedProperty {
                    on,
                    name: row.text("name")?.to_owned(),
                    value: row.optional_text("value")?.unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// What a permission or a note is about, by the classes of the catalog; `None` for what is not part of the schema.
    fn securable(&self, row: &Row) -> Result<Option<Securable>, ColumnError> {
        let (major, minor) = (row.integer("major_id")?, row.integer("minor_id")?);
        let object = self.names.get(&major).cloned();
        Ok(match row.integer("class")? {
            0 => Some(Securable::Database),
            1 if minor == NONE => object.map(Securable::Object),
            1 => object.map(|owner| Securable::Column(owner, self.column_name(major, minor))),
            2 => object.map(|owner| Securable::Parameter(owner, format!("parameter {minor}"))),
            3 => self
                .schema_names
                .get(&major)
                .cloned()
                .map(Securable::Schema),
            6 => self.type_names.get(&major).cloned().map(Securable::Type),
            7 => {
                let index = self.index_names.get(&(major, minor));
                object
                    .zip(index)
                    .map(|(owner, index)| Securable::Index(owner, index.clone()))
            }
            _ => None,
        })
    }

    fn add_details(&mut self, parts: &Parts) -> Result<(), ColumnError> {
        for row in parts.rows("identity_columns") {
            let (seed, increment) = (
                row.optional_text("seed_value")?,
                row.optional_text("increment_value")?,
            );
            if let (Some(seed), Some(increment)) = (seed, increment) {
                self.with_column(row, |column| {
                    column.identity_range = Some(format!("{seed}, {increment}"));
                })?;
            }
        }
        for row in parts.rows("masked_columns") {
            let mask = row.optional_text("masking_function")?.unwrap_or_default();
            self.with_column(row, |column| column.mask = Some(mask.to_owned()))?;
        }
        for row in parts.rows("tables") {
            const SYSTEM_VERSIONED: i64 = 2;
            let history = row.optional_integer("history_table_id")?.unwrap_or(NONE);
            let is_versioned = row.integer("temporal_type")? == SYSTEM_VERSIONED;
            let history = is_versioned.then(|| self.name(history));
            let in_memory = is(row, "is_memory_optimized")?;
            let durability = row.optional_text("durability_desc")?.filter(|_| in_memory);
            if let Some(table) = self.tables.get_mut(&row.integer("object_id")?) {
                table.options.history_table = history;
                table.options.memory_optimized = durability.map(str::to_owned);
            }
        }
        Ok(())
    }

    fn with_column(
        &mut self,
        row: &Row,
        change: impl FnOnce(&mut crate::schema::Column),
    ) -> Result<(), ColumnError> {
        let table = row.integer("object_id")?;
        let name = self.column_name(table, row.integer("column_id")?);
        let columns = self.tables.get_mut(&table).map(|table| &mut table.columns);
        let mut columns = columns.into_iter().flatten();
        if let Some(column) = columns.find(|column| column.name == name) {
            change(column);
        }
        Ok(())
    }

    fn add_database_triggers(
        &mut self,
        rows: &[Row],
        modules: &RowsById<1>,
    ) -> Result<(), ColumnError> {
        for row in rows {
            let module = modules.get(&[row.integer("object_id")?]);
            let (text, settings) = match module.and_then(|rows| rows.first()) {
                Some(module) => (text(module)?, settings(module)?),
                None => Default::default(),
            };
            self.triggers.push(Trigger {
                name: row.text("name")?.to_owned(),
                table: String::new(),
                text,
                settings,
                disabled: is(row, "is_disabled")?,
            });
        }
        Ok(())
    }
}

/// `dbo` is what nobody chose.
fn owner(row: &Row) -> Result<Option<String>, ColumnError> {
    let owner = row.optional_text("owner")?;
    Ok(owner.filter(|owner| *owner != "dbo").map(str::to_owned))
}
