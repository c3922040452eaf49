//! A reader of the fields of a request that collects everything wrong before it refuses.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::engine::FieldError;

use super::problem::{Problem, wrong_fields};

/// More wrong fields than this are counted, not listed: the answer to a hostile body stays small.
const MAX_LISTED: usize = 1000;
/// As much of the name of an unknown field is repeated, in characters.
const MAX_NAME: usize = 100;

/// Fields of a JSON object or of a query. Each is taken once; what nobody took is unknown.
#[derive(Debug)]
pub struct Fields {
    /// What stands before the names, such as `resolve.`.
    prefix: String,
    values: BTreeMap<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Fields with what was already found wrong in them.
    pub fn new(values: BTreeMap<String, Value>, errors: Vec<FieldError>) -> Self {
        Self {
            prefix: String::new(),
            values,
            errors,
        }
    }

    /// Whether the request has the field, with a value other than null.
    pub fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// Notes that a field is wrong.
    pub fn wrong(&mut self, name: &str, message: impl Into<String>) {
        let field = format!("{}{name}", self.prefix);
        self.errors.push(FieldError::new(field, message));
    }

    /// Takes a field that may be missing; null counts as missing.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.values.remove(name).filter(|value| !value.is_null())?;
        read(value)
            .map_err(|message| self.wrong(name, message))
            .ok()
    }

    /// Takes a field that must be there. `None` means that the request is wrong.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(name) {
            self.values.remove(name);
            self.wrong(name, "is required");
            return None;
        }
        self.optional(name, read)
    }

    /// Takes an object that may be missing, and reads its fields.
    pub fn nested<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let value = self.values.remove(name).filter(|value| !value.is_null())?;
        self.object(name, value, read)
    }

    /// Takes a list of objects that may be missing, and reads the fields of each.
    pub fn list<T>(&mut self, name: &str, mut read: impl FnMut(&mut Self) -> Option<T>) -> Vec<T> {
        match self.values.remove(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .filter_map(|(index, item)| {
                    self.object(&format!("{name}[{index}]"), item, &mut read)
                })
                .collect(),
            Some(_) => {
                self.wrong(name, "must be a list of objects");
                Vec::new()
            }
        }
    }

    fn object<T>(
        &mut self,
        name: &str,
        value: Value,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Value::Object(object) = value else {
            self.wrong(name, "must be an object");
            return None;
        };
        let mut inner = Self {
            prefix: format!("{}{name}.", self.prefix),
            values: object.into_iter().collect(),
            errors: Vec::new(),
        };
        let read = read(&mut inner);
        self.errors.append(&mut inner.into_errors());
        read
    }

    /// Adds everything that is wrong in another part of the request, so that all of it is told at once.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        let own = std::mem::replace(&mut self.errors, other.into_errors());
        self.errors.extend(own);
        self
    }

    /// Ends the reading: unknown fields are wrong, too.
    pub fn finish(self) -> Result<(), Problem> {
        let errors = self.into_errors();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(listed(errors))
        }
    }

    /// Ends the reading of a request in which a required field is missing.
    pub fn refuse(self) -> Problem {
        listed(self.into_errors())
    }

    fn into_errors(self) -> Vec<FieldError> {
        let mut errors = self.errors;
        errors.extend(self.values.into_keys().map(|name| {
            let shown: String = name.chars().take(MAX_NAME).collect();
            FieldError::new(
                format!("{}{shown}", self.prefix),
                "is not known here; look for a typing error",
            )
        }));
        errors
    }
}

fn listed(mut errors: Vec<FieldError>) -> Problem {
    if errors.len() > MAX_LISTED {
        let more = errors.len() - MAX_LISTED;
        errors.truncate(MAX_LISTED);
        errors.push(FieldError::new("", format!("and {more} more")));
    }
    wrong_fields(errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(object) = value else {
            panic!("no object: {value}")
        };
        Fields::new(object.into_iter().collect(), Vec::new())
    }

    fn number(value: Value) -> Result<u64, String> {
        value.as_u64().ok_or_else(|| "must be a number".to_owned())
    }

    /// The fields named by a refusal.
    fn named(problem: Problem) -> Vec<String> {
        let body: Value = serde_json::from_str(problem.into_answer("/").body()).unwrap();
        let errors = body["errors"].as_array().unwrap().iter();
        errors
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn missing_wrong_and_unknown_fields_are_told_together() {
        let mut fields = fields(json!({"a": 1, "b": "x", "d": null, "typo": 1}));
        assert_eq!(fields.required("a", number), Some(1));
        assert_eq!(fields.optional("b", number), None);
        assert_eq!(fields.required("c", number), None);
        assert_eq!(fields.required("d", number), None);
        assert_eq!(named(fields.refuse()), ["b", "c", "d", "typo"]);
    }

    #[test]
    fn null_counts_as_missing() {
        let mut fields = fields(json!({"a": null}));
        assert!(!fields.has("a"));
        assert_eq!(fields.optional("a", number), None);
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn fields_inside_objects_and_lists_are_named_by_their_place() {
        let mut fields =
            fields(json!({"one": {"x": 1}, "all": [{"n": 1}, {"n": "x"}, 3], "flat": 1, "no": {}}));
        let nested = fields.nested("one", |inner| inner.required("n", number));
        assert_eq!(nested, None);
        assert_eq!(fields.list("all", |inner| inner.required("n", number)), [1]);
        assert_eq!(fields.nested("flat", |_| Some(())), None);
        assert!(fields.list("no", |_| Some(())).is_empty());
        assert_eq!(
            named(fields.refuse()),
            ["one.n", "one.x", "all[1].n", "all[2]", "flat", "no"]
        );
    }

    #[test]
    fn what_is_wrong_in_the_query_is_told_together_with_the_body() {
        let mut query = fields(json!({"limit": "x", "typo": 1}));
        assert_eq!(query.optional("limit", number), None);
        let mut body = fields(json!({"other": 1})).beside(query);
        assert_eq!(body.required("a", number), None);
        assert_eq!(named(body.refuse()), ["limit", "typo", "a", "other"]);
    }

    #[test]
    fn a_hostile_number_of_unknown_fields_does_not_make_a_huge_answer() {
        let values = (0..5000)
            .map(|n| (format!("{n}{}", "x".repeat(1000)), Value::Null))
            .collect();
        let names = named(Fields::new(values, Vec::new()).refuse());
        assert_eq!(names.len(), MAX_LISTED + 1);
        assert!(names.iter().all(|name| name.len() <= MAX_NAME));
    }
}
