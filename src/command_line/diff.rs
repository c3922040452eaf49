//! `dbvc diff`: compares two exported snapshots, without a database and without a service.

mod exported;
mod text;

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::schema::{Report, diff, report};

use exported::{Exported, ExportedError};

use super::USAGE_ERROR;

/// Compare two exported snapshots: of dev and of prod, or of one database at two moments. Needs no database.
///
/// A file is what GET snapshots answers with a snapshotId, or what Export-SchemaSnapshot.ps1 -OutFile writes; the schema
/// alone will do. Told is what became of FROM on the way to TO.
///
/// Ends with 0 when the schemas are the same, with 1 when they differ, and with 2 when they could not be compared.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The snapshot to start from
    #[arg(value_name = "FROM.json")]
    from: PathBuf,
    /// The snapshot to end with
    #[arg(value_name = "TO.json")]
    to: PathBuf,
    /// How the differences are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A file that takes them, in place of standard output; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Text,
    /// For programs.
    Json,
    /// For a pull request.
    Markdown,
    /// For a browser.
    Html,
}

/// Why the files could not be compared.
#[derive(Debug, thiserror::Error)]
enum DiffError {
    #[error(transparent)]
    Exported(#[from] ExportedError),
    #[error(
        "{from} is of a {from_engine} database and {to} of a {to_engine} one: schemas of different engines cannot be compared"
    )]
    Engines {
        from: String,
        from_engine: String,
        to: String,
        to_engine: String,
    },
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot write the differences: {0}")]
    Output(#[from] io::Error),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments) {
        Ok(differs) => ExitCode::from(u8::from(differs)),
        Err(error) => {
            eprintln!("dbvc diff: {error}");
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Whether the schemas differ.
fn compare(arguments: &Arguments) -> Result<bool, DiffError> {
    let from = Exported::read(&arguments.from)?;
    let to = Exported::read(&arguments.to)?;
    if let (Some(from_engine), Some(to_engine)) = (&from.engine, &to.engine)
        && from_engine != to_engine
    {
        return Err(DiffError::Engines {
            from: from.file,
            from_engine: from_engine.clone(),
            to: to.file,
            to_engine: to_engine.clone(),
        });
    }
    let report = Report {
        database_id: databases(&from, &to),
        from_label: from.label(),
        to_label: to.label(),
        detected: None,
        reason: None,
        changes: diff(&from.schema, &to.schema),
    };
    let differs = !report.changes.is_empty();
    let report = Report {
        detected: Some(differs),
        ..report
    };
    let written = match arguments.format {
        Format::Text => text::text(&report),
        Format::Json => json_text(&from, &to, &report),
        Format::Markdown => report::markdown(&report),
        Format::Html => report::html(&report),
    };
    match &arguments.output {
        Some(path) => fs::write(path, written).map_err(|source| DiffError::File {
            path: path.clone(),
            source,
        })?,
        None => match io::stdout().lock().write_all(written.as_bytes()) {
            // Who reads the differences has seen enough, as with `dbvc diff … | head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written?,
        },
    }
    Ok(differs)
}

/// What was compared, in a few words.
fn databases(from: &Exported, to: &Exported) -> String {
    match (from.database(), to.database()) {
        (from, to) if from == to => from.to_owned(),
        (from, to) => format!("{from} to {to}"),
    }
}

/// In the form of GET drift, as far as files can tell.
fn json_text(from: &Exported, to: &Exported, report: &Report) -> String {
    let side = |exported: &Exported| {
        json!({
            "file": exported.file,
            "databaseId": exported.database_id,
            "snapshotId": exported.snapshot_id,
            "schemaHash": exported.schema.hash(),
        })
    };
    let whole = json!({
        "detected": report.detected,
        "from": side(from),
        "to": side(to),
        "changes": report.changes,
    });
    format!("{whole:#}\n")
}
