//! The rules that look at what scripts do, each in a file of its own, and the table of all rules.

mod delete_without_where;
mod drop_column;
mod drop_table;
mod go_semicolon;
mod index_without_online;
pub(super) mod missing_down_script;
mod missing_if_exists;
pub(super) mod name_form;
pub(super) mod narrowed_type;
mod no_transaction;
mod not_null_without_default;
mod not_understood;
mod one_part_name;
#[cfg(test)]
mod testing;
mod transaction_control;
mod truncate_table;
mod update_without_where;
mod use_database;
pub(super) mod variables_off;

pub use missing_down_script::missing_down_script;

use super::reading::Reading;
use super::{allow, encoding, folder, operations, script};
use crate::script::batch::{Batch, Split};
use crate::script::directive::Directives;
use crate::script::finding::Finding;
use crate::script::rule::{Rule, Scope};
use crate::script::syntax::Syntax;

/// All rules, in the order of their codes. `docs/rules.md` is held against it.
pub const RULES: [&Rule; 36] = [
    &allow::BAD_ALLOW,
    &script::BAD_GO,
    &operations::DATA_LOSS,
    &delete_without_where::RULE,
    &folder::DOWN_SCRIPT_NAME,
    &drop_column::RULE,
    &drop_table::RULE,
    &folder::DUPLICATE_VERSION,
    &script::EMPTY,
    &encoding::ENCODING,
    &folder::FILE_NAME,
    &go_semicolon::RULE,
    &index_without_online::RULE,
    &operations::INVALID_JSON,
    &operations::INVALID_OPERATION,
    &script::MISPLACED_DIRECTIVE,
    &missing_down_script::RULE,
    &missing_if_exists::RULE,
    &name_form::RULE,
    &narrowed_type::RULE,
    &no_transaction::RULE,
    &not_null_without_default::RULE,
    &not_understood::RULE,
    &one_part_name::RULE,
    &folder::ORPHAN_DOWN_SCRIPT,
    &folder::RESERVED_VERSION,
    &transaction_control::RULE,
    &truncate_table::RULE,
    &script::UNKNOWN_DIRECTIVE,
    &script::UNTERMINATED_COMMENT,
    &script::UNTERMINATED_IDENTIFIER,
    &script::UNTERMINATED_STRING,
    &allow::UNUSED_ALLOW,
    &update_without_where::RULE,
    &use_database::RULE,
    &variables_off::RULE,
];

/// What looks at each statement of a script.
const CHECKS: [fn(&Reading<'_>) -> Vec<Finding>; 12] = [
    delete_without_where::check,
    drop_column::check,
    drop_table::check,
    index_without_online::check,
    missing_if_exists::check,
    narrowed_type::check,
    not_null_without_default::check,
    not_understood::check,
    one_part_name::check,
    truncate_table::check,
    update_without_where::check,
    use_database::check,
];

/// What the rules find in a script that could be split.
pub(super) fn check(
    text: &str,
    syntax: Syntax,
    split: &Split<'_>,
    directives: Option<&Directives>,
    reading: &Reading<'_>,
) -> Vec<Finding> {
    let mut findings: Vec<_> = go_semicolon::check(split).collect();
    let transaction = directives.and_then(|directives| directives.transaction);
    if transaction != Some(false) {
        findings.extend(transactions(&split.batches, syntax, transaction));
    }
    if directives.is_some_and(|directives| directives.variables.is_none()) {
        findings.extend(variables_off::check(text, syntax));
    }
    findings.extend(CHECKS.iter().flat_map(|check| check(reading)));
    findings
}

/// The first statement that cannot run in a transaction, and the first that ends the one in which the script runs.
fn transactions(
    batches: &[Batch<'_>],
    syntax: Syntax,
    directive: Option<bool>,
) -> impl Iterator<Item = Finding> {
    let without = no_transaction::first(batches, syntax);
    let runs_in_one = directive.unwrap_or(without.is_none());
    let end = runs_in_one
        .then(|| transaction_control::check(batches, syntax))
        .flatten();
    let without = without.map(|first| no_transaction::finding(first, directive));
    without.into_iter().chain(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        assert!(RULES.is_sorted_by(|one, other| one.code < other.code));
    }

    #[test]
    fn reasons_and_remedies_are_sentences_and_titles_are_not() {
        for rule in RULES {
            let is_one_sentence = |text: &str| text.ends_with('.') && !text.contains(". ");
            assert!(
                is_one_sentence(rule.reason) && is_one_sentence(rule.remedy),
                "{}",
                rule.code
            );
            assert!(!rule.title.ends_with('.'), "{}", rule.code);
        }
    }
}
