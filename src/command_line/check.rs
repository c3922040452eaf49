//! `dbvc check`: what script files hold and what is wrong with them, without a database.

mod files;
mod github;
mod human;
mod report;
mod sarif;
mod uri;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use files::{FilesError, ListedFolders};
use report::Report;

use super::USAGE_ERROR;

/// Check script files: their names, encodings, batches and directives, and what their statements do. Needs no database.
///
/// A finding has a code, which docs/rules.md explains. `-- dbvc: allow=CODE reason` on its line or before its statement
/// allows a warning or a note.
///
/// Ends with 0 when no finding is an error, with 1 when one is, and with 2 when a path cannot be read.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folders of scripts, or single scripts. Each subfolder is checked as a folder of its own
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How the findings are written
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// For programs: everything about each file, as JSON.
    Json,
    /// For GitHub Actions: an annotation for each finding.
    Github,
    /// For code scanners: SARIF 2.1.0, with what is allowed as suppressed.
    Sarif,
}

/// Why the check could not be done.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error("cannot write the findings: {0}")]
    Output(#[from] io::Error),
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match check(arguments) {
        Ok(has_errors) => ExitCode::from(u8::from(has_errors)),
        Err(error) => {
            eprintln!("dbvc check: {error}");
            ExitCode::from(USAGE_ERROR)
        }
    }
}

/// Whether a finding is an error.
fn check(arguments: &Arguments) -> Result<bool, CheckError> {
    let folders = ListedFolders::read(&arguments.paths)?;
    let report = Report::of_folders(&folders)?;
    match write_report(&report, arguments.format) {
        // Who reads the findings has seen enough, as with `dbvc check … | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(report.has_errors())
}

fn write_report(report: &Report, format: Format) -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    match format {
        Format::Human => human::write(report, &mut output)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut output, report)?;
            writeln!(output)?;
        }
        Format::Github => github::write(report, &mut output)?,
        Format::Sarif => sarif::write(report, &mut output)?,
    }
    output.flush()
}
