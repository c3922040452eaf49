//! The statements of a batch as the rules see them: each with all its parts.
//!
//! Running a script asks for far less than the rules do (`script::statement`), and must not guess. Here a guess that is
//! wrong costs a finding too many or too few: any reserved word that can begin a statement does, outside parentheses and
//! CASE, save where the statement before it is known to have it.

use super::token::{Token, tokens};
use super::words::KINDS;
use crate::script::batch::Batch;
use crate::script::statement::part::{Part, SEMICOLON};
use crate::script::statement::{BEGINNINGS, defines_module};
use crate::script::syntax::Syntax;

/// How many parts are kept of a statement that no rule reads to its end: `CREATE OR ALTER PROCEDURE [a].[b]` has six.
const HEAD_LENGTH: usize = 8;

/// Statements that some rule reads to their end.
const READ: [&str; 6] = ["ALTER", "CREATE", "DELETE", "DROP", "TRUNCATE", "UPDATE"];

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) struct Sentence<'a> {
    /// Its parts, at least one; of those that no rule reads to their end only the first.
    pub(in crate::script::lint) tokens: Vec<Token<'a>>,
    /// Where its last part begins.
    pub(in crate::script::lint) end: (u32, u32),
    /// Whether it only runs under a condition that the script states: behind IF or ELSE, or in a block there.
    pub(in crate::script::lint) is_conditional: bool,
    /// Byte offset in the batch behind its last part.
    pub(super) end_offset: usize,
}

/// The statements of a batch, in order. The body of a module belongs to the statement that defines it.
pub(super) fn sentences<'a>(batch: &Batch<'a>, syntax: Syntax) -> Vec<Sentence<'a>> {
    let mut tokens = tokens(batch, syntax);
    match syntax {
        Syntax::Sqlite => {
            let mut builder = Builder::default();
            tokens.for_each(|token| builder.take_sqlite(token));
            builder.end()
        }
        Syntax::TransactSql if defines_module(batch.text) => {
            let mut module = tokens.by_ref().skip_while(|token| token.part == SEMICOLON);
            let Some(mut sentence) = module.next().map(Sentence::begin) else {
                return Vec::new();
            };
            module.for_each(|token| sentence.push(token, false));
            vec![sentence]
        }
        Syntax::TransactSql => {
            let mut builder = Builder::default();
            tokens.for_each(|token| builder.take_transact_sql(token));
            builder.end()
        }
    }
}

impl<'a> Sentence<'a> {
    fn begin(token: Token<'a>) -> Self {
        Self {
            tokens: vec![token],
            end: token.place,
            is_conditional: false,
            end_offset: token.end(),
        }
    }

    fn push(&mut self, token: Token<'a>, is_read: bool) {
        self.end = token.place;
        self.end_offset = token.end();
        if is_read || self.tokens.len() < HEAD_LENGTH {
            self.tokens.push(token);
        }
    }

    /// A part, counted from 0. Behind its end there are semicolons.
    pub(super) fn part(&self, index: usize) -> Part<'a> {
        self.tokens.get(index).map_or(SEMICOLON, |token| token.part)
    }

    fn creates_trigger(&self) -> bool {
        let object_at = if self.part(1).is_any(&["TEMP", "TEMPORARY"]) {
            2
        } else {
            1
        };
        self.part(0).is("CREATE") && self.part(object_at).is("TRIGGER")
    }
}

/// A batch while its statements are told apart.
#[derive(Default)]
struct Builder<'a> {
    done: Vec<Sentence<'a>>,
    current: Option<Current<'a>>,
    /// The last two parts.
    before: [Option<Part<'a>>; 2],
    depth: usize,
    /// How many CASE are open outside parentheses: their ELSE and END begin no statement.
    cases: usize,
    in_permissions: bool,
    /// Whether the statement before was a condition, for what follows without a semicolon.
    behind_condition: bool,
    /// For each open block, whether it is conditional.
    blocks: Vec<bool>,
}

/// The statement that is being read.
struct Current<'a> {
    sentence: Sentence<'a>,
    is_read: bool,
    /// What it may still take in of words that begin others.
    takes: Takes,
}

/// Which beginning of another statement is a part of this one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// The SET of an UPDATE.
    Set,
    /// The statement behind the tables of a WITH.
    Verb,
    /// What ALTER TABLE does, behind the name.
    Action,
    /// MERGE goes to its semicolon, which it must have.
    All,
}

impl<'a> Builder<'a> {
    fn take_sqlite(&mut self, token: Token<'a>) {
        let [before_last, last] = self.before;
        self.before = [last, Some(token.part)];
        let is_semicolon = token.part == SEMICOLON;
        match &mut self.current {
            None if is_semicolon => {}
            None => self.begin(token),
            Some(current) if !is_semicolon => current.push(token),
            Some(current) => {
                let ends_trigger =
                    last.is_some_and(|part| part.is("END")) && before_last == Some(SEMICOLON);
                if ends_trigger || !current.sentence.creates_trigger() {
                    self.finish();
                }
            }
        }
    }

    fn take_transact_sql(&mut self, token: Token<'a>) {
        let part = token.part;
        if part == SEMICOLON {
            self.finish();
            self.behind_condition = false;
            self.in_permissions = false;
            (self.depth, self.cases) = (0, 0);
        } else if self.depth == 0 && self.begins(part) {
            self.finish();
            self.begin(token);
        } else if let Some(current) = &mut self.current {
            current.push(token);
        }
        match part {
            Part::Symbol(b'(') => self.depth += 1,
            Part::Symbol(b')') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.before = [self.before[1], Some(part)];
    }

    /// Whether a part outside parentheses begins a statement.
    fn begins(&mut self, part: Part<'a>) -> bool {
        let Some(current) = &mut self.current else {
            return true;
        };
        if part.is("CASE") {
            self.cases += 1;
        }
        if self.cases > 0 {
            self.cases -= usize::from(part.is("END"));
            return false;
        }
        if self.in_permissions {
            self.in_permissions = !part.is_any(&["ON", "TO", "FROM"]);
            return false;
        }
        let first = current.sentence.part(0);
        let before = self.before[1].unwrap_or(SEMICOLON);
        if first.is("ELSE") {
            return true;
        }
        if first.is("BEGIN") {
            return match current.sentence.tokens.len() {
                1 => !part.is_any(&IN_BEGIN),
                _ => before.is_any(&BLOCKS) || part.is_in(&BEGINNINGS),
            };
        }
        if first.is("END") {
            return !part.is_any(&BLOCKS);
        }
        part.is_in(&BEGINNINGS) && !is_inside_another(part, before, first) && !current.takes(part)
    }

    fn begin(&mut self, token: Token<'a>) {
        let first = token.part;
        if first.is("END") {
            self.blocks.pop();
        }
        let in_conditional_block = self.blocks.last().copied().unwrap_or_default();
        let mut current = Current::begin(token);
        current.sentence.is_conditional = self.behind_condition || in_conditional_block;
        self.in_permissions = first.is_any(&["GRANT", "DENY", "REVOKE"]);
        self.current = Some(current);
    }

    fn finish(&mut self) {
        let Some(Current { sentence, .. }) = self.current.take() else {
            return;
        };
        let first = sentence.part(0);
        let opens_block =
            first.is("BEGIN") && (sentence.tokens.len() == 1 || sentence.part(1).is_any(&BLOCKS));
        if opens_block {
            self.blocks.push(sentence.is_conditional);
        }
        self.behind_condition = first.is_any(&["IF", "ELSE"]);
        self.done.push(sentence);
    }

    fn end(mut self) -> Vec<Sentence<'a>> {
        self.finish();
        self.done
    }
}

impl<'a> Current<'a> {
    fn begin(token: Token<'a>) -> Self {
        let first = token.part;
        let takes = if first.is("UPDATE") {
            Takes::Set
        } else if first.is("WITH") {
            Takes::Verb
        } else if first.is("ALTER") {
            Takes::Action
        } else if first.is("MERGE") {
            Takes::All
        } else {
            Takes::Nothing
        };
        Self {
            sentence: Sentence::begin(token),
            // The table that SELECT INTO makes stands before FROM.
            is_read: first.is_any(&READ) || first.is("SELECT"),
            takes,
        }
    }

    fn push(&mut self, token: Token<'a>) {
        if self.sentence.part(0).is("SELECT") && token.part.is("FROM") {
            self.is_read = false;
        }
        if self.takes == Takes::Action && self.is_behind_name(token.part) {
            self.takes = Takes::Nothing;
        }
        self.sentence.push(token, self.is_read);
    }

    /// Whether a part stands behind the name in `ALTER TABLE [a].[b]`.
    fn is_behind_name(&self, part: Part<'a>) -> bool {
        let dot = Part::Symbol(b'.');
        let last = self.sentence.tokens.len() - 1;
        last >= 2 && part != dot && self.sentence.part(last) != dot
    }

    /// Whether a word that can begin a statement is a part of this one. Asked once for each such word, in order.
    fn takes(&mut self, part: Part<'a>) -> bool {
        let taken = match self.takes {
            Takes::Nothing => false,
            Takes::All => return true,
            Takes::Set => part.is("SET"),
            Takes::Verb => part.is_any(&["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"]),
            Takes::Action => {
                self.sentence.part(1).is("TABLE") && part.is_any(&["ALTER", "DROP", "SET"])
            }
        };
        self.takes = match self.takes {
            Takes::Verb if part.is("UPDATE") => Takes::Set,
            Takes::Verb if part.is("MERGE") => Takes::All,
            _ => Takes::Nothing,
        };
        taken
    }
}

/// What makes a BEGIN something else than the beginning of a plain block.
const IN_BEGIN: [&str; 8] = [
    "ATOMIC",
    "CATCH",
    "CONVERSATION",
    "DIALOG",
    "DISTRIBUTED",
    "TRAN",
    "TRANSACTION",
    "TRY",
];

/// Blocks with a word behind BEGIN and END.
const BLOCKS: [&str; 3] = ["TRY", "CATCH", "ATOMIC"];

/// Words behind which no statement begins.
const BEFORE_NONE: [&str; 8] = ["AS", "OR", "WITH", "ON", "FOR", "AFTER", "THEN", "TO"];

/// Whether a word that can begin a statement is a part of another by what stands before it.
fn is_inside_another(part: Part<'_>, before: Part<'_>, first: Part<'_>) -> bool {
    let if_exists = part.is("IF") && first.is_any(&["DROP", "ALTER", "CREATE"]);
    let of_foreign_key = part.is("SET") && before.is_any(&["DELETE", "UPDATE"]);
    matches!(before, Part::Symbol(b'.' | b','))
        || before.is_any(&BEFORE_NONE)
        || of_foreign_key
        || if_exists && before.is_in(&KINDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::batch::split;

    fn texts(script: &str, syntax: Syntax) -> Vec<String> {
        let split = split(script, syntax).unwrap();
        let sentences = split.batches.iter().flat_map(|batch| {
            sentences(batch, syntax).into_iter().map(|sentence| {
                batch.text[sentence.tokens[0].offset..sentence.end_offset].to_owned()
            })
        });
        sentences.collect()
    }

    fn conditional(script: &str) -> Vec<bool> {
        let split = split(script, Syntax::TransactSql).unwrap();
        let sentences = sentences(&split.batches[0], Syntax::TransactSql);
        let dropping = sentences.iter().filter(|one| one.part(0).is("DROP"));
        dropping.map(|one| one.is_conditional).collect()
    }

    #[test]
    fn t_sql_needs_no_semicolons_between_statements() {
        for statements in [
            &[
                "DECLARE @a INT",
                "UPDATE t SET a = 1",
                "SELECT a FROM t WHERE b = 1",
            ][..],
            &["DELETE FROM t", "INSERT t VALUES (1)", "DROP TABLE t"],
            &[
                "UPDATE t SET a = CASE WHEN b = 1 THEN 2 ELSE 3 END WHERE c = 1",
                "DELETE t",
            ],
            &["ALTER TABLE t ADD a INT", "DROP TABLE u"],
            &[
                "ALTER TABLE t ALTER COLUMN a INT",
                "ALTER TABLE dbo.t DROP COLUMN b",
            ],
            &[
                "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (a) ON DELETE SET NULL",
                "SELECT 1",
            ],
            &[
                "IF EXISTS (SELECT 1 FROM t)",
                "DELETE FROM t",
                "ELSE",
                "UPDATE t SET a = 1",
            ],
            &["DROP USER IF EXISTS t", "IF 1 = 1", "DROP TABLE u"],
            &[
                "GRANT SELECT, UPDATE, DELETE ON t TO bob",
                "TRUNCATE TABLE t",
            ],
            &["BEGIN TRAN", "DELETE t", "COMMIT"],
            &[
                "BEGIN TRY",
                "DELETE t",
                "END TRY",
                "BEGIN CATCH",
                "THROW",
                "END CATCH",
            ],
            &[
                "WITH x AS (SELECT 1 AS a) UPDATE x SET a = 2",
                "SET NOCOUNT ON",
            ],
        ] {
            assert_eq!(
                texts(&statements.join("\n"), Syntax::TransactSql),
                statements
            );
        }
    }

    #[test]
    fn merge_goes_to_its_semicolon() {
        let merge = "MERGE t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED BY SOURCE THEN DELETE";
        let script = format!("{merge}; DELETE t");
        assert_eq!(texts(&script, Syntax::TransactSql), [merge, "DELETE t"]);
    }

    #[test]
    fn the_body_of_a_module_is_part_of_it() {
        let module = "CREATE OR ALTER PROC p AS DELETE FROM t DROP TABLE u";
        assert_eq!(texts(module, Syntax::TransactSql), [module]);
        let trigger = "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM u; END";
        let script = format!("{trigger}; DELETE FROM t;");
        assert_eq!(texts(&script, Syntax::Sqlite), [trigger, "DELETE FROM t"]);
    }

    #[test]
    fn what_stands_behind_a_condition_or_in_its_block_is_conditional() {
        assert_eq!(
            conditional("IF 1 = 1 DROP TABLE a DROP TABLE b"),
            [true, false]
        );
        assert_eq!(
            conditional("IF 1 = 1 BEGIN DROP TABLE a; DROP TABLE b; END; DROP TABLE c"),
            [true, true, false]
        );
        assert_eq!(
            conditional("IF 1 = 1 SELECT 1; ELSE DROP TABLE a; DROP TABLE b"),
            [true, false]
        );
        assert_eq!(conditional("BEGIN DROP TABLE a END"), [false]);
        assert_eq!(conditional("IF 1 = 1 BEGIN TRAN DROP TABLE a"), [false]);
    }
}
