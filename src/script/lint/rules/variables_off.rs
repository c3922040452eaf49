//! `variables-off`: what looks like a variable and is none.

use super::{Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::operations::OperationScript;
use crate::script::syntax::Syntax;
use crate::script::variables::{json_references, references};

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "variables-off",
    severity: Severity::Warning,
    scope: Scope::Script,
    title: "$(name) stands in a script that says nothing about variables",
    reason: "Variables are off unless the script switches them on, so that $(name) is sent as it stands.",
    remedy: "Say variables=on if it stands for a value, or variables=off if it is meant as it is.",
};

/// The first reference to a variable, when none has a value. In a string it may well be meant as it stands; elsewhere no
/// engine takes it.
pub(super) fn check(text: &str, syntax: Syntax) -> Option<Finding> {
    let mut first = None;
    for reference in references(text, syntax) {
        if !reference.is_quoted {
            first = Some(reference);
            break;
        }
        first = first.or(Some(reference));
    }
    let reference = first?;
    let message = format!(
        "$({}) is sent as it stands, since variables are off: say variables=on if it stands for a value, or variables=off",
        reference.name
    );
    let place = (reference.line(), reference.mark.column_in(text));
    let finding = RULE
        .finding(message, place)
        .with_suggestion("-- dbvc: variables=on");
    Some(if reference.is_quoted {
        finding.with_severity(Severity::Note)
    } else {
        finding
    })
}

/// The same for a Cosmos script.
pub(in crate::script::lint) fn check_json(
    text: &str,
    script: &OperationScript<'_>,
) -> Option<Finding> {
    if script.variables.is_some() {
        return None;
    }
    let (name, line) = json_references(text).next()?;
    let message = format!(
        "$({name}) is sent as it stands: add \"variables\": true to the script to put in its value, or false to say that it is \
         meant so"
    );
    Some(RULE.finding(message, (line, 1)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{T_SQL, severities};
    use super::*;

    #[test]
    fn a_variable_is_told_of_when_the_script_says_nothing_about_variables() {
        let script = "-- $(a)\nSELECT 'é $(b)';\n  PRINT $(c)";
        assert_eq!(
            severities(&RULE, script, T_SQL),
            [(Severity::Warning, 3, 9)]
        );
        let quoted = "SELECT 'é $(b)', '$(c)'";
        assert_eq!(severities(&RULE, quoted, T_SQL), [(Severity::Note, 1, 11)]);
        for told in ["-- dbvc: variables=on\n", "-- dbvc: variables=off\n"] {
            assert_eq!(severities(&RULE, &format!("{told}{script}"), T_SQL), []);
        }
        let none = "SELECT '$(1)', '$()', 'a$ (b)' -- $(c)";
        assert_eq!(severities(&RULE, none, T_SQL), []);
    }
}
