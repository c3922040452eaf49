//! `one-part-name`: objects that are named without their schema.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::{Action, Name};
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "one-part-name",
    severity: Severity::Note,
    scope: Scope::Script,
    title: "An object is named without its schema",
    reason: "A name without a schema means one in the default schema of whoever runs the script, which is not the same for everybody.",
    remedy: "Write the schema, such as dbo.users.",
};

/// SQLite has no schemas to speak of.
pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    if reading.syntax == Syntax::Sqlite {
        return Vec::new();
    }
    let mut names = reading
        .statements
        .iter()
        .flat_map(|statement| named(&statement.action))
        .filter(|name| name.has_one_part() && !name.is_temporary());
    let Some(first) = names.next() else {
        return Vec::new();
    };
    let more = match names.count() {
        0 => String::new(),
        more => format!(" (and {more} more in this script)"),
    };
    let message = format!(
        "{} has no schema, so that it is one in the default schema of whoever runs the script{more}: write dbo.{} or whichever \
         it is",
        first.last(),
        first.last()
    );
    vec![RULE.finding(message, first.place)]
}

/// The objects that a definition is about. What a query or UPDATE names may be an alias.
fn named<'s, 'a>(action: &'s Action<'a>) -> Vec<&'s Name<'a>> {
    match action {
        Action::CreateTable { table: name, .. }
        | Action::CreateIndex { table: name, .. }
        | Action::Define { name }
        | Action::AddColumns { table: name, .. }
        | Action::AlterColumn { table: name, .. }
        | Action::DropFromTable { table: name, .. }
        | Action::AlterTable { table: name }
        | Action::Truncate { table: name } => vec![name],
        Action::Drop { kind, names, .. } => {
            let has_schema = [
                "TABLE",
                "VIEW",
                "PROC",
                "PROCEDURE",
                "FUNCTION",
                "SEQUENCE",
                "SYNONYM",
                "TYPE",
            ]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known));
            names.iter().filter(|_| has_schema).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn the_first_such_name_of_a_script_is_noted() {
        let script = "CREATE TABLE dbo.a (b INT);\nCREATE INDEX i\n  ON a (b);\nDROP VIEW v;";
        assert_eq!(found(&RULE, script, T_SQL), [(3, 6)]);
        for script in [
            "CREATE OR ALTER PROC p AS SELECT 1",
            "ALTER TABLE [t] ADD a INT",
            "DROP TABLE dbo.t, u",
            "TRUNCATE TABLE t",
        ] {
            assert_eq!(
                found_in(&RULE, script, T_SQL, ScriptKind::Up).len(),
                1,
                "{script}"
            );
        }
    }

    #[test]
    fn names_that_have_a_schema_or_need_none_are_fine() {
        for script in [
            "CREATE TABLE dbo.t (a INT); ALTER TABLE [dbo].[t] ADD b INT",
            "CREATE TABLE #t (a INT)",
            "CREATE SCHEMA s",
            "DROP ROLE r",
            "DROP INDEX i ON dbo.t",
            "SELECT a FROM t",
            "UPDATE t SET a = 1",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(found(&RULE, "CREATE TABLE t (a INT)", SQLITE), []);
    }
}
