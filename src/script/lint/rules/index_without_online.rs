//! `index-without-online`: indexes that keep writers out while they are made.

use super::{Reading, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::lint::reading::Action;

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "index-without-online",
    severity: Severity::Note,
    scope: Scope::Place,
    title: "An index is made without ONLINE",
    reason: "Making an index without ONLINE = ON keeps everybody from writing to the table, and a clustered one from reading it, until it is done.",
    remedy: "Add WITH (ONLINE = ON) if the table is large and in use and the edition has it; ONLINE = OFF says that it is meant so.",
};

pub(super) fn check(reading: &Reading<'_>) -> Vec<Finding> {
    reading
        .about_others()
        .filter_map(|statement| {
            let Action::CreateIndex {
                table,
                could_be_online: true,
            } = &statement.action
            else {
                return None;
            };
            let message = format!(
                "{} cannot be written to while this index is made: add WITH (ONLINE = ON) if it is large and in use, or say \
                 ONLINE = OFF",
                table.shown()
            );
            Some(RULE.finding(message, statement.place))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SQLITE, T_SQL, found, found_in};
    use super::*;
    use crate::script::lint::ScriptKind;

    #[test]
    fn an_index_on_a_table_of_others_is_noted() {
        for script in [
            "CREATE INDEX i ON dbo.t (a)",
            "create unique clustered index i on t (a desc) include (b) where c = 1 with (fillfactor = 90)",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [(1, 1)], "{script}");
        }
    }

    #[test]
    fn where_online_is_said_or_means_nothing_there_is_no_note() {
        for script in [
            "CREATE INDEX i ON t (a) WITH (ONLINE = ON)",
            "CREATE INDEX i ON t (a) WITH (FILLFACTOR = 90, ONLINE = OFF)",
            "CREATE TABLE t (a INT); CREATE INDEX i ON dbo.t (a)",
            "CREATE INDEX i ON #t (a)",
            "CREATE FULLTEXT INDEX ON t (a) KEY INDEX p",
            "CREATE SPATIAL INDEX i ON t (a)",
            "CREATE NONCLUSTERED COLUMNSTORE INDEX i ON t (a)",
            "CREATE PRIMARY XML INDEX i ON t (a)",
        ] {
            assert_eq!(found(&RULE, script, T_SQL), [], "{script}");
        }
        assert_eq!(found(&RULE, "CREATE INDEX i ON t (a)", SQLITE), []);
        assert_eq!(
            found_in(&RULE, "CREATE INDEX i ON t (a)", T_SQL, ScriptKind::Down),
            [(1, 1)]
        );
    }
}
