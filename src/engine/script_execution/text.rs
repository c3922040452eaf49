//! A script's text as it is executed: its batches, their hashes, and whether it runs in a transaction.

use std::borrow::Cow;

use crate::database::{BatchText, ServerError};
use crate::script::{
    Batch, Directives, EngineKind, Split, Syntax, needs_no_transaction, own_transaction_end, split,
};

use super::super::EngineOptions;

/// Why a script cannot be sent: found in its text, before anything of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Unsendable {
    /// What is wrong, and what would be right.
    pub message: String,
    /// Line of the file.
    pub line: Option<u32>,
    /// Number of the batch, from 1.
    pub batch: Option<u32>,
}

impl Unsendable {
    fn whole(message: String) -> Self {
        Self {
            message,
            line: None,
            batch: None,
        }
    }

    /// As an error of the attempt.
    pub fn as_error(&self) -> ServerError {
        ServerError {
            number: 0,
            severity: Some(16),
            state: Some(1),
            line: self.line,
            batch: self.batch,
            procedure: None,
            message: self.message.clone(),
        }
    }
}

/// The batches of a script as they are sent.
///
/// # Errors
///
/// When it cannot be split, uses a variable that has no value, or would end the transaction in which dbvc runs it.
pub(in crate::engine) fn batches(
    script: &str,
    engine: EngineKind,
    options: &EngineOptions,
) -> Result<Vec<BatchText>, Unsendable> {
    let syntax = Syntax::of_engine(engine)
        .ok_or_else(|| Unsendable::whole(format!("dbvc cannot run scripts for {engine} yet")))?;
    let split = split(script, syntax).map_err(|error| Unsendable {
        line: Some(error.line),
        ..Unsendable::whole(error.to_string())
    })?;
    let has_variables = Directives::of_script(script, syntax)
        .is_ok_and(|directives| directives.variables == Some(true));
    let texts = split
        .batches
        .iter()
        .map(|batch| {
            if has_variables {
                with_values(batch, syntax, options)
            } else {
                Ok(Cow::Borrowed(batch.text))
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    // SQLite is asked about each statement when it is compiled, which no look at words can equal. A value may hold any
    // statement, so it is what will be sent that is looked at.
    if syntax == Syntax::TransactSql && is_transactional(script, engine) {
        let sent: Vec<Batch<'_>> = split
            .batches
            .iter()
            .zip(&texts)
            .map(|(batch, text)| Batch {
                text,
                ..batch.clone()
            })
            .collect();
        if let Some(end) = own_transaction_end(&sent, syntax) {
            return Err(Unsendable {
                message: format!(
                    "{} would end the transaction in which dbvc runs the script; take it out, or begin the script with \
                     `-- dbvc: transaction=off`",
                    end.statement
                ),
                line: Some(end.line),
                batch: Some(end.batch),
            });
        }
    }
    Ok(split
        .batches
        .iter()
        .zip(texts)
        .map(|(batch, text)| BatchText {
            index: batch.index,
            line: batch.line,
            count: batch.count,
            text: text.into_owned(),
        })
        .collect())
}

fn with_values<'a>(
    batch: &Batch<'a>,
    syntax: Syntax,
    options: &EngineOptions,
) -> Result<Cow<'a, str>, Unsendable> {
    options
        .script_variables
        .substitute(batch.text, syntax)
        .map_err(|undefined| Unsendable {
            message: format!(
                "the variable $({0}) has no value; set DBVC_VAR_{0}",
                undefined.name
            ),
            line: Some(batch.file_line(undefined.line)),
            batch: Some(batch.index),
        })
}

fn split_for(script: &str, engine: EngineKind) -> Option<(Split<'_>, Syntax)> {
    let syntax = Syntax::of_engine(engine)?;
    split(script, syntax).ok().map(|split| (split, syntax))
}

/// Whether a script runs in a transaction: by its author's word, else by whether one of its statements cannot.
pub(in crate::engine) fn is_transactional(script: &str, engine: EngineKind) -> bool {
    let Some(syntax) = Syntax::of_engine(engine) else {
        return false;
    };
    let word = Directives::of_script(script, syntax)
        .ok()
        .and_then(|directives| directives.transaction);
    word.unwrap_or_else(|| {
        split_for(script, engine).is_none_or(|(split, syntax)| {
            split
                .batches
                .iter()
                .all(|batch| needs_no_transaction(batch.text, syntax).is_none())
        })
    })
}

/// Hashes of a script's batches, as they were written.
pub(in crate::engine) fn hashes(script: &str, engine: EngineKind) -> Vec<String> {
    split_for(script, engine).map_or_else(Vec::new, |(split, _)| {
        split.batches.iter().map(|batch| batch.sha256()).collect()
    })
}
