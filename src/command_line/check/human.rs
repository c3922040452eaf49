//! What `dbvc check` says about files, for people.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::report::{FileReport, Report};
use crate::script::{RULES, Severity};

/// How many batches of a file are listed one by one.
const MAX_LISTED: usize = 20;

/// Writes each file with its batches, its findings below it, why they matter, and a count at the end.
pub(super) fn write(report: &Report, output: &mut impl Write) -> io::Result<()> {
    for file in &report.files {
        write_file(file, output)?;
    }
    write_rules(report, output)?;
    write_counts(report, output)
}

/// Each rule that found something, once.
fn write_rules(report: &Report, output: &mut impl Write) -> io::Result<()> {
    let findings = report.files.iter().flat_map(|file| &file.findings);
    let codes: BTreeSet<_> = findings.map(|finding| finding.code).collect();
    for rule in RULES.iter().filter(|rule| codes.contains(rule.code)) {
        writeln!(
            output,
            "{}: {} {} ({})",
            rule.code,
            rule.reason,
            rule.remedy,
            rule.section()
        )?;
    }
    Ok(())
}

/// One line that counts files, batches and findings.
pub(super) fn write_counts(report: &Report, output: &mut impl Write) -> io::Result<()> {
    let batches = report.files.iter().map(|file| file.batches.len()).sum();
    write!(
        output,
        "{}, {}: {}, {}, {}",
        counted(report.files.len(), "file", "files"),
        counted(batches, "batch", "batches"),
        counted(report.count(Severity::Error), "error", "errors"),
        counted(report.count(Severity::Warning), "warning", "warnings"),
        counted(report.count(Severity::Note), "note", "notes"),
    )?;
    match report.files.iter().map(|file| file.allowed.len()).sum() {
        0 => writeln!(output),
        allowed => writeln!(output, ", {allowed} allowed"),
    }
}

fn write_file(file: &FileReport, output: &mut impl Write) -> io::Result<()> {
    let encoding = file.encoding.unwrap_or("no text");
    writeln!(output, "{}: {encoding}, {}", file.path, batches(file))?;
    for finding in &file.findings {
        write!(
            output,
            "{}:{}:{} {} {}: {}",
            file.path,
            finding.line,
            finding.column,
            finding.severity,
            finding.code,
            finding.message
        )?;
        match &finding.suggestion {
            Some(suggestion) => writeln!(output, " [{suggestion}]")?,
            None => writeln!(output)?,
        }
    }
    Ok(())
}

/// The batches by the lines on which they begin: `2 batches at lines 1, 5 (3 times)`.
fn batches(file: &FileReport) -> String {
    let counted = counted(file.batches.len(), "batch", "batches");
    let mut listed: Vec<_> = file
        .batches
        .iter()
        .take(MAX_LISTED)
        .map(|batch| match batch.count {
            1 => batch.line.to_string(),
            count => format!("{} ({count} times)", batch.line),
        })
        .collect();
    if file.batches.len() > MAX_LISTED {
        listed.push(format!("and {} more", file.batches.len() - MAX_LISTED));
    }
    let lines = match listed.len() {
        0 => return counted,
        1 => "line",
        _ => "lines",
    };
    format!("{counted} at {lines} {}", listed.join(", "))
}

fn counted(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}
