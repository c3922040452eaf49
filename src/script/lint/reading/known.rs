//! The columns that scripts have made so far, with their types.

use std::collections::HashMap;

use super::action::Action;
use super::column::Column;
use super::name::Name;
use crate::script::syntax::Syntax;

/// What is known of the columns of a database, by their definitions, from the scripts that ran before, in the order of their versions. What was
/// there before them, or was renamed, is not known.
#[derive(Debug, Default, Clone)]
pub struct KnownColumns(HashMap<String, HashMap<String, String>>);

impl KnownColumns {
    /// The definition of a column, when a script has said it.
    pub(super) fn definition(
        &self,
        table: &Name<'_>,
        column: &Name<'_>,
        syntax: Syntax,
    ) -> Option<&str> {
        let columns = self.0.get(&table.key(syntax))?;
        columns
            .get(&column.last().to_lowercase())
            .map(String::as_str)
    }

    /// Takes in what a statement does.
    pub(super) fn learn(&mut self, action: &Action<'_>, syntax: Syntax) {
        match action {
            Action::CreateTable { table, columns, .. } => {
                self.0.insert(table.key(syntax), HashMap::new());
                self.add(table, columns, syntax);
            }
            Action::AddColumns { table, columns } => self.add(table, columns, syntax),
            Action::AlterColumn { table, column } => {
                self.add(table, std::slice::from_ref(column), syntax);
            }
            Action::DropFromTable { table, columns, .. } => {
                if let Some(known) = self.0.get_mut(&table.key(syntax)) {
                    for column in columns {
                        known.remove(&column.last().to_lowercase());
                    }
                }
            }
            Action::Drop { kind, names, .. } if kind.eq_ignore_ascii_case("TABLE") => {
                for table in names {
                    self.0.remove(&table.key(syntax));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, table: &Name<'_>, columns: &[Column<'_>], syntax: Syntax) {
        let known = self.0.entry(table.key(syntax)).or_default();
        for column in columns {
            let name = column.name.last().to_lowercase();
            known.insert(name, column.definition.to_owned());
        }
    }
}
