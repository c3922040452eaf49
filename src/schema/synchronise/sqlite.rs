//! The script for SQLite, as far as its statements reach.
//!
//! Everything but a table's own columns and constraints can be dropped and made again at no cost. A table can only get columns,
//! and lose them; for anything else it is made anew and its rows are copied, which is left to people: only they know what is
//! to become of the rows.

use std::collections::BTreeSet;

use super::order::mentions;
use super::text::Script;
use super::things::{Differences, Thing};
use crate::schema::facts::of_column;
use crate::schema::lexer::{TokenKind, code};
use crate::schema::model::{
    Check, Column, ForeignKey, Index, KeyColumn, KeyTerm, ObjectKind, ReferentialAction, Schema,
    Table,
};
use crate::schema::normalise::{given_name, in_parentheses};

/// Writes the steps from one schema to the other.
pub(super) fn write(
    script: &mut Script,
    before: &Schema,
    after: &Schema,
    differences: &Differences<'_>,
) {
    let writer = Writer {
        before,
        after,
        differences,
        gone: tables_in(&differences.went),
        new: tables_in(&differences.came),
    };
    writer.write(script);
}

fn tables_in<'a>(things: &[Thing<'a>]) -> BTreeSet<&'a str> {
    let tables = things.iter().filter_map(|thing| match thing {
        Thing::Table(table) => Some(table.name.as_str()),
        _ => None,
    });
    tables.collect()
}

struct Writer<'a> {
    before: &'a Schema,
    after: &'a Schema,
    differences: &'a Differences<'a>,
    gone: BTreeSet<&'a str>,
    new: BTreeSet<&'a str>,
}

impl<'a> Writer<'a> {
    fn write(&self, script: &mut Script) {
        self.drop_what_stands_on_tables(script);
        for table in &self.after.tables {
            if self.new.contains(table.name.as_str()) {
                script.run(format!("{};", create_table(table, "IF NOT EXISTS ")));
            }
        }
        let rebuilt = self.tables_to_rebuild();
        self.add_columns(script, &rebuilt);
        self.drop_columns(script, &rebuilt);
        self.explain_rebuilding(script, &rebuilt);
        self.make_what_stands_on_tables(script, &rebuilt);
        for table in self
            .before
            .tables
            .iter()
            .filter(|table| self.gone.contains(table.name.as_str()))
        {
            script.hold(
                format!("all rows of table {} go with it.", table.name),
                vec![format!("DROP TABLE IF EXISTS {};", name(&table.name))],
            );
        }
    }

    /// What goes or changes, those first that may stand on others.
    fn drop_what_stands_on_tables(&self, script: &mut Script) {
        let went = self.differences.went.iter().copied();
        let changed = self.differences.changed.iter().map(|(old, _)| *old);
        let all: Vec<Thing<'_>> = went.chain(changed).collect();
        for thing in &all {
            if let Thing::Trigger(trigger) = thing
                && !self.gone.contains(trigger.table.as_str())
            {
                script.run(format!("DROP TRIGGER IF EXISTS {};", name(&trigger.name)));
            }
        }
        for thing in &all {
            if let Thing::Module(ObjectKind::View, view) = thing {
                script.run(format!("DROP VIEW IF EXISTS {};", name(&view.name)));
            }
        }
        for thing in &all {
            if let Thing::Index(table, index) = thing
                && !self.gone.contains(table)
            {
                script.run(format!("DROP INDEX IF EXISTS {};", name(&index.name)));
            }
        }
    }

    fn make_what_stands_on_tables(&self, script: &mut Script, rebuilt: &[(&Table, Vec<String>)]) {
        let waits = |table: &str| rebuilt.iter().any(|(other, _)| other.name == table);
        let came = self.differences.came.iter().copied();
        let changed = self.differences.changed.iter().map(|(_, new)| *new);
        let all: Vec<Thing<'_>> = came.chain(changed).collect();
        for thing in &all {
            // Of a table that is made anew they are made with it: they may be on columns that it does not have before.
            if let Thing::Index(table, index) = thing
                && !waits(table)
            {
                script.run(create_index(table, index));
            }
        }
        for thing in &all {
            if let Thing::Module(ObjectKind::View, view) = thing {
                self.make_by_text(script, "view", &view.name, &view.text);
            }
        }
        for thing in &all {
            if let Thing::Trigger(trigger) = thing {
                self.make_by_text(script, "trigger", &trigger.name, &trigger.text);
            }
        }
        // A view that goes takes its triggers with it, and one that is made again has them no more.
        for thing in &self.differences.kept {
            if let Thing::Trigger(trigger) = thing
                && all.iter().any(
                    |thing| matches!(thing, Thing::Module(_, view) if view.name == trigger.table),
                )
            {
                self.make_by_text(script, "trigger", &trigger.name, &trigger.text);
            }
        }
    }

    fn make_by_text(&self, script: &mut Script, kind: &str, name: &str, text: &str) {
        match if_not_exists(text) {
            Some(text) => script.run(text),
            None => script.explain(format!(
                "The text of {kind} {name} does not begin as dbvc expects; bring it by hand."
            )),
        }
    }

    /// Tables of which more changes than columns can come and go, each with what it is.
    fn tables_to_rebuild(&self) -> Vec<(&'a Table, Vec<String>)> {
        let mut all = Vec::new();
        for table in &self.after.tables {
            let Some(old) = self.before.tables.iter().find(|old| old.name == table.name) else {
                continue;
            };
            let why = self.needs_rebuilding(old, table);
            if !why.is_empty() {
                all.push((table, why));
            }
        }
        all
    }

    fn needs_rebuilding(&self, old: &Table, new: &Table) -> Vec<String> {
        let mut why = Vec::new();
        if old.options != new.options {
            why.push("how it is kept".to_owned());
        }
        let unknown = &self.differences.unknown;
        for column in &new.columns {
            match old.columns.iter().find(|other| other.name == column.name) {
                Some(other) if of_column(unknown, other) != of_column(unknown, column) => {
                    why.push(format!("column {}", column.name));
                }
                None if cannot_be_added(column) => {
                    why.push(format!("the new column {}", column.name))
                }
                _ => {}
            }
        }
        let of_table = |thing: &Thing<'_>| thing.owner() == Some(&new.name);
        let came = self.differences.came.iter().copied().filter(of_table);
        let went = self.differences.went.iter().copied().filter(of_table);
        let changed = self
            .differences
            .changed
            .iter()
            .map(|(_, new)| *new)
            .filter(of_table);
        let added: Vec<&Column> = added(old, new);
        let goes = |column: &str| {
            let is_there = |table: &Table| {
                table
                    .columns
                    .iter()
                    .any(|other| other.name.eq_ignore_ascii_case(column))
            };
            is_there(old) && !is_there(new)
        };
        why.extend(came.filter_map(|thing| match thing {
            Thing::ForeignKey(_, key) if with_column(key, &added) => None,
            Thing::Check(_, check) if check_with_column(check, &added).is_some() => None,
            other => constraint_words(other),
        }));
        why.extend(changed.filter_map(constraint_words));
        why.extend(went.filter_map(|thing| match thing {
            // A check within the definition of its column goes with it; SQLite refuses where it is the table's.
            Thing::Check(_, check)
                if old.columns.iter().any(|column| {
                    goes(&column.name) && mentions(&check.expression, &column.name)
                }) =>
            {
                None
            }
            Thing::ForeignKey(_, key) if key.columns.iter().any(|column| goes(column)) => None,
            other => constraint_words(other),
        }));
        why
    }

    fn add_columns(&self, script: &mut Script, rebuilt: &[(&Table, Vec<String>)]) {
        for table in &self.after.tables {
            let Some(old) = self.before.tables.iter().find(|old| old.name == table.name) else {
                continue;
            };
            if rebuilt.iter().any(|(other, _)| other.name == table.name) {
                continue;
            }
            let added = added(old, table);
            let came = |thing: &Thing<'_>| thing.owner() == Some(&table.name);
            let came: Vec<Thing<'_>> = self.differences.came.iter().copied().filter(came).collect();
            for column in &added {
                let mut definition = column_definition(table, column);
                for thing in &came {
                    match thing {
                        Thing::ForeignKey(_, key) if key.columns == [column.name.as_str()] => {
                            definition += &format!(" {}", references(key, true));
                        }
                        Thing::Check(_, check)
                            if check_with_column(check, &added)
                                .is_some_and(|with| with.name == column.name) =>
                        {
                            definition += &format!(" {}", check_text(check));
                        }
                        _ => {}
                    }
                }
                script.run_knowing(
                    format!(
                        "SQLite cannot ask first whether {} has column {}: where it has, this fails. In a migration for a database \
                         that has it, mark the migration as applied instead of running it (baseline of POST migrations/run).",
                        table.name, column.name
                    ),
                    vec![format!("ALTER TABLE {} ADD COLUMN {definition};", name(&table.name))],
                );
            }
        }
    }

    fn drop_columns(&self, script: &mut Script, rebuilt: &[(&Table, Vec<String>)]) {
        for old in &self.before.tables {
            let Some(table) = self
                .after
                .tables
                .iter()
                .find(|table| table.name == old.name)
            else {
                continue;
            };
            if rebuilt.iter().any(|(other, _)| other.name == table.name) {
                continue;
            }
            for column in &old.columns {
                if table.columns.iter().all(|other| other.name != column.name) {
                    script.hold(
                        format!(
                            "the values of column {} of {} go with it. SQLite refuses while anything else stands on it.",
                            column.name, old.name
                        ),
                        vec![format!("ALTER TABLE {} DROP COLUMN {};", name(&old.name), name(&column.name))],
                    );
                }
            }
        }
    }

    fn explain_rebuilding(&self, script: &mut Script, rebuilt: &[(&Table, Vec<String>)]) {
        for (table, why) in rebuilt {
            let new = Table {
                name: format!("{}_new", table.name),
                ..(*table).clone()
            };
            let old = self.before.tables.iter().find(|old| old.name == table.name);
            let stays = |column: &&Column| {
                column.generated.is_none()
                    && old.is_some_and(|old| {
                        old.columns.iter().any(|other| other.name == column.name)
                    })
            };
            let columns: Vec<String> = table
                .columns
                .iter()
                .filter(stays)
                .map(|column| name(&column.name))
                .collect();
            let columns = columns.join(", ");
            // Else views and triggers that mention the table would be in the way of the new name.
            let mut batches = vec!["PRAGMA legacy_alter_table = ON;".to_owned()];
            batches.push(format!("{};", create_table(&new, "")));
            if !columns.is_empty() {
                batches.push(format!(
                    "INSERT INTO {} ({columns}) SELECT {columns} FROM {};",
                    name(&new.name),
                    name(&table.name)
                ));
            }
            batches.push(format!("DROP TABLE {};", name(&table.name)));
            batches.push(format!(
                "ALTER TABLE {} RENAME TO {};",
                name(&new.name),
                name(&table.name)
            ));
            batches.extend(
                table
                    .indexes
                    .iter()
                    .map(|index| create_index(&table.name, index)),
            );
            let triggers = self
                .after
                .triggers
                .iter()
                .filter(|trigger| trigger.table == table.name);
            batches.extend(triggers.filter_map(|trigger| if_not_exists(&trigger.text)));
            batches.push("PRAGMA legacy_alter_table = OFF;".to_owned());
            script.hold(
                format!(
                    "table {} has to be made anew and its rows copied ({}), since SQLite alters none of that in place. Only the columns that \
                     both have are copied. Where PRAGMA foreign_keys is on, switch it off before, outside of a transaction, or rows that refer \
                     to the table go with it. See \
                     https://www.sqlite.org/lang_altertable.html#otheralter",
                    table.name,
                    why.join(", ")
                ),
                batches,
            );
        }
    }
}

/// What a table would have to be made anew for.
fn constraint_words(thing: Thing<'_>) -> Option<String> {
    match thing {
        Thing::PrimaryKey(..) => Some("its primary key".to_owned()),
        Thing::Unique(..) => Some("a UNIQUE of it".to_owned()),
        Thing::ForeignKey(..) => Some("a foreign key of it".to_owned()),
        Thing::Check(..) => Some("a CHECK of it".to_owned()),
        _ => None,
    }
}

fn added<'a>(old: &Table, new: &'a Table) -> Vec<&'a Column> {
    let is_new = |column: &&Column| old.columns.iter().all(|other| other.name != column.name);
    new.columns.iter().filter(is_new).collect()
}

/// Whether the key can be written with one of the columns that are added.
fn with_column(key: &ForeignKey, added: &[&Column]) -> bool {
    matches!(key.columns.as_slice(), [one] if added.iter().any(|column| {
        // SQLite wants NULL in all rows that are there.
        column.name == *one && column.default.is_none()
    }))
}

/// The last of the added columns that a check mentions: written there it knows all of them.
fn check_with_column<'a>(check: &Check, added: &[&'a Column]) -> Option<&'a Column> {
    let mentioned = |column: &&&Column| mentions(&check.expression, &column.name);
    added.iter().rev().find(mentioned).copied()
}

/// The rules of <https://www.sqlite.org/lang_altertable.html#altertabaddcol>, but for keys, which are constraints.
fn cannot_be_added(column: &Column) -> bool {
    let default = column
        .default
        .as_deref()
        .map(|text| (text, is_constant(text)));
    let is_null = |text: &str| text.eq_ignore_ascii_case("null");
    column.identity
        || column
            .generated
            .as_ref()
            .is_some_and(|generated| generated.stored)
        || default.is_some_and(|(_, constant)| !constant)
        || (!column.nullable
            && column.generated.is_none()
            && default.is_none_or(|(text, _)| is_null(text)))
}

/// Whether a default is a number, a string, or a word that is no moment: what SQLite takes without parentheses.
fn is_constant(text: &str) -> bool {
    let tokens = code(text);
    let value = match tokens.as_slice() {
        [value] => value,
        [sign, value] if sign.is_symbol('-') || sign.is_symbol('+') => value,
        _ => return false,
    };
    let is_word = ["NULL", "TRUE", "FALSE"]
        .iter()
        .any(|word| value.is_word(word));
    matches!(value.kind, TokenKind::Number | TokenKind::Literal) || is_word
}

fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn names(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|one| name(one)).collect();
    names.join(", ")
}

fn named(constraint: Option<&str>) -> String {
    given_name(constraint)
        .map(|given| format!("CONSTRAINT {} ", name(given)))
        .unwrap_or_default()
}

fn create_table(table: &Table, if_not_exists: &str) -> String {
    if let Some(module) = &table.options.virtual_module {
        return format!(
            "CREATE VIRTUAL TABLE {if_not_exists}{} USING {module}",
            name(&table.name)
        );
    }
    let mut lines: Vec<String> = table
        .columns
        .iter()
        .map(|column| column_definition(table, column))
        .collect();
    let counts_up = table.columns.iter().any(|column| column.identity);
    if let Some(key) = table.primary_key.as_ref().filter(|_| !counts_up) {
        lines.push(format!(
            "{}PRIMARY KEY ({})",
            named(key.name.as_deref()),
            key_columns(&key.columns)
        ));
    }
    lines.extend(table.unique.iter().map(|unique| {
        format!(
            "{}UNIQUE ({})",
            named(unique.name.as_deref()),
            key_columns(&unique.columns)
        )
    }));
    lines.extend(table.foreign_keys.iter().map(|key| {
        let columns = names(&key.columns);
        format!(
            "{}FOREIGN KEY ({columns}) {}",
            named(key.name.as_deref()),
            references(key, false)
        )
    }));
    lines.extend(table.checks.iter().map(check_text));
    let mut options = Vec::new();
    if table.options.without_rowid {
        options.push("WITHOUT ROWID");
    }
    if table.options.strict {
        options.push("STRICT");
    }
    let options = match options.join(", ") {
        none if none.is_empty() => none,
        some => format!(" {some}"),
    };
    format!(
        "CREATE TABLE {if_not_exists}{} (\n    {}\n){options}",
        name(&table.name),
        lines.join(",\n    ")
    )
}

fn column_definition(table: &Table, column: &Column) -> String {
    let mut words = vec![name(&column.name)];
    if !column.data_type.is_empty() {
        words.push(column.data_type.clone());
    }
    if column.identity {
        let key = table
            .primary_key
            .as_ref()
            .and_then(|key| key.name.as_deref());
        words.push(format!("{}PRIMARY KEY AUTOINCREMENT", named(key)));
    }
    if let Some(collation) = &column.collation {
        words.push(format!("COLLATE {}", name(collation)));
    }
    if !column.nullable {
        words.push("NOT NULL".to_owned());
    }
    if let Some(default) = &column.default {
        let text = if is_constant(default) {
            default.clone()
        } else {
            in_parentheses(default)
        };
        words.push(format!("DEFAULT {text}"));
    }
    if let Some(generated) = &column.generated {
        let kept = if generated.stored {
            "STORED"
        } else {
            "VIRTUAL"
        };
        words.push(format!(
            "GENERATED ALWAYS AS {} {kept}",
            in_parentheses(&generated.expression)
        ));
    }
    words.join(" ")
}

fn references(key: &ForeignKey, with_name: bool) -> String {
    let mut text = if with_name {
        named(key.name.as_deref())
    } else {
        String::new()
    };
    text += &format!("REFERENCES {}", name(&key.referenced_table));
    if !key.referenced_columns.is_empty() {
        text += &format!(" ({})", names(&key.referenced_columns));
    }
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        if action != ReferentialAction::NoAction {
            text += &format!(" ON {event} {}", action.as_sql());
        }
    }
    if key.deferred {
        text += " DEFERRABLE INITIALLY DEFERRED";
    }
    text
}

fn check_text(check: &Check) -> String {
    format!(
        "{}CHECK {}",
        named(check.name.as_deref()),
        in_parentheses(&check.expression)
    )
}

fn key_columns(columns: &[KeyColumn]) -> String {
    let one = |column: &KeyColumn| {
        let mut text = match &column.term {
            KeyTerm::Column(column) => name(column),
            KeyTerm::Expression(expression) => expression.clone(),
        };
        if let Some(collation) = &column.collation {
            text += &format!(" COLLATE {}", name(collation));
        }
        if column.descending {
            text += " DESC";
        }
        text
    };
    columns.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn create_index(table: &str, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let filter = index
        .filter
        .as_ref()
        .map(|filter| format!(" WHERE {filter}"));
    format!(
        "CREATE {unique}INDEX IF NOT EXISTS {} ON {} ({}){};",
        name(&index.name),
        name(table),
        key_columns(&index.columns),
        filter.unwrap_or_default()
    )
}

/// The text of a view or trigger with IF NOT EXISTS behind its kind, and a semicolon.
fn if_not_exists(text: &str) -> Option<String> {
    let tokens = code(text);
    let first = tokens.first().filter(|token| token.is_word("CREATE"))?;
    let kind = tokens
        .iter()
        .skip(1)
        .take(2)
        .find(|token| token.is_word("VIEW") || token.is_word("TRIGGER"))?;
    let next = tokens.iter().find(|token| token.start > kind.start)?;
    let text = text.trim_end();
    let body = &text[kind.end()..];
    let guard = if next.is_word("IF") {
        ""
    } else {
        " IF NOT EXISTS"
    };
    let end = match tokens.last()? {
        last if last.is_symbol(';') => "",
        _ if text.lines().last().is_some_and(|line| line.contains("--")) => "\n;",
        _ => ";",
    };
    Some(format!(
        "{}{guard}{body}{end}",
        &text[first.start..kind.end()]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_and_triggers_are_made_by_their_own_texts() {
        assert_eq!(
            if_not_exists("CREATE VIEW v AS SELECT 1").unwrap(),
            "CREATE VIEW IF NOT EXISTS v AS SELECT 1;"
        );
        assert_eq!(
            if_not_exists("create trigger t after insert on x begin select 1; end").unwrap(),
            "create trigger IF NOT EXISTS t after insert on x begin select 1; end;"
        );
        assert_eq!(
            if_not_exists("CREATE VIEW v AS SELECT 1 -- all").unwrap(),
            "CREATE VIEW IF NOT EXISTS v AS SELECT 1 -- all\n;"
        );
        assert_eq!(if_not_exists("SELECT 1"), None);
    }

    #[test]
    fn only_a_constant_is_a_default_of_an_added_column() {
        for text in ["0", "-1", "'today'", "NULL", "x'00'", "TRUE"] {
            assert!(is_constant(text), "{text}");
        }
        for text in ["CURRENT_TIMESTAMP", "1 + 1", "abs(1)", "\"a\""] {
            assert!(!is_constant(text), "{text}");
        }
    }
}
