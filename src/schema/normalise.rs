//! Which differences of writing mean nothing: one function a rule.
//!
//! A rule may only make texts equal that no engine could tell apart. Where that is in doubt the text stays as it is: a
//! drift reported for nothing costs a look, one that is not reported costs trust. So the case of words is never
//! changed (a name in it may be case-sensitive), nor an expression rewritten. What the engines call differently but
//! mean equally without any rewriting (column order) is left out when the `facts` are taken.

use super::lexer::{Token, TokenKind, begins_name, continues_name, tokens};

/// The text of a view, trigger, procedure or function, for comparing.
///
/// White space, comments and a last semicolon have no effect on what it does, and editors and pipelines change them.
/// Quotes around a name that needs none go too, since SQLite adds them wherever it renames a table or column.
pub fn module_text(sql: &str) -> String {
    let Some(mut code) = unambiguous(sql) else {
        return verbatim(sql);
    };
    while code.last().is_some_and(|token| token.is_symbol(';')) {
        code.pop();
    }
    spelled(&code)
}

/// The text of a check, default, generated column, index member or filter, for comparing.
///
/// On top of what goes for modules, parentheses around the whole go: SQL Server adds them to every default and check
/// (`((0))`), and SQLite demands them around some expressions and drops them when asked for the default.
pub fn expression(sql: &str) -> String {
    let Some(code) = unambiguous(sql) else {
        return verbatim(sql);
    };
    let mut inner = code.as_slice();
    while is_wrapped(inner) {
        inner = &inner[1..inner.len() - 1];
    }
    spelled(inner)
}

/// The expression in parentheses, as it stands if it has some around the whole.
pub fn in_parentheses(sql: &str) -> String {
    match unambiguous(sql) {
        Some(code) if is_wrapped(&code) => sql.to_owned(),
        // A comment at the end would swallow the parenthesis.
        _ if tokens(sql).iter().any(|token| token.text.starts_with("--")) => format!("({sql}\n)"),
        _ => format!("({sql})"),
    }
}

/// The type of a column, for comparing: engines read type names without regard to case and white space.
pub fn type_name(declared: &str) -> String {
    let Some(code) = unambiguous(declared) else {
        return verbatim(declared);
    };
    spelled(&code).to_ascii_uppercase()
}

/// The name of a collation, for comparing: engines read it without regard to case.
pub fn collation(name: &str) -> String {
    name.to_ascii_uppercase()
}

/// The name of a constraint unless the engine made it up.
///
/// SQLite numbers its `sqlite_autoindex_…` in the order in which the constraints were written, so rebuilding a table
/// can renumber them. Such a constraint is known by its table, kind and columns.
pub fn given_name(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.starts_with("sqlite_autoindex_"))
}

/// A name as it must be written in SQL: quoted only when it has to be.
///
/// Quoting the rest keeps lists of names readable and yet clear: `a, b` is two columns and `"a, b"` one.
pub fn identifier(name: &str) -> String {
    let plain =
        name.starts_with(begins_name) && name.chars().all(continues_name) && !is_keyword(name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The tokens of the code, unless engines would cut the text differently.
///
/// T-SQL nests block comments and SQLite does not, so behind a comment inside a comment it is open what is code; and a
/// quote that never ends means that something before it was misread.
fn unambiguous(sql: &str) -> Option<Vec<Token<'_>>> {
    let all = tokens(sql);
    let doubtful = |token: &Token| match token.kind {
        TokenKind::Unclosed => true,
        TokenKind::Comment => token.text.starts_with("/*") && token.text[2..].contains("/*"),
        _ => false,
    };
    if all.iter().any(doubtful) {
        return None;
    }
    Some(all.into_iter().filter(|token| !token.is_blank()).collect())
}

/// A text that is better not touched, but for line ends and the white space around it.
fn verbatim(sql: &str) -> String {
    sql.trim_ascii().replace("\r\n", "\n")
}

/// The tokens with one space between any two, which no longer depends on how they were set.
fn spelled(code: &[Token]) -> String {
    code.iter().map(name_or_text).collect::<Vec<_>>().join(" ")
}

/// A quoted name in its one canonical spelling; everything else as it is.
fn name_or_text(token: &Token) -> String {
    match token.kind {
        TokenKind::QuotedName => identifier(&token.name()),
        _ => token.text.to_owned(),
    }
}

/// Whether the first token is a parenthesis that only the last one closes.
fn is_wrapped(code: &[Token]) -> bool {
    if !code.first().is_some_and(|token| token.is_symbol('(')) || code.len() < 3 {
        return false;
    }
    let mut depth = 0usize;
    for (position, token) in code.iter().enumerate() {
        if token.is_symbol('(') {
            depth += 1;
        } else if token.is_symbol(')') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return position + 1 == code.len();
            }
        }
    }
    false
}

fn is_keyword(name: &str) -> bool {
    KEYWORDS
        .binary_search(&name.to_ascii_uppercase().as_str())
        .is_ok()
}

/// Words that mean something else without quotes: the keywords of SQLite (`sqlite3_keyword_name`) with its two truth
/// values, and the reserved words of T-SQL. Sorted.
#[rustfmt::skip]
const KEYWORDS: &[&str] = &[
    "ABORT", "ACTION", "ADD", "AFTER", "ALL", "ALTER", "ALWAYS", "ANALYZE", "AND", "ANY", "AS", "ASC", "ATTACH",
    "AUTHORIZATION", "AUTOINCREMENT", "BACKUP", "BEFORE", "BEGIN", "BETWEEN", "BREAK", "BROWSE", "BULK", "BY",
    "CASCADE", "CASE", "CAST", "CHECK", "CHECKPOINT", "CLOSE", "CLUSTERED", "COALESCE", "COLLATE", "COLUMN", "COMMIT",
    "COMPUTE", "CONFLICT", "CONSTRAINT", "CONTAINS", "CONTAINSTABLE", "CONTINUE", "CONVERT", "CREATE", "CROSS",
    "CURRENT", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "CURSOR", "DATABASE", "DBCC",
    "DEALLOCATE", "DECLARE", "DEFAULT", "DEFERRABLE", "DEFERRED", "DELETE", "DENY", "DESC", "DETACH", "DISK",
    "DISTINCT", "DISTRIBUTED", "DO", "DOUBLE", "DROP", "DUMP", "EACH", "ELSE", "END", "ERRLVL", "ESCAPE", "EXCEPT",
    "EXCLUDE", "EXCLUSIVE", "EXEC", "EXECUTE", "EXISTS", "EXIT", "EXPLAIN", "EXTERNAL", "FAIL", "FALSE", "FETCH",
    "FILE", "FILLFACTOR", "FILTER", "FIRST", "FOLLOWING", "FOR", "FOREIGN", "FREETEXT", "FREETEXTTABLE", "FROM",
    "FULL", "FUNCTION", "GENERATED", "GLOB", "GOTO", "GRANT", "GROUP", "GROUPS", "HAVING", "HOLDLOCK", "IDENTITY",
    "IDENTITYCOL", "IDENTITY_INSERT", "IF", "IGNORE", "IMMEDIATE", "IN", "INDEX", "INDEXED", "INITIALLY", "INNER",
    "INSERT", "INSTEAD", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "KEY", "KILL", "LAST", "LEFT", "LIKE", "LIMIT",
    "LINENO", "LOAD", "MATCH", "MATERIALIZED", "MERGE", "NATIONAL", "NATURAL", "NO", "NOCHECK", "NONCLUSTERED", "NOT",
    "NOTHING", "NOTNULL", "NULL", "NULLIF", "NULLS", "OF", "OFF", "OFFSET", "OFFSETS", "ON", "OPEN", "OPENDATASOURCE",
    "OPENQUERY", "OPENROWSET", "OPENXML", "OPTION", "OR", "ORDER", "OTHERS", "OUTER", "OVER", "PARTITION", "PERCENT",
    "PIVOT", "PLAN", "PRAGMA", "PRECEDING", "PRECISION", "PRIMARY", "PRINT", "PROC", "PROCEDURE", "PUBLIC", "QUERY",
    "RAISE", "RAISERROR", "RANGE", "READ", "READTEXT", "RECONFIGURE", "RECURSIVE", "REFERENCES", "REGEXP", "REINDEX",
    "RELEASE", "RENAME", "REPLACE", "REPLICATION", "RESTORE", "RESTRICT", "RETURN", "RETURNING", "REVERT", "REVOKE",
    "RIGHT", "ROLLBACK", "ROW", "ROWCOUNT", "ROWGUIDCOL", "ROWS", "RULE", "SAVE", "SAVEPOINT", "SCHEMA",
    "SECURITYAUDIT", "SELECT", "SEMANTICKEYPHRASETABLE", "SEMANTICSIMILARITYDETAILSTABLE", "SEMANTICSIMILARITYTABLE",
    "SESSION_USER", "SET", "SETUSER", "SHUTDOWN", "SOME", "STATISTICS", "SYSTEM_USER", "TABLE", "TABLESAMPLE", "TEMP",
    "TEMPORARY", "TEXTSIZE", "THEN", "TIES", "TO", "TOP", "TRAN", "TRANSACTION", "TRIGGER", "TRUE", "TRUNCATE",
    "TRY_CONVERT", "TSEQUAL", "UNBOUNDED", "UNION", "UNIQUE", "UNPIVOT", "UPDATE", "UPDATETEXT", "USE", "USER",
    "USING", "VACUUM", "VALUES", "VARYING", "VIEW", "VIRTUAL", "WAITFOR", "WHEN", "WHERE", "WHILE", "WINDOW", "WITH",
    "WITHIN", "WITHOUT", "WRITETEXT",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn white_space_and_comments_in_a_module_mean_nothing() {
        assert_eq!(
            module_text("CREATE VIEW v AS -- all\r\n  SELECT a,b /* both */\tFROM t ;\n"),
            module_text("CREATE VIEW v AS SELECT a, b FROM t")
        );
    }

    #[test]
    fn white_space_and_comment_marks_inside_quotes_do_mean_something() {
        for (one, other) in [
            ("SELECT 'a  b'", "SELECT 'a b'"),
            ("SELECT '--x'", "SELECT '--y'"),
            ("SELECT \"a  b\"", "SELECT \"a b\""),
            ("SELECT [a /*x*/ b]", "SELECT [a b]"),
            ("SELECT 'a\r\nb'", "SELECT 'a\nb'"),
        ] {
            assert_ne!(module_text(one), module_text(other), "{one}");
        }
    }

    #[test]
    fn white_space_that_separates_words_is_kept_apart_from_none() {
        assert_ne!(module_text("SELECT a b"), module_text("SELECT ab"));
        assert_ne!(module_text("SELECT N 'a'"), module_text("SELECT N'a'"));
        assert_ne!(module_text("SELECT 1 - -1"), module_text("SELECT 1 --1"));
    }

    #[test]
    fn the_case_of_words_is_left_alone() {
        assert_ne!(
            module_text("SELECT Name FROM t"),
            module_text("SELECT name FROM t")
        );
        assert_ne!(expression("'A'"), expression("'a'"));
    }

    #[test]
    fn quotes_around_a_name_that_needs_none_mean_nothing() {
        for quoted in ["SELECT \"a\".[b] FROM `t`", "SELECT a.b FROM \"t\""] {
            assert_eq!(module_text(quoted), module_text("SELECT a.b FROM t"));
        }
        assert_eq!(module_text("SELECT [a b]"), module_text("SELECT \"a b\""));
    }

    #[test]
    fn quotes_around_a_name_that_needs_them_are_kept() {
        for (quoted, bare) in [
            ("SELECT \"current_timestamp\"", "SELECT current_timestamp"),
            ("SELECT \"distinct\" a", "SELECT distinct a"),
            ("SELECT \"null\"", "SELECT null"),
            ("SELECT \"1\"", "SELECT 1"),
            ("SELECT \"a.b\"", "SELECT a.b"),
            ("SELECT 'a'", "SELECT a"),
        ] {
            assert_ne!(module_text(quoted), module_text(bare), "{quoted}");
        }
    }

    #[test]
    fn parentheses_around_the_whole_expression_mean_nothing() {
        assert_eq!(expression("((0))"), "0");
        assert_eq!(expression("( a + (b) )"), expression("a+(b)"));
    }

    #[test]
    fn parentheses_around_a_part_are_kept() {
        assert_ne!(expression("(a) + (b)"), expression("a) + (b"));
        assert_eq!(expression("(a + b) * (c)"), "( a + b ) * ( c )");
        assert_eq!(expression("(')')"), "')'");
        assert_eq!(expression("()"), "( )");
    }

    #[test]
    fn case_and_white_space_of_a_type_mean_nothing() {
        assert_eq!(type_name(" varchar ( 10 )"), type_name("VARCHAR(10)"));
        assert_eq!(
            type_name("double  precision"),
            type_name("DOUBLE PRECISION")
        );
        assert_eq!(type_name("[dbo].\"Email\""), type_name("dbo.email"));
        assert_ne!(type_name("varchar(10)"), type_name("varchar(100)"));
        assert_eq!(type_name(""), "");
    }

    #[test]
    fn the_case_of_a_collation_means_nothing() {
        assert_eq!(collation("nocase"), collation("NOCASE"));
    }

    #[test]
    fn a_name_that_sqlite_made_up_is_no_name() {
        assert_eq!(given_name(Some("sqlite_autoindex_orders_1")), None);
        assert_eq!(given_name(Some("orders_number")), Some("orders_number"));
        assert_eq!(given_name(None), None);
    }

    #[test]
    fn a_text_that_engines_cut_differently_stays_as_it_is() {
        assert_eq!(
            module_text(" SELECT /* a /* b */ 1\r\n"),
            "SELECT /* a /* b */ 1"
        );
        assert_eq!(expression("( 'a )"), "( 'a )");
    }

    #[test]
    fn keywords_are_sorted_so_that_they_can_be_found() {
        assert!(KEYWORDS.is_sorted());
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(sql in "[a-c'\"(), \\[\\];*/\n-]{0,30}|\\PC{0,30}") {
            for rule in [module_text, expression, type_name] {
                let once = rule(&sql);
                prop_assert_eq!(rule(&once), once);
            }
        }
    }
}
