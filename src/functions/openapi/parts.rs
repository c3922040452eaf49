//! The parts of a document, under the names of OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.1.html.

use std::collections::BTreeMap;

use schemars::Schema;
use serde::Serialize;
use serde_json::{Map, Value};

/// The document.
#[derive(Debug, Serialize)]
pub struct Document {
    pub openapi: &'static str,
    pub info: Value,
    pub servers: Value,
    pub security: Value,
    pub paths: BTreeMap<String, BTreeMap<String, OperationObject>>,
    pub components: Components,
}

/// What several operations refer to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Components {
    pub security_schemes: Value,
    pub headers: BTreeMap<&'static str, HeaderObject>,
    pub responses: BTreeMap<String, Response>,
    pub schemas: Map<String, Value>,
}

/// One method of a path.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationObject {
    pub operation_id: &'static str,
    pub summary: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub description: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_body: Option<RequestBody>,
    pub responses: BTreeMap<String, OrReference<Response>>,
    /// An empty list is for those that need no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Vec<Value>>,
}

/// A part, or where it is among the components.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum OrReference<T> {
    Reference {
        #[serde(rename = "$ref")]
        place: String,
    },
    Itself(T),
}

/// A parameter of a path, a query or the headers.
#[derive(Debug, Serialize)]
pub struct Parameter {
    pub name: &'static str,
    #[serde(rename = "in")]
    pub place: &'static str,
    pub description: &'static str,
    pub required: bool,
    pub schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}

/// A body.
#[derive(Debug, Serialize)]
pub struct RequestBody {
    pub required: bool,
    pub content: BTreeMap<&'static str, Content>,
}

/// An answer.
#[derive(Debug, Serialize)]
pub struct Response {
    pub description: String,
    pub headers: BTreeMap<&'static str, OrReference<HeaderObject>>,
    pub content: BTreeMap<&'static str, Content>,
}

impl Response {
    /// This one or the other, told apart by their types. Only the headers of both are sure to be there.
    pub fn or(mut self, other: Self) -> Self {
        self.description = format!("{} {}", self.description, other.description);
        self.headers
            .retain(|name, _| other.headers.contains_key(name));
        self.content.extend(other.content);
        self
    }
}

/// A header of an answer.
#[derive(Debug, Serialize)]
pub struct HeaderObject {
    pub description: &'static str,
    pub required: bool,
    pub schema: Schema,
}

/// A body in one type.
#[derive(Debug, Serialize)]
pub struct Content {
    pub schema: Schema,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
}
