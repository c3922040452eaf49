//! `missing-down-script`: migrations that cannot be rolled back.

use super::{Rule, Scope};
use crate::script::finding::{Finding, Severity};

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "missing-down-script",
    severity: Severity::Warning,
    scope: Scope::File,
    title: "A migration has no down script",
    reason: "Without a down script the migration cannot be rolled back.",
    remedy: "Add the down script, beside the up script and with U instead of V.",
};

/// The finding for the file of an up script that has none beside it.
pub(in crate::script::lint) fn of_file(up: &str) -> Finding {
    let down = up.replacen('V', "U", 1);
    let message =
        format!("the migration cannot be rolled back, since it has no down script: add {down}");
    RULE.of_file(message).with_suggestion(down)
}

/// The finding for a migration that is registered without one.
#[must_use]
pub fn missing_down_script() -> Finding {
    RULE.of_file("there is no down script, so that this migration cannot be rolled back")
        .with_suggestion("send downScript")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_to_add_is_told() {
        let finding = of_file("V1__a_V2.sqlite.sql");
        assert_eq!(finding.suggestion.as_deref(), Some("U1__a_V2.sqlite.sql"));
        assert!(finding.message.ends_with("add U1__a_V2.sqlite.sql"));
    }
}
