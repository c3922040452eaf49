//! Examples: requests and answers as a real dbvc took and gave them. `tests/openapi.rs` makes the file and holds it true.

use serde_json::Value;

use super::operation::Operation;

/// Examples by operation.
pub struct Examples(Value);

impl Examples {
    /// Reads the file.
    pub fn read() -> Self {
        // That it is JSON a test knows; were it not, the document would only be shorter.
        Self(serde_json::from_str(include_str!("examples.json")).unwrap_or_default())
    }

    /// The body of a request.
    pub fn request(&self, operation: &Operation) -> Option<Value> {
        self.of(operation, "request")
    }

    /// The body of an answer.
    pub fn answer(&self, operation: &Operation, status: &str, media_type: &str) -> Option<Value> {
        self.of(operation, &format!("{status} {media_type}"))
    }

    /// A parameter.
    pub fn parameter(&self, operation: &Operation, name: &str) -> Option<Value> {
        self.of(operation, &format!("parameter {name}"))
    }

    fn of(&self, operation: &Operation, key: &str) -> Option<Value> {
        self.0.get(operation.id)?.get(key).cloned()
    }
}
