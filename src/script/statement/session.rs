//! What a T-SQL batch may change of the session that it runs in.

use super::part::{Part, Parts};
use super::transact_sql::defines_module;
use crate::script::syntax::Syntax;

/// What of its session a batch may change. More may be told than is so, never less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionChanges {
    /// It sets options of the session, whichever: those below among them.
    pub options: bool,
    /// It sets NOEXEC: what follows is compiled only.
    pub noexec: bool,
    /// It sets PARSEONLY: what follows is parsed only, and so is this batch, wherever in it the statement stands.
    pub parseonly: bool,
    /// It sets FMTONLY: what follows answers without rows.
    pub fmtonly: bool,
    /// It sets SHOWPLAN_ALL, SHOWPLAN_TEXT or SHOWPLAN_XML: what follows is explained only. Only a batch that holds nothing
    /// else switches it off.
    pub showplan: bool,
    /// It says USE.
    pub database: bool,
    /// It acts as somebody else, or ceases to: EXECUTE AS, SETUSER, REVERT, `sp_setapprole`.
    pub principal: bool,
}

/// What a T-SQL batch may change of the session that it runs in.
///
/// It is read by its words outside quotes and comments, whether they are reached or not. What a procedure or a dynamic SQL
/// text sets is restored behind it, and the body of a module that is defined runs later; but PARSEONLY counts anywhere,
/// since it is set when a batch is parsed. Source: "SET Statements (Transact-SQL)".
#[must_use]
pub fn session_changes(batch: &str) -> SessionChanges {
    let mut changes = SessionChanges::default();
    let mut before = Before::default();
    let mut parts = Parts::of(batch, Syntax::TransactSql)
        .map(|(part, _)| part)
        .peekable();
    while let Some(part) = parts.next() {
        let next = parts.peek().copied();
        before = changes.add(part, before, next);
    }
    if defines_module(batch) {
        SessionChanges {
            options: changes.parseonly,
            parseonly: changes.parseonly,
            ..SessionChanges::default()
        }
    } else {
        changes
    }
}

/// What was read before a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Before {
    #[default]
    Anything,
    /// SET: the name of an option or of a variable or column comes next.
    Set,
    /// The name of an option; after a comma, another one.
    Option,
    /// EXEC or EXECUTE.
    Execute,
}

impl SessionChanges {
    /// Takes a part in, and says what it is for the next one.
    fn add(&mut self, part: Part<'_>, before: Before, next: Option<Part<'_>>) -> Before {
        match part {
            Part::Symbol(b',') if before == Before::Option => return Before::Set,
            Part::Symbol(_) => return Before::Anything,
            _ if part.is("SET") => return Before::Set,
            _ if part.is_any(&["EXEC", "EXECUTE"]) => return Before::Execute,
            Part::Word(name) if before == Before::Set && is_option(name, next) => {
                self.set(part);
                return Before::Option;
            }
            _ => {}
        }
        self.database |= part.is("USE");
        self.principal |= part.is_any(&["SETUSER", "REVERT"])
            || before == Before::Execute && part.is("AS")
            || part
                .name()
                .is_some_and(|name| name.eq_ignore_ascii_case("sp_setapprole"));
        Before::Anything
    }

    fn set(&mut self, option: Part<'_>) {
        self.options = true;
        self.noexec |= option.is("NOEXEC");
        self.parseonly |= option.is("PARSEONLY");
        self.fmtonly |= option.is("FMTONLY");
        self.showplan |= option.is_any(&["SHOWPLAN_ALL", "SHOWPLAN_TEXT", "SHOWPLAN_XML"]);
    }
}

/// Whether a word behind SET is an option of the session: no variable, no column (`UPDATE t SET a = 1`, `t.a = 1`), and not
/// what a foreign key does (`ON DELETE SET NULL`).
fn is_option(name: &str, next: Option<Part<'_>>) -> bool {
    let is_assigned = matches!(next, Some(Part::Symbol(b'=' | b'.')));
    let of_foreign_key = ["NULL", "DEFAULT"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word));
    !name.starts_with('@') && !is_assigned && !of_foreign_key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING: SessionChanges = SessionChanges {
        options: false,
        noexec: false,
        parseonly: false,
        fmtonly: false,
        showplan: false,
        database: false,
        principal: false,
    };

    const OPTIONS: SessionChanges = SessionChanges {
        options: true,
        ..NOTHING
    };

    #[test]
    fn every_option_of_the_session_is_told() {
        for option in [
            "NOCOUNT ON",
            "ROWCOUNT 5",
            "IMPLICIT_TRANSACTIONS ON",
            "ANSI_DEFAULTS ON",
            "XACT_ABORT OFF",
            "TRANSACTION ISOLATION LEVEL SNAPSHOT",
            "LOCK_TIMEOUT -1",
            "QUOTED_IDENTIFIER OFF",
            "ANSI_NULLS OFF",
            "ANSI_PADDING OFF",
            "ANSI_WARNINGS OFF",
            "ARITHABORT OFF",
            "CONCAT_NULL_YIELDS_NULL OFF",
            "NUMERIC_ROUNDABORT ON",
            "ARITHIGNORE ON",
            "TEXTSIZE 1",
            "IDENTITY_INSERT t ON",
            "LANGUAGE N'German'",
            "DATEFIRST @a",
            "CONTEXT_INFO 0x1",
        ] {
            for batch in [
                format!("SET {option}"),
                format!("SELECT 1 set /* c */\n{}", option.to_lowercase()),
                format!("IF 1 = 0 SET {option};"),
                format!("DECLARE @a INT SET @a = 1SET {option}"),
            ] {
                assert_eq!(session_changes(&batch), OPTIONS, "{batch}");
            }
        }
    }

    #[test]
    fn options_that_keep_statements_from_running_are_told_apart() {
        for (batch, changes) in [
            (
                "SET NOEXEC ON",
                SessionChanges {
                    noexec: true,
                    ..OPTIONS
                },
            ),
            (
                "SET PARSEONLY OFF",
                SessionChanges {
                    parseonly: true,
                    ..OPTIONS
                },
            ),
            (
                "SET NOCOUNT, FMTONLY ON",
                SessionChanges {
                    fmtonly: true,
                    ..OPTIONS
                },
            ),
            (
                "set ansi_nulls , noexec off",
                SessionChanges {
                    noexec: true,
                    ..OPTIONS
                },
            ),
            (
                "SET SHOWPLAN_XML ON",
                SessionChanges {
                    showplan: true,
                    ..OPTIONS
                },
            ),
            (
                "SET SHOWPLAN_ALL ON",
                SessionChanges {
                    showplan: true,
                    ..OPTIONS
                },
            ),
            (
                "SET SHOWPLAN_TEXT ON",
                SessionChanges {
                    showplan: true,
                    ..OPTIONS
                },
            ),
        ] {
            assert_eq!(session_changes(batch), changes, "{batch}");
        }
    }

    #[test]
    fn a_change_of_the_database_or_of_the_principal_is_told() {
        for batch in ["USE x", "SELECT 1 use [x]", "IF 1 = 0 USE x"] {
            let changes = SessionChanges {
                database: true,
                ..NOTHING
            };
            assert_eq!(session_changes(batch), changes, "{batch}");
        }
        for batch in [
            "EXECUTE AS USER = 'x'",
            "exec/* c */as login = 'x' WITH NO REVERT",
            "SETUSER 'x'",
            "REVERT",
            "EXEC sp_setapprole 'x', 'y'",
            "sys.[sp_setapprole] 'x', 'y'",
        ] {
            let changes = SessionChanges {
                principal: true,
                ..NOTHING
            };
            assert_eq!(session_changes(batch), changes, "{batch}");
        }
    }

    #[test]
    fn what_changes_nothing_of_the_session_is_silent() {
        for batch in [
            "",
            "SET @a = 1; SET @b.c = 2",
            "UPDATE t SET a = 1, b.c = 2, [d] = 3",
            "CREATE TABLE t (a INT REFERENCES u ON DELETE SET NULL ON UPDATE SET DEFAULT)",
            "ALTER TABLE t SET (SYSTEM_VERSIONING = ON)",
            "SELECT 'SET NOEXEC ON; USE x', [SETUSER] -- REVERT\n/* EXECUTE AS OWNER */",
            "SELECT NOCOUNT, noexec FROM t",
            "EXEC('SET NOEXEC ON')",
        ] {
            assert_eq!(session_changes(batch), NOTHING, "{batch}");
        }
    }

    #[test]
    fn the_body_of_a_module_changes_nothing_when_it_is_defined() {
        let body = "AS SET NOCOUNT ON; SET NOEXEC ON; EXECUTE AS OWNER; REVERT";
        for batch in [
            format!("CREATE PROC p WITH EXECUTE AS OWNER {body}"),
            format!("CREATE OR ALTER TRIGGER t ON a FOR INSERT {body}"),
        ] {
            assert_eq!(session_changes(&batch), NOTHING, "{batch}");
        }
        assert_eq!(
            session_changes("CREATE PROC p AS SET NOCOUNT ON; SET PARSEONLY ON"),
            SessionChanges {
                parseonly: true,
                ..OPTIONS
            }
        );
        assert_eq!(
            session_changes("SET ANSI_NULLS ON CREATE PROC p AS USE x"),
            SessionChanges {
                database: true,
                ..OPTIONS
            }
        );
    }

    proptest! {
        #[test]
        fn an_option_is_told_whatever_stands_around_it(
            before in "(SELECT 1|SET @a = 2|USE x|END|EXEC p|;|, )?", between in "( |\n|/\\* ' \\*/|-- '\r\n)", after in "[a-z; ]{0,9}",
        ) {
            let batch = format!("{before} SET{between}NOEXEC{between}ON {after}");
            prop_assert!(session_changes(&batch).noexec, "{}", batch);
        }

        #[test]
        fn no_text_makes_judging_panic(text in "(\\PC|\n|SET |NOEXEC |EXECUTE |AS |,|;|'|\\[|--|/\\*){0,30}") {
            let _ = session_changes(&text);
        }
    }
}
