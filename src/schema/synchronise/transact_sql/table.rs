//! Tables and their columns.

use std::collections::BTreeSet;

use super::catalog;
use super::column::{self, alter, definition, risk};
use super::constraint::{Constraint, indented, table_is_missing};
use super::name::{bracket, literal, object_id, quoted};
use crate::schema::facts::of_column;
use crate::schema::model::{Column, Index, KeyColumn, KeyTerm, Table};
use crate::schema::normalise::in_parentheses;
use crate::schema::synchronise::order::mentions;
use crate::schema::synchronise::text::Script;
use crate::schema::synchronise::things::{Differences, Thing};

/// A table that is not there yet, with its columns; keys and constraints follow when all tables are there.
pub(super) fn create(script: &mut Script, table: &Table, differences: &Differences<'_>) {
    let name = &table.name;
    if table.options.history_table.is_some()
        || table
            .columns
            .iter()
            .any(|column| column.generated_always.is_some())
    {
        script.explain(format!(
            "Table {name} keeps its former rows or has columns that the server writes; dbvc does not write such tables. Make it by hand."
        ));
        return;
    }
    if table.options.memory_optimized.is_some() {
        script.explain(format!(
            "Table {name} is kept in memory; dbvc does not write such tables. Make it by hand."
        ));
        return;
    }
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("        {}", definition(column, &differences.unknown)))
        .collect();
    script.run(format!(
        "IF {}\n    CREATE TABLE {} (\n{}\n    );",
        table_is_missing(name),
        quoted(name),
        columns.join(",\n")
    ));
}

/// Whether [`create`] writes such a table.
pub(super) fn is_written(table: &Table) -> bool {
    table.options.history_table.is_none()
        && table.options.memory_optimized.is_none()
        && table
            .columns
            .iter()
            .all(|column| column.generated_always.is_none())
}

/// A table that is to go, and before it the keys of other tables that hold it.
pub(super) fn drop(script: &mut Script, table: &Table, holders: &[Constraint<'_>]) {
    let name = &table.name;
    let mut batches: Vec<String> = holders.iter().map(|key| key.drop(None)).collect();
    if table.options.history_table.is_some() {
        batches.push(format!(
            "ALTER TABLE {} SET (SYSTEM_VERSIONING = OFF);",
            quoted(name)
        ));
    }
    batches.push(format!("DROP TABLE IF EXISTS {};", quoted(name)));
    script.hold(format!("all rows of table {name} go with it."), batches);
}

/// What is to be made again after the steps of a table: objects that had to go for a moment and lose what is said of them.
#[derive(Default)]
pub(super) struct MadeAgain(pub BTreeSet<String>);

/// A table that stays and changes.
pub(super) struct Alteration<'a> {
    pub before: &'a Table,
    pub after: &'a Table,
    pub differences: &'a Differences<'a>,
}

impl Alteration<'_> {
    /// Its columns: first those that come, then those that change, then those that go.
    pub fn write(&self, script: &mut Script, made_again: &mut MadeAgain) {
        let name = &self.after.name;
        if self.before.options != self.after.options {
            script.explain(format!(
                "How table {name} is kept has changed (its history, or whether it is in memory); a script cannot do that safely. \
                 Do it by hand."
            ));
        }
        let old = |column: &Column| {
            self.before
                .columns
                .iter()
                .find(|old| old.name == column.name)
        };
        for column in &self.after.columns {
            if old(column).is_none() {
                self.add(script, column);
            }
        }
        for column in &self.after.columns {
            if let Some(old) = old(column) {
                self.change(script, old, column, made_again);
            }
        }
        for column in &self.before.columns {
            if self.after.columns.iter().all(|new| new.name != column.name) {
                self.drop(script, column);
            }
        }
    }

    fn lacks(&self, column: &str) -> String {
        format!(
            "COL_LENGTH({}, {}) IS NULL",
            literal(&quoted(&self.after.name)),
            literal(column)
        )
    }

    fn add(&self, script: &mut Script, column: &Column) {
        let table = &self.after.name;
        if column.generated_always.is_some() {
            script.explain(format!(
                "Column {} of {table} is written by the server for the history of the table; add it by hand.",
                column.name
            ));
            return;
        }
        let batch = format!(
            "IF {}\n    ALTER TABLE {} ADD {};",
            self.lacks(&column.name),
            quoted(table),
            definition(column, &self.differences.unknown)
        );
        let is_filled = column.nullable
            || column.default.is_some()
            || column.identity
            || column.generated.is_some()
            || matches!(column.data_type.as_str(), "timestamp" | "rowversion");
        if is_filled {
            script.run(batch);
        } else {
            script.run_knowing(
                format!(
                    "Column {} of {table} takes no NULL and has no default: the server refuses it where the table has rows. Add it \
                     with a default there, or as NULL, fill it, and then change it.",
                    column.name
                ),
                vec![batch],
            );
        }
    }

    fn drop(&self, script: &mut Script, column: &Column) {
        let table = quoted(&self.after.name);
        let name = &column.name;
        let drop = format!(
            "IF NOT {}\n    ALTER TABLE {table} DROP COLUMN {};",
            self.lacks(name),
            bracket(name)
        );
        if column.generated.is_some() {
            script.run(drop);
            return;
        }
        let mut batches = Vec::new();
        if column.default.is_some() {
            batches
                .push(catalog::default(&self.after.name, name, None).drop_by_lookup(&table, None));
        }
        batches.push(drop);
        script.hold(
            format!(
                "the values of column {name} of {} go with it.",
                self.after.name
            ),
            batches,
        );
    }

    fn change(&self, script: &mut Script, old: &Column, new: &Column, made_again: &mut MadeAgain) {
        let unknown = &self.differences.unknown;
        let (before, after) = (of_column(unknown, old), of_column(unknown, new));
        let differs = |aspects: &[&str]| {
            aspects
                .iter()
                .any(|aspect| before.get(aspect) != after.get(aspect))
        };
        let (table, name) = (&self.after.name, &new.name);
        if differs(&["identity", "identity range", "generated always", "hidden"]) {
            script.explain(format!(
                "Column {name} of {table} is another one in that the server gives it its values (identity, or the times of the history). \
                 No statement alters that; the table has to be made anew and its rows copied, by hand."
            ));
        }
        match (&old.generated, &new.generated) {
            (Some(_), Some(_)) => {
                if differs(&["generated", "stored"]) {
                    self.compute_anew(script, new, made_again);
                }
                return;
            }
            (None, None) => {}
            (Some(_), None) => {
                script.explain(format!(
                    "Column {name} of {table} is computed and is to hold values of its own. Add a column, copy the values, drop this \
                     one and rename the new one, by hand."
                ));
                return;
            }
            (None, Some(_)) => {
                script.explain(format!(
                    "Column {name} of {table} holds values and is to be computed, with which they would be lost. Drop it and add it \
                     again by hand, when nobody needs them."
                ));
                return;
            }
        }
        if differs(&["type", "nullable", "collation"]) {
            self.alter(script, old, new, made_again);
        }
        if differs(&["default"]) {
            self.change_default(script, old, new);
        }
        self.switch(
            script,
            new,
            differs(&["mask"]),
            differs(&["sparse"]),
            differs(&["row guid"]),
        );
    }

    fn change_default(&self, script: &mut Script, old: &Column, new: &Column) {
        let (table, name) = (&self.after.name, &new.name);
        let there = catalog::default(table, name, new.default.as_deref());
        let mut batches = Vec::new();
        if old.default.is_some() {
            let unless = new.default.is_some().then_some(&there);
            batches.push(there.drop_by_lookup(&quoted(table), unless));
        }
        batches.extend(self.make_default(new));
        script.run_all(batches);
    }

    fn make_default(&self, column: &Column) -> Option<String> {
        let default = column.default.as_deref()?;
        let table = &self.after.name;
        let there = catalog::default(table, &column.name, None);
        Some(format!(
            "IF NOT {}\n    ALTER TABLE {} ADD DEFAULT {} FOR {};",
            there.exists(),
            quoted(table),
            in_parentheses(default),
            bracket(&column.name)
        ))
    }

    /// Mask, sparseness and ROWGUIDCOL, which are switched on and off.
    fn switch(
        &self,
        script: &mut Script,
        column: &Column,
        mask: bool,
        sparse: bool,
        row_guid: bool,
    ) {
        let (table, name) = (&self.after.name, &column.name);
        let alter = |what: &str| {
            format!(
                "ALTER TABLE {} ALTER COLUMN {} {what};",
                quoted(table),
                bracket(name)
            )
        };
        if mask {
            let there = catalog::masked(table, name, column.mask.as_deref());
            script.run(match &column.mask {
                Some(function) => format!(
                    "IF NOT {}\n    {}",
                    there.stands(),
                    alter(&format!(
                        "ADD MASKED WITH (FUNCTION = {})",
                        literal(function)
                    ))
                ),
                None => format!("IF {}\n    {}", there.exists(), alter("DROP MASKED")),
            });
        }
        let flags = [
            (sparse, "is_sparse", "SPARSE", column.sparse),
            (row_guid, "is_rowguidcol", "ROWGUIDCOL", column.row_guid),
        ];
        for (_, flag, word, on) in flags.into_iter().filter(|(differs, ..)| *differs) {
            let is_other = format!("k.{flag} = {}", u8::from(!on));
            let there = catalog::column(&object_id(table), name, vec![is_other]);
            let verb = if on { "ADD" } else { "DROP" };
            script.run(format!(
                "IF {}\n    {}",
                there.stands(),
                alter(&format!("{verb} {word}"))
            ));
        }
    }

    fn compute_anew(&self, script: &mut Script, column: &Column, made_again: &mut MadeAgain) {
        let Some(generated) = &column.generated else {
            return;
        };
        let table = &self.after.name;
        let there = catalog::computed(table, &column.name, &generated.expression, generated.stored);
        let condition = format!("NOT {}", there.stands());
        let around = Dependants::of(self, &column.name, false);
        let mut batches = around.drops(&condition);
        batches.push(format!(
            "IF NOT {} AND {condition}\n    ALTER TABLE {} DROP COLUMN {};",
            self.lacks(&column.name),
            quoted(table),
            bracket(&column.name)
        ));
        batches.push(format!(
            "IF {}\n    ALTER TABLE {} ADD {};",
            self.lacks(&column.name),
            quoted(table),
            definition(column, &self.differences.unknown)
        ));
        batches.extend(around.makes(script, made_again));
        script.run_all(batches);
    }

    /// Another type, collation or nullability: what stands on the column goes for a moment.
    fn alter(&self, script: &mut Script, old: &Column, new: &Column, made_again: &mut MadeAgain) {
        let table = &self.after.name;
        let there = column::stands(&object_id(table), new);
        let condition = format!("NOT {}", there.stands());
        let around = Dependants::of(self, &new.name, true);
        let mut batches = around.drops(&condition);
        let has_default = old.default.is_some();
        if has_default {
            let drop =
                catalog::default(table, &new.name, None).drop_by_lookup(&quoted(table), None);
            batches.push(format!("IF {condition}\nBEGIN\n{}\nEND;", indented(&drop)));
        }
        batches.push(format!("IF {condition}\n    {}", alter(table, new)));
        if has_default {
            batches.extend(self.make_default(new));
        }
        batches.extend(around.makes(script, made_again));
        match risk(old, new) {
            Some(why) => script.hold(format!("in table {table} {why}"), batches),
            None => script.run_all(batches),
        }
    }
}

/// What stands on a column that is there before and after, and has to go while the column changes.
struct Dependants<'a> {
    computed: Vec<&'a Column>,
    constraints: Vec<Constraint<'a>>,
    alteration: &'a Alteration<'a>,
}

impl<'a> Dependants<'a> {
    fn of(alteration: &'a Alteration<'a>, column: &str, with_computed: bool) -> Self {
        let is_computed_from = |other: &&Column| {
            let stays = alteration
                .before
                .columns
                .iter()
                .any(|old| old.name == other.name);
            let generated = other.generated.as_ref();
            with_computed
                && stays
                && generated.is_some_and(|generated| mentions(&generated.expression, column))
        };
        let computed: Vec<&Column> = alteration
            .after
            .columns
            .iter()
            .filter(is_computed_from)
            .collect();
        let mut names = vec![column];
        names.extend(computed.iter().map(|column| column.name.as_str()));
        let table = &alteration.after.name;
        let kept = alteration.differences.kept.iter().copied();
        let mut constraints: Vec<(u8, Constraint<'a>)> = kept
            .filter_map(|thing| Some((rank(thing, table, &names)?, Constraint::of(thing)?)))
            .collect();
        constraints.sort_by_key(|(rank, _)| *rank);
        Self {
            computed,
            constraints: constraints
                .into_iter()
                .map(|(_, constraint)| constraint)
                .collect(),
            alteration,
        }
    }

    fn drops(&self, condition: &str) -> Vec<String> {
        let constraints = self
            .constraints
            .iter()
            .map(|constraint| constraint.drop_if(condition));
        let mut drops: Vec<String> = constraints.collect();
        let table = quoted(&self.alteration.after.name);
        drops.extend(self.computed.iter().map(|column| {
            format!(
                "IF {condition}\n    ALTER TABLE {table} DROP COLUMN {};",
                bracket(&column.name)
            )
        }));
        drops
    }

    fn makes(&self, script: &mut Script, made_again: &mut MadeAgain) -> Vec<String> {
        let table = quoted(&self.alteration.after.name);
        let mut makes: Vec<String> = self
            .computed
            .iter()
            .map(|column| {
                format!(
                    "IF {}\n    ALTER TABLE {table} ADD {};",
                    self.alteration.lacks(&column.name),
                    definition(column, &self.alteration.differences.unknown)
                )
            })
            .collect();
        for column in &self.computed {
            made_again
                .0
                .insert(format!("{}.{}", self.alteration.after.name, column.name));
        }
        for constraint in self.constraints.iter().rev() {
            made_again.0.extend(constraint.securable());
            match constraint.make() {
                Ok(batch) => makes.push(batch),
                Err(why) => script.note(why),
            }
        }
        makes
    }
}

/// In which order what stands on these columns of the table is dropped; `None` for what does not.
fn rank(thing: Thing<'_>, table: &str, names: &[&str]) -> Option<u8> {
    let named = |column: &str| names.contains(&column);
    let in_key = |columns: &[KeyColumn]| {
        columns.iter().any(|column| match &column.term {
            KeyTerm::Column(name) | KeyTerm::Expression(name) => named(name),
        })
    };
    let in_index = |index: &Index| {
        in_key(&index.columns)
            || index.included.iter().any(|column| named(column))
            || index
                .filter
                .as_ref()
                .is_some_and(|filter| names.iter().any(|name| mentions(filter, name)))
    };
    let stands_on = match thing {
        Thing::ForeignKey(of, key) => {
            (of.name == table && key.columns.iter().any(|column| named(column)))
                || (key.referenced_table == table
                    && key.referenced_columns.iter().any(|column| named(column)))
        }
        Thing::Check(of, check) => {
            of.name == table && names.iter().any(|name| mentions(&check.expression, name))
        }
        Thing::Index(of, index) => of == table && in_index(index),
        Thing::Unique(of, unique) => of.name == table && in_key(&unique.columns),
        Thing::PrimaryKey(of, key) => of.name == table && in_key(&key.columns),
        _ => false,
    };
    let rank = match thing {
        Thing::ForeignKey(..) => 0,
        Thing::Check(..) => 1,
        Thing::Index(..) => 2,
        Thing::Unique(..) => 3,
        _ => 4,
    };
    stands_on.then_some(rank)
}
