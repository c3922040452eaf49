//! A script's text as it is executed: its batches, their hashes, and whether it runs in a transaction.

use std::borrow::Cow;

use crate::database::{BatchText, ServerError};
use crate::script::operations::{self, OperationScript, PlacedOperation};
use crate::script::{
    Batch, Directives, EngineKind, OperationFault, Split, Syntax, needs_no_transaction,
    own_transaction_end, split,
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
/// When it cannot be read, uses a variable that has no value, or would end the transaction in which dbvc runs it.
pub(in crate::engine) fn batches(
    script: &str,
    engine: EngineKind,
    options: &EngineOptions,
) -> Result<Vec<BatchText>, Unsendable> {
    let Some(syntax) = Syntax::of_engine(engine) else {
        return operation_batches(script, options);
    };
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

/// One batch for each operation of a Cosmos script.
fn operation_batches(script: &str, options: &EngineOptions) -> Result<Vec<BatchText>, Unsendable> {
    let script = operations::parse(script).map_err(|faults| unreadable(&faults, 1, None))?;
    script
        .operations
        .iter()
        .map(|placed| {
            Ok(BatchText {
                index: placed.index,
                line: placed.line,
                count: 1,
                text: operation_text(&script, placed, options)?.into_owned(),
            })
        })
        .collect()
}

/// The text of an operation as it is sent. With values in it, it must still be one.
fn operation_text<'a>(
    script: &OperationScript<'a>,
    placed: &PlacedOperation<'a>,
    options: &EngineOptions,
) -> Result<Cow<'a, str>, Unsendable> {
    if script.variables != Some(true) {
        return Ok(Cow::Borrowed(placed.text));
    }
    let text = options
        .script_variables
        .substitute_json(placed.text)
        .map_err(|undefined| Unsendable {
            message: format!(
                "the variable $({0}) has no value; set DBVC_VAR_{0}",
                undefined.name
            ),
            line: Some(placed.line + undefined.line - 1),
            batch: Some(placed.index),
        })?;
    match operations::parse_operation(&text) {
        Ok(_) => Ok(text),
        Err(faults) => Err(unreadable(&faults, placed.line, Some(placed.index))),
    }
}

fn unreadable(faults: &[OperationFault], first_line: u32, batch: Option<u32>) -> Unsendable {
    let first = faults.first();
    Unsendable {
        message: first.map(ToString::to_string).unwrap_or_default(),
        line: first.map(|fault| first_line + fault.line - 1),
        batch,
    }
}

/// Whether one of a script's operations changes a container, which takes the account's key.
pub(in crate::engine) fn needs_key(script: &str, engine: EngineKind) -> bool {
    engine == EngineKind::Cosmos
        && operations::parse(script).is_ok_and(|script| {
            let mut placed = script.operations.iter();
            placed.any(|placed| placed.operation.needs_key())
        })
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
    if engine == EngineKind::Cosmos {
        return operations::parse(script).map_or_else(
            |_| Vec::new(),
            |script| {
                script
                    .operations
                    .iter()
                    .map(PlacedOperation::sha256)
                    .collect()
            },
        );
    }
    split_for(script, engine).map_or_else(Vec::new, |(split, _)| {
        split.batches.iter().map(|batch| batch.sha256()).collect()
    })
}
