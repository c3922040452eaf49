//! What a finding is an instance of.

use std::fmt;

use super::finding::{Finding, Severity};

/// A rule of the script check. `docs/rules.md` has a section for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A stable word such as `bad-go`. It is also the heading of the rule's section in `docs/rules.md`.
    pub code: &'static str,
    /// How bad what it finds is; where a finding may be milder, the section says when.
    pub severity: Severity,
    /// What its findings are about.
    pub scope: Scope,
    /// What is found, in a few words.
    pub title: &'static str,
    /// Why that matters, in one sentence.
    pub reason: &'static str,
    /// What to do, in one sentence.
    pub remedy: &'static str,
}

/// What the findings of a [`Rule`] are about. It decides where a comment may stand that allows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The file: its name, its neighbours, or all of its text.
    File,
    /// The script, which is told once, at the first place.
    Script,
    /// A place of the script; each is told.
    Place,
}

impl Rule {
    /// A finding at a line and column of a file.
    #[must_use]
    pub fn finding(&self, message: impl fmt::Display, (line, column): (u32, u32)) -> Finding {
        Finding {
            code: self.code,
            severity: self.severity,
            message: message.to_string(),
            line,
            column,
            suggestion: None,
        }
    }

    /// Where the rule is described.
    #[must_use]
    pub fn section(&self) -> String {
        format!("docs/rules.md#{}", self.code)
    }

    /// A finding about the whole file.
    #[must_use]
    pub fn of_file(&self, message: impl fmt::Display) -> Finding {
        self.finding(message, (1, 1))
    }
}
