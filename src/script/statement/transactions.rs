//! The transactions that a script begins and ends by itself, inside the one in which dbvc runs it.

use std::collections::HashSet;

use super::{Statement, statements};
use crate::script::batch::Batch;
use crate::script::cursor::Mark;
use crate::script::syntax::Syntax;

/// The statement of a script that would end the transaction around it, or on SQLite could not run in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionEnd {
    /// The statement by its first word: `COMMIT` or `ROLLBACK`, on SQLite `BEGIN` or `END` as well.
    pub statement: &'static str,
    /// The number of its batch, as in [`Batch::index`].
    pub batch: u32,
    /// The line of the script, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// The first statement of a script that would end the transaction in which dbvc runs it; `None` when there is none.
///
/// T-SQL: COMMIT that closes no BEGIN TRANSACTION written before it in the script; and ROLLBACK, which ends the
/// outermost transaction however many the script has begun, save to a savepoint that the script has set before. The
/// statements count in the order in which they are written, over all batches and as often as `GO n` sends them: whether
/// a branch is taken is not known. What a procedure or a dynamic SQL text does is not seen, and what stands in the body
/// of a module does not run yet.
///
/// SQLite, where transactions do not nest: BEGIN, COMMIT, END, and ROLLBACK save to a savepoint.
///
/// With variables, the batches are judged as they are sent: a value may hold any statement.
#[must_use]
pub fn own_transaction_end(batches: &[Batch<'_>], syntax: Syntax) -> Option<TransactionEnd> {
    let mut own = OwnTransactions::default();
    batches.iter().find_map(|batch| {
        let steps: Vec<_> = statements(batch.text, syntax)
            .filter_map(|statement| Step::of(&statement, syntax))
            .collect();
        let step = own.first_end(&steps, batch.count)?;
        Some(TransactionEnd {
            statement: step.word,
            batch: batch.index,
            line: batch.file_line(step.mark.line),
            column: step.mark.column_in(batch.text),
        })
    })
}

/// A statement that has to do with transactions.
struct Step<'a> {
    word: &'static str,
    effect: Effect<'a>,
    mark: Mark,
}

#[derive(Clone, Copy)]
enum Effect<'a> {
    Begin,
    Commit,
    Save(&'a str),
    /// With the name of the savepoint or transaction that it goes back to.
    Rollback(Option<&'a str>),
    /// What never may stand in a transaction.
    End,
}

impl<'a> Step<'a> {
    fn of(statement: &Statement<'a>, syntax: Syntax) -> Option<Self> {
        let (word, effect) = match syntax {
            Syntax::TransactSql => statement.transact_sql_effect()?,
            Syntax::Sqlite => (statement.sqlite_transaction_word()?, Effect::End),
        };
        Some(Self {
            word,
            effect,
            mark: statement.mark,
        })
    }
}

impl<'a> Statement<'a> {
    fn transact_sql_effect(&self) -> Option<(&'static str, Effect<'a>)> {
        let names_transaction = |at: usize| self.part(at).is_any(&["TRAN", "TRANSACTION"]);
        let verb = self.part(0);
        let distributed = usize::from(self.part(1).is("DISTRIBUTED"));
        if verb.is("BEGIN") && names_transaction(1 + distributed) {
            Some(("BEGIN", Effect::Begin))
        } else if verb.is("COMMIT") {
            Some(("COMMIT", Effect::Commit))
        } else if verb.is("SAVE") && names_transaction(1) {
            Some(("SAVE", Effect::Save(self.part(2).name()?)))
        } else if verb.is("ROLLBACK") {
            let name = names_transaction(1).then(|| self.part(2).name()).flatten();
            Some(("ROLLBACK", Effect::Rollback(name)))
        } else {
            None
        }
    }

    fn sqlite_transaction_word(&self) -> Option<&'static str> {
        let to_at = if self.part(1).is("TRANSACTION") { 2 } else { 1 };
        if self.part(0).is("ROLLBACK") && self.part(to_at).is("TO") {
            return None;
        }
        ["BEGIN", "COMMIT", "END", "ROLLBACK"]
            .into_iter()
            .find(|keyword| self.part(0).is(keyword))
    }
}

/// What a script has open when it has run so far.
#[derive(Default)]
struct OwnTransactions {
    open: u64,
    /// In lower case. The server compares them to the letter, but a name that it does not find fails and ends nothing.
    savepoints: HashSet<String>,
}

impl OwnTransactions {
    /// The first step of a batch, sent some times, that ends the transaction around the script.
    fn first_end<'s, 'a>(&mut self, steps: &'s [Step<'a>], count: u32) -> Option<&'s Step<'a>> {
        let open_before = self.open;
        if let Some(end) = self.first_end_of_round(steps) {
            return Some(end);
        }
        // Savepoints stay, so later rounds differ from the first only in how many transactions are open.
        let more = u64::from(count.saturating_sub(1));
        let lost = open_before.saturating_sub(self.open);
        if lost == 0 {
            let gained = self.open - open_before;
            self.open = self.open.saturating_add(gained.saturating_mul(more));
            return None;
        }
        let needed = needed(steps);
        let good = match self.open.checked_sub(needed) {
            Some(spare) => more.min(spare / lost + 1),
            None => 0,
        };
        self.open -= good * lost;
        if good == more {
            return None;
        }
        self.first_end_of_round(steps)
    }

    fn first_end_of_round<'s, 'a>(&mut self, steps: &'s [Step<'a>]) -> Option<&'s Step<'a>> {
        steps.iter().find(|step| match step.effect {
            Effect::Begin => {
                self.open = self.open.saturating_add(1);
                false
            }
            Effect::Commit => match self.open.checked_sub(1) {
                Some(open) => {
                    self.open = open;
                    false
                }
                None => true,
            },
            Effect::Save(name) => {
                self.savepoints.insert(name.to_lowercase());
                false
            }
            Effect::Rollback(Some(name)) => !self.savepoints.contains(&name.to_lowercase()),
            Effect::Rollback(None) | Effect::End => true,
        })
    }
}

/// How many transactions must be open before the steps, so that none of them closes one more than there are.
fn needed(steps: &[Step<'_>]) -> u64 {
    let (mut open, mut needed) = (0_u64, 0);
    for step in steps {
        match step.effect {
            Effect::Begin => open += 1,
            Effect::Commit if open == 0 => needed += 1,
            Effect::Commit => open -= 1,
            Effect::Save(_) | Effect::Rollback(_) | Effect::End => {}
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::batch::split;

    const T_SQL: Syntax = Syntax::TransactSql;
    const SQLITE: Syntax = Syntax::Sqlite;

    fn end(script: &str, syntax: Syntax) -> Option<(&'static str, u32, u32)> {
        let batches = split(script, syntax).unwrap().batches;
        let end = own_transaction_end(&batches, syntax)?;
        Some((end.statement, end.line, end.column))
    }

    fn word(script: &str, syntax: Syntax) -> Option<&'static str> {
        end(script, syntax).map(|(statement, ..)| statement)
    }

    #[test]
    fn a_commit_without_a_transaction_of_the_script_ends_the_one_around_it() {
        for script in [
            "COMMIT",
            "commit tran",
            "COMMIT TRANSACTION x",
            "COMMIT WORK",
            "INSERT t VALUES (1) COMMIT",
            "INSERT t VALUES (1)\nCOMMIT",
            "IF @@TRANCOUNT > 0 COMMIT",
            "IF (1 = 1) COMMIT",
            "IF 1 = 1COMMIT",
            "BEGIN COMMIT END",
            "BEGIN TRY SELECT 1 END TRY BEGIN CATCH COMMIT END CATCH",
            "label: COMMIT",
            "EXEC p @a = 1 COMMIT",
            "EXEC p /* c */ COMMIT",
            "UPDATE t SET a = CASE WHEN b = 1 THEN 2 ELSE 3 END COMMIT",
            "GRANT SELECT ON t TO bob WITH GRANT OPTION\nCOMMIT",
            "BEGIN TRAN COMMIT COMMIT",
            "BEGIN TRAN;\nGO\nCOMMIT; COMMIT;",
            "COMMIT\u{a0}TRAN",
            "SELECT 1\u{a0}COMMIT",
        ] {
            assert_eq!(word(script, T_SQL), Some("COMMIT"), "{script:?}");
        }
    }

    #[test]
    fn a_transaction_that_the_script_has_begun_may_be_committed() {
        for script in [
            "BEGIN TRAN; SELECT 1; COMMIT",
            "BEGIN TRANSACTION x WITH MARK 'y' COMMIT TRAN x",
            "BEGIN DISTRIBUTED TRAN\nCOMMIT WORK",
            "begin tran\ngo\nselect 1\ngo\ncommit",
            "BEGIN TRAN BEGIN TRAN COMMIT COMMIT",
            "IF @@TRANCOUNT = 0 BEGIN TRAN\nIF @@TRANCOUNT > 1 COMMIT",
            "BEGIN TRY\nBEGIN TRAN\nCOMMIT\nEND TRY\nBEGIN CATCH\nTHROW\nEND CATCH",
        ] {
            assert_eq!(word(script, T_SQL), None, "{script:?}");
        }
    }

    #[test]
    fn a_rollback_ends_the_outermost_transaction_save_to_a_savepoint_of_the_script() {
        for script in [
            "ROLLBACK",
            "BEGIN TRAN; ROLLBACK",
            "BEGIN TRAN a; ROLLBACK TRAN a",
            "BEGIN TRY BEGIN TRAN COMMIT END TRY BEGIN CATCH IF XACT_STATE() <> 0 ROLLBACK END CATCH",
            "SAVE TRAN a; ROLLBACK",
            "SAVE TRAN a; ROLLBACK TRAN",
            "SAVE TRAN a; ROLLBACK WORK",
            "SAVE TRAN a; ROLLBACK TRAN b",
            "ROLLBACK TRAN a; SAVE TRAN a",
            "SAVE TRAN @a; ROLLBACK TRAN a",
            "SAVE a; ROLLBACK TRAN a",
            "SAVE TRAN a\nROLLBACK TRAN\nTHROW",
        ] {
            assert_eq!(word(script, T_SQL), Some("ROLLBACK"), "{script:?}");
        }
        for script in [
            "SAVE TRAN a; ROLLBACK TRAN a; ROLLBACK TRANSACTION A",
            "SAVE TRANSACTION [a]\nGO\nROLLBACK TRAN a",
            "SAVE TRAN @name\nROLLBACK TRAN @Name\nSELECT 1",
            "IF @@TRANCOUNT > 0 SAVE TRAN \"é b\" ELSE BEGIN TRAN; ROLLBACK TRAN [É B]",
        ] {
            assert_eq!(word(script, T_SQL), None, "{script:?}");
        }
    }

    #[test]
    fn words_inside_a_statement_end_no_transaction() {
        for script in [
            "ALTER DATABASE x SET SINGLE_USER WITH ROLLBACK IMMEDIATE",
            "ALTER DATABASE x SET OFFLINE WITH\n/* c */ ROLLBACK AFTER 10 SECONDS",
            "SELECT [COMMIT], 'ROLLBACK', \"COMMIT\" -- ROLLBACK\n/* COMMIT */",
            "SELECT @commit, #rollback, commit_date FROM t",
            "EXEC('COMMIT')",
            "ALTER AVAILABILITY GROUP g SET (REQUIRED_SYNCHRONIZED_SECONDARIES_TO_COMMIT = 1)",
            "CREATE PROC p AS BEGIN TRAN COMMIT COMMIT",
            "CREATE OR ALTER TRIGGER t ON a FOR INSERT AS ROLLBACK",
            "SELECT 1\nGO\nALTER PROCEDURE p AS ROLLBACK; COMMIT",
            "BEGIN DIALOG @h FROM SERVICE a TO SERVICE 'b'; END CONVERSATION @h",
        ] {
            assert_eq!(word(script, T_SQL), None, "{script:?}");
        }
    }

    #[test]
    fn a_batch_counts_as_often_as_it_is_sent() {
        for script in [
            "BEGIN TRAN\nGO 3\nCOMMIT\nGO 3",
            "BEGIN TRAN COMMIT\nGO 2147483647",
            "BEGIN TRAN\nGO 2147483647\nCOMMIT\nGO 2147483647",
            "BEGIN TRAN\nGO 2147483647\nBEGIN TRAN COMMIT COMMIT COMMIT\nGO 1073741823",
        ] {
            assert_eq!(word(script, T_SQL), None, "{script:?}");
        }
        for script in [
            "BEGIN TRAN\nGO 3\nCOMMIT\nGO 4",
            "BEGIN TRAN\nGO 2147483647\nBEGIN TRAN COMMIT COMMIT COMMIT\nGO 1073741824",
            "BEGIN TRAN\nGO 2147483647\nCOMMIT\nGO 2147483647\nCOMMIT",
        ] {
            assert_eq!(word(script, T_SQL), Some("COMMIT"), "{script:?}");
        }
        let later = "BEGIN TRAN\nGO 5\nCOMMIT\nCOMMIT\nGO 3";
        assert_eq!(end(later, T_SQL), Some(("COMMIT", 4, 1)));
    }

    #[test]
    fn the_end_is_told_with_its_place_in_the_file() {
        let script = "SELECT 1;\nGO\n\n-- c\n  /* é */ COMMIT;\nROLLBACK";
        let batches = split(script, T_SQL).unwrap().batches;
        assert_eq!(
            own_transaction_end(&batches, T_SQL),
            Some(TransactionEnd {
                statement: "COMMIT",
                batch: 2,
                line: 5,
                column: 11
            })
        );
    }

    #[test]
    fn a_sqlite_script_may_neither_begin_nor_end_a_transaction() {
        for (script, statement) in [
            ("BEGIN; SELECT 1; COMMIT;", "BEGIN"),
            ("SELECT 1; commit", "COMMIT"),
            (";;\n-- c\nEND TRANSACTION", "END"),
            ("ROLLBACK", "ROLLBACK"),
            ("ROLLBACK TRANSACTION;", "ROLLBACK"),
            (
                "CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; END;\nEND;",
                "END",
            ),
        ] {
            assert_eq!(word(script, SQLITE), Some(statement), "{script:?}");
        }
        for script in [
            "SAVEPOINT a; ROLLBACK TO a; ROLLBACK TRANSACTION TO a; RELEASE a",
            "SELECT CASE WHEN 1 THEN 2 END",
            "INSERT OR ROLLBACK INTO t VALUES (1)",
            "\"BEGIN\"; 'COMMIT'; [END]; `ROLLBACK`",
            "CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; END;",
        ] {
            assert_eq!(word(script, SQLITE), None, "{script:?}");
        }
    }

    /// Scripts of statements that have to do with transactions, batch by batch, with how often each is sent.
    fn batches() -> impl Strategy<Value = Vec<(Vec<&'static str>, u32)>> {
        let statement = prop::sample::select(vec![
            "BEGIN TRAN",
            "COMMIT",
            "SAVE TRAN a",
            "SAVE TRAN b",
            "ROLLBACK TRAN a",
            "ROLLBACK TRAN b",
            "SELECT 1",
        ]);
        let batch = (prop::collection::vec(statement, 1..8), 1..6_u32);
        prop::collection::vec(batch, 0..5)
    }

    /// Whether the statements, sent one after the other, end the transaction around them.
    fn ends_when_sent(batches: &[(Vec<&str>, u32)]) -> bool {
        let mut open = 0;
        let mut saved = Vec::new();
        for (statements, count) in batches {
            for statement in (0..*count).flat_map(|_| statements) {
                match statement.split_once(" TRAN ") {
                    Some(("SAVE", name)) => saved.push(name),
                    Some((_, name)) if !saved.contains(&name) => return true,
                    Some(_) => {}
                    None if *statement == "BEGIN TRAN" => open += 1,
                    None if *statement == "COMMIT" && open == 0 => return true,
                    None if *statement == "COMMIT" => open -= 1,
                    None => {}
                }
            }
        }
        false
    }

    proptest! {
        #[test]
        fn a_script_is_judged_as_if_every_statement_were_sent_in_turn(batches in batches(), between in "\n|;| /\\* ROLLBACK \\*/ ") {
            let script: String = batches
                .iter()
                .map(|(statements, count)| format!("{}\nGO {count}\n", statements.join(&between)))
                .collect();
            let end = end(&script, T_SQL);
            prop_assert_eq!(end.is_some(), ends_when_sent(&batches), "{}", script);
            if let Some((statement, line, column)) = end {
                let line = script.lines().nth(line as usize - 1).unwrap();
                prop_assert!(line[column as usize - 1..].starts_with(statement), "{}", script);
            }
        }

        #[test]
        fn no_text_makes_judging_panic(text in "(\\PC|\n|BEGIN |TRAN |SAVE |COMMIT|ROLLBACK|;|'|\\[|\nGO 3\n|--|/\\*){0,30}") {
            for syntax in [T_SQL, SQLITE] {
                if let Ok(split) = split(&text, syntax) {
                    let _ = own_transaction_end(&split.batches, syntax);
                }
            }
        }
    }
}
