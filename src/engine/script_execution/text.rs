//! A script's text as it is executed: its batches, their hashes, and whether it runs in a transaction.

use crate::database::BatchText;
use crate::script::{Directives, EngineKind, Split, Syntax, needs_no_transaction, split};

use super::super::access::to_batch_texts;

/// The batches of a script as they are sent.
///
/// # Errors
///
/// Why the script cannot be split, with the line.
pub(in crate::engine) fn batches(
    script: &str,
    engine: EngineKind,
) -> Result<Vec<BatchText>, String> {
    Ok(to_batch_texts(&split_for(script, engine)?))
}

fn split_for(script: &str, engine: EngineKind) -> Result<Split<'_>, String> {
    let syntax = Syntax::of_engine(engine)
        .ok_or_else(|| format!("dbvc cannot run scripts for {engine} yet"))?;
    split(script, syntax).map_err(|error| error.to_string())
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
        split(script, syntax).map_or(true, |split| {
            split
                .batches
                .iter()
                .all(|batch| needs_no_transaction(batch.text, syntax).is_none())
        })
    })
}

/// Hashes of a script's batches.
pub(in crate::engine) fn hashes(script: &str, engine: EngineKind) -> Vec<String> {
    split_for(script, engine).map_or_else(
        |_| Vec::new(),
        |split| split.batches.iter().map(|batch| batch.sha256()).collect(),
    )
}
