//! A snapshot in a file, as it was exported.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::schema::{FormatVersion, Schema};
use crate::script::{DecodeError, decode};

/// A schema, and what its file says of it.
pub(super) struct Exported {
    /// The file, as it was named.
    pub file: String,
    /// The snapshot; none where the file holds a schema alone.
    pub snapshot_id: Option<String>,
    /// The database.
    pub database_id: Option<String>,
    /// The database's engine.
    pub engine: Option<String>,
    kind: Option<String>,
    captured_at: Option<String>,
    pub schema: Schema,
}

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub(super) struct ExportedError {
    file: String,
    #[source]
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("is no text: {0}")]
    NoText(DecodeError),
    #[error("is not JSON: {0}")]
    NotJson(serde_json::Error),
    #[error("is a list of snapshots; export one of them: GET snapshots with its snapshotId")]
    List,
    #[error("holds an error that dbvc answered ({0}); export the snapshot again")]
    Problem(String),
    #[error(
        "is a snapshot without its schema; export it with that: GET snapshots with its snapshotId"
    )]
    HeaderOnly,
    #[error(
        "is no snapshot; a snapshot is what GET snapshots answers with a snapshotId, or what Export-SchemaSnapshot.ps1 writes with -OutFile"
    )]
    NoSnapshot,
    /// Of another format, in words that say what to do.
    #[error("{0}")]
    Format(serde_json::Error),
    #[error("holds a schema that cannot be read: {0}")]
    NoSchema(serde_json::Error),
}

impl Exported {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ExportedError`], with the name of the file.
    pub fn read(path: &Path) -> Result<Self, ExportedError> {
        let file = path.display().to_string();
        let fail = |fault| ExportedError {
            file: file.clone(),
            fault,
        };
        let bytes = fs::read(path).map_err(|error| fail(Fault::Unreadable(error)))?;
        // Redirecting the output of a command makes UTF-16 of it in Windows PowerShell.
        let decoded = decode(&bytes).map_err(|error| fail(Fault::NoText(error)))?;
        Self::parse(&file, &decoded.text).map_err(fail)
    }

    fn parse(file: &str, text: &str) -> Result<Self, Fault> {
        let whole: Value = serde_json::from_str(text).map_err(Fault::NotJson)?;
        let schema = match whole.get("schema") {
            Some(schema) => schema,
            None if whole.get("formatVersion").is_some() => &whole,
            None => return Err(fault_of(&whole)),
        };
        // First of all: a newer format may be anything else as well.
        let version = schema.get("formatVersion").ok_or(Fault::NoSnapshot)?;
        FormatVersion::deserialize(version).map_err(Fault::Format)?;
        let field = |name: &str| whole.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            file: file.to_owned(),
            snapshot_id: field("snapshotId"),
            database_id: field("databaseId"),
            engine: field("engine"),
            kind: field("type"),
            captured_at: field("capturedAt"),
            schema: Schema::deserialize(schema).map_err(Fault::NoSchema)?,
        })
    }

    /// The database, or the file where that does not say.
    pub fn database(&self) -> &str {
        self.database_id.as_deref().unwrap_or(&self.file)
    }

    /// What it is, in words.
    pub fn label(&self) -> String {
        let mut words = self.file.clone();
        if let Some(database) = &self.database_id {
            words.push_str(&format!(": {database}"));
        }
        if let (Some(kind), Some(at)) = (&self.kind, &self.captured_at) {
            words.push_str(&format!(", {kind} snapshot of {at}"));
        }
        words
    }
}

/// What else it is that somebody took for a snapshot.
fn fault_of(whole: &Value) -> Fault {
    let has = |field: &str| whole.get(field).is_some();
    match whole.get("code").and_then(Value::as_str) {
        Some(code) if has("status") => Fault::Problem(code.to_owned()),
        _ if has("snapshots") => Fault::List,
        _ if has("snapshotId") => Fault::HeaderOnly,
        _ => Fault::NoSnapshot,
    }
}
