//! What a check of a script finds.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Something in a script or in its name that somebody should know or change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was found, as a stable word such as `bad-go`.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
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
    /// An error at a place of a file.
    #[must_use]
    pub fn error(code: &'static str, message: impl fmt::Display, place: (u32, u32)) -> Self {
        Self::new(code, Severity::Error, message, place)
    }

    /// A warning at a place of a file.
    #[must_use]
    pub fn warning(code: &'static str, message: impl fmt::Display, place: (u32, u32)) -> Self {
        Self::new(code, Severity::Warning, message, place)
    }

    /// A note at a place of a file.
    #[must_use]
    pub fn note(code: &'static str, message: impl fmt::Display, place: (u32, u32)) -> Self {
        Self::new(code, Severity::Note, message, place)
    }

    fn new(
        code: &'static str,
        severity: Severity,
        message: impl fmt::Display,
        (line, column): (u32, u32),
    ) -> Self {
        Self {
            code,
            severity,
            message: message.to_string(),
            line,
            column,
            suggestion: None,
        }
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
        let finding = Finding::warning("go-semicolon", "a message", (2, 3)).with_suggestion("GO");
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
