//! The values that a script's `$(name)` may stand for.

use std::collections::BTreeMap;
use std::fmt;

/// Variables of scripts. Names differ by more than case, as in sqlcmd. Values may be secrets (a login's password), so that
/// the `Debug` form shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ScriptVariables {
    /// By name in lower case.
    values: BTreeMap<String, String>,
}

/// Why a variable is refused. The value is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Not a name.
    #[error("must have a name of letters, digits and _")]
    Name,
    /// Another variable has this name but for case.
    #[error(
        "has the name of another variable but for upper and lower case, which is the same to scripts"
    )]
    Twin,
    /// The value has more than one line, and could bring a GO with it.
    #[error("must not hold a line end")]
    LineEnd,
}

impl ScriptVariables {
    /// Adds a variable.
    ///
    /// # Errors
    ///
    /// [`VariableError`] says what is wrong with it.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), VariableError> {
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(VariableError::Name);
        }
        if value.contains(['\r', '\n']) {
            return Err(VariableError::LineEnd);
        }
        let name = name.to_ascii_lowercase();
        if self.values.contains_key(&name) {
            return Err(VariableError::Twin);
        }
        self.values.insert(name, value.to_owned());
        Ok(())
    }

    /// The text with every value put back to its `$(name)`: a server repeats parts of what it was sent. Values of fewer than
    /// four characters stay, since they are no secrets and stand in many words.
    pub fn conceal(&self, text: &str) -> String {
        const SHORTEST: usize = 4;
        let mut concealed = text.to_owned();
        // A value may be a part of another: the longest first.
        let mut values: Vec<(&String, &String)> = self.values.iter().collect();
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        for (name, value) in values {
            if value.chars().count() >= SHORTEST && concealed.contains(value.as_str()) {
                concealed = concealed.replace(value.as_str(), &format!("$({name})"));
            }
        }
        concealed
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a variable, in whatever case it is named.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(&name.to_ascii_lowercase())
            .map(String::as_str)
    }
}

impl fmt::Debug for ScriptVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_in_whatever_case() {
        let mut variables = ScriptVariables::default();
        variables.add("Schema_Name2", " dbo ").unwrap();
        assert_eq!(variables.get("SCHEMA_NAME2"), Some(" dbo "));
        assert_eq!(variables.get("schema_name"), None);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        let mut variables = ScriptVariables::default();
        for name in ["", "a-b", "a b", "a)", "ä"] {
            assert_eq!(variables.add(name, "x"), Err(VariableError::Name), "{name}");
        }
        for value in ["a\nGO", "a\r", "\n"] {
            assert_eq!(variables.add("a", value), Err(VariableError::LineEnd));
        }
        variables.add("a", "x").unwrap();
        assert_eq!(variables.add("A", "y"), Err(VariableError::Twin));
        assert_eq!(variables.get("a"), Some("x"));
    }

    #[test]
    fn what_a_server_repeats_of_a_value_is_put_back_to_its_name() {
        let mut variables = ScriptVariables::default();
        variables.add("password", "hush hush").unwrap();
        variables.add("word", "hush").unwrap();
        variables.add("flag", "on").unwrap();
        assert_eq!(
            variables.conceal("near 'hush hush' on line 3: hush"),
            "near '$(password)' on line 3: $(word)"
        );
    }

    #[test]
    fn values_are_not_shown() {
        let mut variables = ScriptVariables::default();
        variables.add("app_password", "hush").unwrap();
        assert_eq!(format!("{variables:?}"), r#"{"app_password"}"#);
    }
}
