//! Asks sqlparser.

use sqlparser::ast::ColumnDef;
use sqlparser::dialect::{Dialect, MsSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token as ParsedToken;

use super::sentence::Sentence;
use crate::script::syntax::Syntax;

/// The definition of a column, when sqlparser reads all of it.
pub(super) fn column(text: &str, syntax: Syntax) -> Option<ColumnDef> {
    let mut parser = Parser::new(dialect(syntax)).try_with_sql(text).ok()?;
    let definition = parser.parse_column_def().ok()?;
    (parser.peek_token().token == ParsedToken::EOF).then_some(definition)
}

/// Whether sqlparser reads a statement.
pub(super) fn parses(batch: &str, sentence: &Sentence<'_>, syntax: Syntax) -> bool {
    let text = sentence
        .tokens
        .first()
        .and_then(|first| batch.get(first.offset..sentence.end_offset));
    text.is_some_and(|text| Parser::parse_sql(dialect(syntax), text).is_ok())
}

fn dialect(syntax: Syntax) -> &'static dyn Dialect {
    match syntax {
        Syntax::TransactSql => &MsSqlDialect {},
        Syntax::Sqlite => &SQLiteDialect {},
    }
}
