//! Checks that a file is a text.

use super::{Rule, Scope};
use crate::script::encoding::DecodeError;
use crate::script::finding::{Finding, Severity};

/// See `docs/rules.md`.
pub(super) const ENCODING: Rule = Rule {
    code: "encoding",
    severity: Severity::Error,
    scope: Scope::File,
    title: "A file is no text",
    reason: "Scripts are UTF-8, or UTF-16 with a byte order mark; a guess would send other characters than the author wrote.",
    remedy: "Save the file as UTF-8.",
};

/// A file that cannot be decoded.
///
/// Nothing is guessed: a wrong guess would send other characters than the author wrote.
#[must_use]
pub fn check_decoding(error: &DecodeError) -> Finding {
    ENCODING.finding(error.kind, (error.line, error.column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::encoding::decode;

    #[test]
    fn bytes_that_are_no_text_are_an_error_where_they_stand() {
        let finding = check_decoding(&decode(b"SELECT 1;\n\xff").unwrap_err());
        assert_eq!(
            (finding.code, finding.line, finding.column),
            ("encoding", 2, 1)
        );
        assert!(finding.message.contains("offset 10"), "{}", finding.message);
    }
}
