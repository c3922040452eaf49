//! What a server said while it ran a script: row counts, messages and errors, with the lines of the file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Leftover;

/// One batch of a script, as it is sent.
#[derive(Debug, Clone)]
pub struct BatchText {
    /// Number among the batches that are sent, from 1.
    pub index: u32,
    /// Line of the file on which the text begins.
    pub line: u32,
    /// How often it is sent (`GO n`).
    pub count: u32,
    /// The text, verbatim.
    pub text: String,
}

impl BatchText {
    /// The file's line for a line of this batch (both from 1).
    pub fn file_line(&self, line_in_batch: u32) -> u32 {
        self.line.saturating_add(line_in_batch.saturating_sub(1))
    }
}

/// What PRINT and its kin said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerMessage {
    /// The text.
    pub text: String,
    /// The server's message number, when it gives one.
    pub number: Option<i64>,
    /// The server's severity, when it gives one.
    pub severity: Option<i64>,
    /// Line of the file.
    pub line: Option<u32>,
}

/// One error that the server sent for a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerError {
    /// The server's error number; on SQLite the extended result code.
    pub number: i64,
    /// The server's severity; SQLite has none and gets 16, which is SQL Server's "the user can correct this".
    pub severity: Option<i64>,
    /// The server's state; 1 on SQLite.
    pub state: Option<i64>,
    /// Line of the file, or of the module when `procedure` is set.
    pub line: Option<u32>,
    /// Number of the batch, from 1.
    pub batch: Option<u32>,
    /// The module in which the error arose.
    pub procedure: Option<String>,
    /// The server's words.
    pub message: String,
}

/// One batch that ran to its end, well or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchReport {
    /// Number of the batch, from 1.
    pub index: u32,
    /// Line of the file on which its text begins.
    pub line: u32,
    /// How often it was to be sent.
    pub count: u32,
    /// Rows changed by all its statements and rounds.
    pub rows_affected: u64,
    /// Milliseconds that all rounds took.
    pub duration_ms: u64,
    /// What the server said besides errors.
    pub messages: Vec<ServerMessage>,
}

/// How running a script's batches ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptEnd {
    /// Every batch was done.
    Completed,
    /// The observer asked to stop before a batch was sent.
    Stopped,
    /// A batch failed.
    Failed {
        /// Everything the server said about it, in order.
        errors: Vec<ServerError>,
        /// Whether the failed batch is known to have left nothing behind, so that it alone can be sent again.
        left_nothing: bool,
    },
    /// The transaction or the session is not as it was.
    Left {
        /// What it is like.
        left: Leftover,
        /// Everything the server said about it, in order.
        errors: Vec<ServerError>,
    },
}

/// What became of a script's batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptReport {
    /// The batches that were sent, in order; the last one may be the one that failed.
    pub batches: Vec<BatchReport>,
    /// How it ended.
    pub end: ScriptEnd,
}
