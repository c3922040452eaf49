//! `name-form`: names that do not say what a migration does, to what, and which detail of it.

use super::{Rule, Scope};
use crate::script::file_name::{FileName, Prefix};
use crate::script::finding::{Finding, Severity};

/// See `docs/rules.md`.
pub const RULE: Rule = Rule {
    code: "name-form",
    severity: Severity::Note,
    scope: Scope::File,
    title: "A name is not of the form action_entity_detail",
    reason: "In a list of a hundred migrations the name is what tells people which one did what.",
    remedy: "Name the migration by what it does, to what, and which detail, such as add_user_preferences.",
};

/// The fewest words of a name: what is done, to what, and which detail.
const WORDS: usize = 3;

/// Only new names of versioned migrations: a down script has the name of its up script, and a repeatable one is called by
/// the object that it defines.
pub(in crate::script::lint) fn check(name: &FileName) -> Option<Finding> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let written = name.name.as_str();
    let is_of_form = written.split('_').count() >= WORDS && written.split('_').all(is_word);
    if is_of_form || name.prefix != Prefix::Up {
        return None;
    }
    let message = format!(
        "'{written}' does not say what is done, to what and which detail: name it in three or more lower case words with '_' \
         between them, such as add_user_preferences"
    );
    Some(RULE.of_file(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_noted(name: &str) -> bool {
        check(&FileName::parse(name).unwrap()).is_some()
    }

    #[test]
    fn a_name_has_three_words_or_more() {
        for name in [
            "V1__a.sql",
            "V1__add_users.sqlite.sql",
            "V1__Add user preferences.sql",
            "V1__add__users_b.sql",
            "V1__add_Users_b.sql",
        ] {
            assert!(is_noted(name), "{name}");
        }
        for name in [
            "V1__add_user_preferences.sql",
            "V1__alter_applications_add_status.cosmos.json",
            "V100__version_control_schema.sql",
            "U1__a.sql",
            "R__views.sql",
        ] {
            assert!(!is_noted(name), "{name}");
        }
    }
}
