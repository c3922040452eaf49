//! Checks the JSON of a Cosmos script.

use super::{EMPTY_SCRIPT, WHOLE_FILE};
use crate::script::finding::Finding;
use crate::script::operations::{self, Operation, OperationScript};
use crate::script::variables::json_references;

/// Checks a Cosmos script. The findings are in the order of their places.
///
/// | code | severity | when |
/// |---|---|---|
/// | `empty-script` | error | the file is empty |
/// | `invalid-json` | error | it is no JSON |
/// | `invalid-operation` | error | a field is missing, wrong or unknown |
/// | `data-loss` | note | a container is removed with all that it holds |
/// | `variables-off` | warning | `$(name)` is there, and the script says nothing about variables |
#[must_use]
pub fn check_operations(text: &str) -> Vec<Finding> {
    if text.trim().is_empty() {
        return vec![Finding::error("empty-script", EMPTY_SCRIPT, WHOLE_FILE)];
    }
    let script = match operations::parse(text) {
        Ok(script) => script,
        Err(faults) => {
            return faults
                .into_iter()
                .map(|fault| {
                    let code = if fault.is_malformed {
                        "invalid-json"
                    } else {
                        "invalid-operation"
                    };
                    Finding::error(code, &fault, (fault.line, fault.column))
                })
                .collect();
        }
    };
    let mut findings = data_losses(&script);
    findings.extend(variables_off(text, &script));
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
        Some(Finding::note("data-loss", message, (placed.line, 1)))
    });
    losses.collect()
}

fn variables_off(text: &str, script: &OperationScript<'_>) -> Option<Finding> {
    if script.variables.is_some() {
        return None;
    }
    let (name, line) = json_references(text).next()?;
    let message = format!(
        "$({name}) is sent as it stands: add \"variables\": true to the script to put in its value, or false to say that \
         it is meant so"
    );
    Some(Finding::warning("variables-off", message, (line, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::finding::Severity;

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
