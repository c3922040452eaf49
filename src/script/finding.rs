//! What a check of a script finds.

use std::fmt;

use serde::Serialize;

/// Something in a script or in its name that somebody should know or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was found, as a stable word such as `bad-go`: that of its rule.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, on what, and what to do.
    pub message: String,
    /// The line of the file, from 1; 1 for what concerns the whole file.
    pub line: u32,
    /// The column in characters, from 1; 1 for what concerns the whole file.
    pub column: u32,
    /// A text to write instead, or the name of a file, where there is just one.
    pub suggestion: Option<String>,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// To be changed, but the script can run.
    Warning,
    /// The script cannot run, or not as it was meant.
    Error,
}

impl Finding {
    /// The finding as a milder one than its rule's usual.
    #[must_use]
    pub(super) fn with_severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    /// The finding with a text to write instead.
    #[must_use]
    pub fn with_suggestion(self, suggestion: impl fmt::Display) -> Self {
        Self {
            suggestion: Some(suggestion.to_string()),
            ..self
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_what_where_and_what_to_write_instead() {
        let finding = Finding {
            code: "go-semicolon",
            severity: Severity::Warning,
            message: "a message".to_owned(),
            line: 2,
            column: 3,
            suggestion: None,
        };
        let finding = finding.with_suggestion("GO");
        assert_eq!(
            serde_json::to_string(&finding).unwrap(),
            r#"{"code":"go-semicolon","severity":"warning","message":"a message","line":2,"column":3,"suggestion":"GO"}"#
        );
    }

    #[test]
    fn an_error_is_worse_than_a_warning_and_that_than_a_note() {
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Note);
    }
}
