//! Checks the JSON of a Cosmos script.

use super::rules::variables_off;
use super::script::EMPTY;
use super::{EMPTY_SCRIPT, Rule, Scope};
use crate::script::finding::{Finding, Severity};
use crate::script::operations::{self, Operation, OperationScript};

/// See `docs/rules.md`.
pub(super) const INVALID_JSON: Rule = Rule {
    code: "invalid-json",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A Cosmos script is no JSON",
    reason: "What it does cannot be read.",
    remedy: "Correct the text at the place that is told.",
};

/// See `docs/rules.md`.
pub(super) const INVALID_OPERATION: Rule = Rule {
    code: "invalid-operation",
    severity: Severity::Error,
    scope: Scope::Place,
    title: "A Cosmos script holds an operation that dbvc does not know",
    reason: "A field that is missing, wrong or unknown would silently change what happens.",
    remedy: "Correct the field; docs/cosmos-scripts.md lists all of them.",
};

/// See `docs/rules.md`.
pub(super) const DATA_LOSS: Rule = Rule {
    code: "data-loss",
    severity: Severity::Note,
    scope: Scope::Place,
    title: "A container is removed with its items",
    reason: "The items are gone, and a rollback does not bring them back.",
    remedy: "Copy what is still needed first.",
};

/// Checks a Cosmos script. The findings are in the order of their places.
#[must_use]
pub fn check_operations(text: &str) -> Vec<Finding> {
    if text.trim().is_empty() {
        return vec![EMPTY.of_file(EMPTY_SCRIPT)];
    }
    let script = match operations::parse(text) {
        Ok(script) => script,
        Err(faults) => {
            return faults
                .into_iter()
                .map(|fault| {
                    let rule = if fault.is_malformed {
                        INVALID_JSON
                    } else {
                        INVALID_OPERATION
                    };
                    rule.finding(&fault, (fault.line, fault.column))
                })
                .collect();
        }
    };
    let mut findings = data_losses(&script);
    findings.extend(variables_off::check_json(text, &script));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

fn data_losses(script: &OperationScript<'_>) -> Vec<Finding> {
    let losses = script.operations.iter().filter_map(|placed| {
        let Operation::DeleteContainer {
            container,
            allow_data_loss: true,
        } = &placed.operation
        else {
            return None;
        };
        let message =
            format!("the container {container} is removed with all items that it then holds");
        Some(DATA_LOSS.finding(message, (placed.line, 1)))
    });
    losses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, u32, u32)> {
        check_operations(text)
            .iter()
            .map(|finding| (finding.code, finding.line, finding.column))
            .collect()
    }

    #[test]
    fn a_script_without_faults_has_no_findings() {
        let text = r#"{"operations": [{"operation": "deleteContainer", "container": "users"}]}"#;
        assert_eq!(found(text), []);
    }

    #[test]
    fn what_is_no_json_is_an_error_where_it_ends_to_be_json() {
        assert_eq!(found("[\n  1,\n]"), [("invalid-json", 3, 1)]);
        assert_eq!(found(" \n"), [("empty-script", 1, 1)]);
    }

    #[test]
    fn what_is_no_operation_is_an_error_where_it_stands() {
        let text = "{\"operations\": [\n  {\"operation\": \"create\", \"container\": \"users\"}]}";
        assert_eq!(found(text), [("invalid-operation", 2, 17)]);
        assert_eq!(check_operations(text)[0].severity, Severity::Error);
    }

    #[test]
    fn losing_data_and_variables_that_are_off_are_told() {
        let text = "{\"operations\": [\n {\"operation\": \"deleteContainer\", \"container\": \"a\", \"allowDataLoss\": true},\n \
                    {\"operation\": \"upsertItem\", \"container\": \"a\", \"item\": {\"id\": \"$(who)\"}}\n]}";
        assert_eq!(found(text), [("data-loss", 2, 1), ("variables-off", 3, 1)]);
        for said in ["true", "false"] {
            let text = text.replacen('{', &format!("{{\"variables\": {said}, "), 1);
            assert_eq!(found(&text), [("data-loss", 2, 1)]);
        }
    }

    #[test]
    fn depth_does_no_harm() {
        let _ = check_operations(&"[".repeat(1_000_000));
    }
}
