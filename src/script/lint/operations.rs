//! Checks the JSON of a Cosmos script.

use serde::de::IgnoredAny;

use super::{EMPTY_SCRIPT, WHOLE_FILE};
use crate::script::finding::Finding;

/// Checks a Cosmos script: `empty-script`, `invalid-json`. What its operations mean is for the engine to say.
#[must_use]
pub fn check_operations(text: &str) -> Vec<Finding> {
    if text.trim().is_empty() {
        return vec![Finding::error("empty-script", EMPTY_SCRIPT, WHOLE_FILE)];
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Vec::new(),
        Err(error) => {
            let place = |number: usize| u32::try_from(number.max(1)).unwrap_or(u32::MAX);
            let message = format!("the script is not JSON: {error}");
            let place = (place(error.line()), place(error.column()));
            vec![Finding::error("invalid-json", message, place)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_fine_whatever_it_says() {
        assert_eq!(check_operations(r#"[{"create": "users"}]"#), []);
    }

    #[test]
    fn what_is_no_json_is_an_error_where_it_ends_to_be_json() {
        let findings = check_operations("[\n  1,\n]");
        assert_eq!(findings.len(), 1);
        assert_eq!(
            (findings[0].code, findings[0].line, findings[0].column),
            ("invalid-json", 3, 1)
        );
        assert_eq!(check_operations(" \n")[0].code, "empty-script");
    }

    #[test]
    fn depth_does_no_harm() {
        let _ = check_operations(&"[".repeat(1_000_000));
    }
}
