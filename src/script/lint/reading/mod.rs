//! Reads the statements of a script for the rules: what each does, and to what.

mod action;
mod column;
mod column_type;
mod known;
mod name;
mod parsed;
mod reader;
mod sentence;
mod token;
mod words;

use std::collections::HashSet;

pub(super) use action::Action;
use column_type::ColumnType;
pub use known::KnownColumns;
pub(super) use name::Name;

use crate::script::batch::Split;
use crate::script::lint::ScriptKind;
use crate::script::syntax::Syntax;

/// A script as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) syntax: Syntax,
    /// What the script is for.
    pub(super) kind: ScriptKind,
    /// The statements that some rule asks about, in order.
    pub(super) statements: Vec<Statement<'a>>,
    /// Where each statement lies, and each `GO` line, in order.
    pub(super) extents: Vec<Extent>,
}

/// Where a statement, or a `GO` line, begins and where its last part does, by line and column.
pub(super) type Extent = ((u32, u32), (u32, u32));

/// A statement of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) action: Action<'a>,
    /// Where it begins in the file: line and column.
    pub(super) place: (u32, u32),
    /// Whether it only runs under a condition that the script states.
    pub(super) is_conditional: bool,
    /// Whether what it is about was made by the script itself, or is a temporary table: then nothing is lost.
    pub(super) is_on_own: bool,
    /// The type that the column had, for an ALTER COLUMN to one that holds less, and the new one.
    pub(super) narrowed: Option<(String, String)>,
}

impl<'a> Reading<'a> {
    /// The statements about what the script did not make itself: what it did make nobody else has rows in, or relies on.
    pub(super) fn about_others(&self) -> impl Iterator<Item = &Statement<'a>> {
        self.statements
            .iter()
            .filter(|statement| !statement.is_on_own)
    }

    /// Reads a script. What it does to columns is added to what is known of them.
    pub(super) fn of(
        split: &Split<'a>,
        syntax: Syntax,
        kind: ScriptKind,
        known: &mut KnownColumns,
    ) -> Self {
        let mut own = Own::default();
        let mut statements = Vec::new();
        let go_lines = split
            .separators
            .iter()
            .map(|go| ((go.line, 1), (go.line, 1)));
        let mut extents: Vec<_> = go_lines.collect();
        for batch in &split.batches {
            for (index, sentence) in sentence::sentences(batch, syntax).into_iter().enumerate() {
                let action = match action::action(batch.text, &sentence, index == 0, syntax) {
                    Action::NotUnderstood if parsed::parses(batch.text, &sentence, syntax) => {
                        Action::Other
                    }
                    action => action,
                };
                let place = sentence.tokens[0].place;
                extents.push((place, sentence.end));
                if action == Action::Other {
                    continue;
                }
                let is_on_own = own.has(&action, syntax);
                own.learn(&action, syntax);
                let narrowed = narrowed(&action, known, syntax);
                known.learn(&action, syntax);
                statements.push(Statement {
                    action,
                    place,
                    is_conditional: sentence.is_conditional,
                    is_on_own,
                    narrowed,
                });
            }
        }
        extents.sort_unstable();
        Self {
            syntax,
            kind,
            statements,
            extents,
        }
    }
}

/// The old type and the new one, when the new one holds less.
fn narrowed(action: &Action<'_>, known: &KnownColumns, syntax: Syntax) -> Option<(String, String)> {
    let Action::AlterColumn { table, column } = action else {
        return None;
    };
    let old = known.definition(table, &column.name, syntax)?;
    let old = ColumnType::of_definition(old, syntax)?;
    let new = ColumnType::of_definition(column.definition, syntax)?;
    new.is_narrower_than(&old)
        .then(|| (old.shown().to_owned(), new.shown().to_owned()))
}

/// What a script has made so far, in lower case.
#[derive(Default)]
struct Own {
    tables: HashSet<String>,
    /// Columns behind the key of their table and a dot.
    columns: HashSet<String>,
}

impl Own {
    fn has_table(&self, table: &Name<'_>, syntax: Syntax) -> bool {
        table.is_temporary() || self.tables.contains(&table.key(syntax))
    }

    fn has_columns(&self, table: &Name<'_>, columns: &[Name<'_>], syntax: Syntax) -> bool {
        !columns.is_empty()
            && columns
                .iter()
                .all(|column| self.columns.contains(&column_key(table, column, syntax)))
    }

    /// Whether what a statement is about was made by the script. For an UPDATE the columns that it fills are enough.
    fn has(&self, action: &Action<'_>, syntax: Syntax) -> bool {
        match action {
            Action::CreateTable {
                table,
                is_temporary,
                ..
            } => *is_temporary || table.is_temporary(),
            Action::CreateIndex { table, .. }
            | Action::AddColumns { table, .. }
            | Action::AlterTable { table }
            | Action::Delete { table, .. }
            | Action::Truncate { table } => self.has_table(table, syntax),
            Action::AlterColumn { table, column } => {
                self.has_table(table, syntax)
                    || self.has_columns(table, std::slice::from_ref(&column.name), syntax)
            }
            Action::DropFromTable { table, columns, .. }
            | Action::Update { table, columns, .. } => {
                self.has_table(table, syntax) || self.has_columns(table, columns, syntax)
            }
            Action::Drop { names, .. } => {
                !names.is_empty() && names.iter().all(|name| self.has_table(name, syntax))
            }
            Action::Define { .. } | Action::Use | Action::Other | Action::NotUnderstood => false,
        }
    }

    fn learn(&mut self, action: &Action<'_>, syntax: Syntax) {
        match action {
            Action::CreateTable { table, .. } | Action::Define { name: table } => {
                self.tables.insert(table.key(syntax));
            }
            Action::AddColumns { table, columns } => {
                let keys = columns
                    .iter()
                    .map(|column| column_key(table, &column.name, syntax));
                self.columns.extend(keys);
            }
            _ => {}
        }
    }
}

fn column_key(table: &Name<'_>, column: &Name<'_>, syntax: Syntax) -> String {
    format!("{}.{}", table.key(syntax), column.last().to_lowercase())
}
