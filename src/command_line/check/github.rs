//! What `dbvc check` says about files, as annotations of GitHub Actions.
//!
//! Form and escapes: "Workflow commands for GitHub Actions",
//! <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>, and `command.ts` of
//! <https://github.com/actions/toolkit>, which writes them.

use std::io::{self, Write};

use super::human;
use super::report::{FileReport, Report};
use super::uri::slashed;
use crate::script::{Finding, RULES, Severity};

/// Writes a workflow command for each finding, and a count at the end, which is no command.
pub(super) fn write(report: &Report, output: &mut impl Write) -> io::Result<()> {
    for file in &report.files {
        for finding in &file.findings {
            write_finding(file, finding, output)?;
        }
    }
    human::write_counts(report, output)
}

fn write_finding(file: &FileReport, finding: &Finding, output: &mut impl Write) -> io::Result<()> {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let rule = RULES.iter().find(|rule| rule.code == finding.code);
    let title = match rule {
        Some(rule) => format!("{}: {}", rule.code, rule.title),
        None => finding.code.to_owned(),
    };
    let message = match &finding.suggestion {
        Some(suggestion) => format!("{} [{suggestion}]", finding.message),
        None => finding.message.clone(),
    };
    writeln!(
        output,
        "::{command} file={},line={},col={},title={}::{}",
        property(&slashed(&file.path)),
        finding.line,
        finding.column,
        property(&title),
        data(&message)
    )
}

/// The text behind the command: it must be one line.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The value of a property: it must not end the property either.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_the_command_or_a_property() {
        assert_eq!(data("50%: a,\r\n::error::b"), "50%25: a,%0D%0A::error::b");
        assert_eq!(property("50%: a,\r\nb"), "50%25%3A a%2C%0D%0Ab");
    }
}
