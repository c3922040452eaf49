//! Keys, constraints and indexes: how they are dropped and made.

use super::catalog::{self, Entry, key_columns};
use super::name::{bracket, list, literal, quoted, schema_of};
use crate::schema::model::{Check, ForeignKey, Index, PrimaryKey, ReferentialAction, Unique};
use crate::schema::normalise::in_parentheses;
use crate::schema::synchronise::things::Thing;

/// A key, constraint or index of a table or view.
#[derive(Clone, Copy)]
pub(super) struct Constraint<'a> {
    owner: &'a str,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    PrimaryKey(&'a PrimaryKey),
    Unique(&'a Unique),
    ForeignKey(&'a ForeignKey),
    Check(&'a Check),
    Index(&'a Index),
}

impl<'a> Constraint<'a> {
    /// The thing, if it is one.
    pub fn of(thing: Thing<'a>) -> Option<Self> {
        let kind = match thing {
            Thing::PrimaryKey(_, key) => Kind::PrimaryKey(key),
            Thing::Unique(_, unique) => Kind::Unique(unique),
            Thing::ForeignKey(_, key) => Kind::ForeignKey(key),
            Thing::Check(_, check) => Kind::Check(check),
            Thing::Index(_, index) => Kind::Index(index),
            _ => return None,
        };
        let owner = thing.owner()?;
        Some(Self { owner, kind })
    }

    fn entry(self) -> Entry {
        match self.kind {
            Kind::PrimaryKey(key) => catalog::primary_key(self.owner, key),
            Kind::Unique(unique) => catalog::unique(self.owner, unique),
            Kind::ForeignKey(key) => catalog::foreign_key(self.owner, key),
            Kind::Check(check) => catalog::check(self.owner, check),
            Kind::Index(index) => catalog::index(self.owner, index),
        }
    }

    fn name(self) -> Option<&'a str> {
        match self.kind {
            Kind::PrimaryKey(key) => key.name.as_deref(),
            Kind::Unique(unique) => unique.name.as_deref(),
            Kind::ForeignKey(key) => key.name.as_deref(),
            Kind::Check(check) => check.name.as_deref(),
            Kind::Index(index) => Some(&index.name),
        }
    }

    /// The object as notes and permissions name it.
    pub fn securable(self) -> Option<String> {
        let name = self.name()?;
        Some(match self.kind {
            Kind::Index(_) => format!("index {}.{name}", self.owner),
            _ => {
                let plain = |part: &str| {
                    if part.contains(['.', '[', ']']) {
                        bracket(part)
                    } else {
                        part.to_owned()
                    }
                };
                format!("{}.{}", plain(&schema_of(self.owner)), plain(name))
            }
        })
    }

    /// Drops it if it is there, unless it is `already` as it will be.
    pub fn drop(self, already: Option<Self>) -> String {
        let table = quoted(self.owner);
        let already = already.map(Self::entry);
        match (self.kind, self.name()) {
            (Kind::Index(_), Some(name)) => {
                let drop = format!("DROP INDEX IF EXISTS {} ON {table};", bracket(name));
                match already {
                    Some(new) => format!("IF NOT {}\n    {drop}", new.stands()),
                    None => drop,
                }
            }
            (_, Some(name)) => {
                let there = self.entry().exists();
                let unless = already.map(|new| format!(" AND NOT {}", new.stands()));
                format!(
                    "IF {there}{}\n    ALTER TABLE {table} DROP CONSTRAINT {};",
                    unless.unwrap_or_default(),
                    bracket(name)
                )
            }
            (_, None) => self.entry().drop_by_lookup(&table, already.as_ref()),
        }
    }

    /// Drops it if it is there and a condition holds.
    pub fn drop_if(self, condition: &str) -> String {
        format!(
            "IF {condition}\nBEGIN\n{}\nEND;",
            indented(&self.drop(None))
        )
    }

    /// Makes it unless it is there.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn make(self) -> Result<String, String> {
        let statements = self.statements()?;
        let there = self.entry().exists();
        Ok(match statements.as_slice() {
            [one] => format!("IF NOT {there}\n{}", indented(one)),
            several => format!(
                "IF NOT {there}\nBEGIN\n{}\nEND;",
                indented(&several.join("\n"))
            ),
        })
    }

    fn statements(self) -> Result<Vec<String>, String> {
        let table = quoted(self.owner);
        let named = self
            .name()
            .map(|name| format!("CONSTRAINT {} ", bracket(name)))
            .unwrap_or_default();
        let (statement, disabled) = match self.kind {
            Kind::PrimaryKey(key) => {
                let kind = index_kind(key.kind.as_deref(), self.owner)?;
                let columns = key_columns(&key.columns);
                (
                    format!("ALTER TABLE {table} ADD {named}PRIMARY KEY {kind} ({columns});"),
                    key.disabled,
                )
            }
            Kind::Unique(unique) => {
                let kind = index_kind(unique.kind.as_deref(), self.owner)?;
                let columns = key_columns(&unique.columns);
                (
                    format!("ALTER TABLE {table} ADD {named}UNIQUE {kind} ({columns});"),
                    unique.disabled,
                )
            }
            Kind::ForeignKey(key) => {
                let unchecked = without_check(key.disabled || key.untrusted);
                (
                    format!(
                        "ALTER TABLE {table}{unchecked} ADD {named}{};",
                        foreign_key(key)?
                    ),
                    key.disabled,
                )
            }
            Kind::Check(check) => {
                let unchecked = without_check(check.disabled || check.untrusted);
                let expression = in_parentheses(&check.expression);
                (
                    format!("ALTER TABLE {table}{unchecked} ADD {named}CHECK {expression};"),
                    check.disabled,
                )
            }
            Kind::Index(index) => (create_index(self.owner, index)?, index.disabled),
        };
        let mut statements = vec![statement];
        if disabled {
            let Some(name) = self.name() else {
                return Err(format!(
                    "A constraint of {} that has no name is switched off; make and switch it off by hand.",
                    self.owner
                ));
            };
            let name = bracket(name);
            statements.push(match self.kind {
                Kind::ForeignKey(_) | Kind::Check(_) => {
                    format!("ALTER TABLE {table} NOCHECK CONSTRAINT {name};")
                }
                _ => format!("ALTER INDEX {name} ON {table} DISABLE;"),
            });
        }
        Ok(statements)
    }
}

/// New constraints are checked unless one says otherwise.
fn without_check(unchecked: bool) -> &'static str {
    if unchecked { " WITH NOCHECK" } else { "" }
}

fn index_kind<'a>(kind: Option<&'a str>, owner: &str) -> Result<&'a str, String> {
    match kind.unwrap_or("NONCLUSTERED") {
        kind @ ("CLUSTERED" | "NONCLUSTERED") => Ok(kind),
        other => Err(format!(
            "A key of {owner} is kept as {other}, which only a table made anew can have; write it by hand."
        )),
    }
}

fn foreign_key(key: &ForeignKey) -> Result<String, String> {
    if key.referenced_table.is_empty() {
        return Err(
            "A foreign key refers to a table that dbvc's user may not see; write it by hand."
                .to_owned(),
        );
    }
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}",
        list(&key.columns),
        quoted(&key.referenced_table)
    );
    if !key.referenced_columns.is_empty() {
        text += &format!(" ({})", list(&key.referenced_columns));
    }
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        if action != ReferentialAction::NoAction {
            text += &format!(" ON {event} {}", action.as_sql());
        }
    }
    Ok(text)
}

fn create_index(owner: &str, index: &Index) -> Result<String, String> {
    let (name, table) = (bracket(&index.name), quoted(owner));
    let kind = index.kind.as_deref().unwrap_or("NONCLUSTERED");
    let mut text = match kind {
        "CLUSTERED" | "NONCLUSTERED" => {
            let unique = if index.unique { "UNIQUE " } else { "" };
            // What is not said is beside the table.
            let kind = if kind == "CLUSTERED" {
                "CLUSTERED "
            } else {
                ""
            };
            format!(
                "CREATE {unique}{kind}INDEX {name} ON {table} ({})",
                key_columns(&index.columns)
            )
        }
        "CLUSTERED COLUMNSTORE" => format!("CREATE {kind} INDEX {name} ON {table}"),
        "NONCLUSTERED COLUMNSTORE" => {
            format!(
                "CREATE {kind} INDEX {name} ON {table} ({})",
                list(&index.included)
            )
        }
        other => {
            return Err(format!(
                "Index {} of {owner} is of kind {other}; write it by hand.",
                index.name
            ));
        }
    };
    if !index.included.is_empty() && !kind.ends_with("COLUMNSTORE") {
        text += &format!(" INCLUDE ({})", list(&index.included));
    }
    if let Some(filter) = &index.filter {
        text += &format!(" WHERE {filter}");
    }
    if index.ignores_duplicates {
        text += " WITH (IGNORE_DUP_KEY = ON)";
    }
    Ok(text + ";")
}

/// Each line four columns further in. No line of it is within a string that spans lines, as long as no name has a line end.
pub(super) fn indented(text: &str) -> String {
    if text.contains('\'') && has_line_end_in_string(text) {
        return text.to_owned();
    }
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

fn has_line_end_in_string(text: &str) -> bool {
    crate::schema::lexer::code(text)
        .iter()
        .any(|token| token.text.contains('\n'))
}

/// That a table is there.
pub(super) fn table_is_missing(table: &str) -> String {
    format!("OBJECT_ID({}, N'U') IS NULL", literal(&quoted(table)))
}
