//! The description of dbvc (OpenAPI) as what every answer in a test is held against.
//!
//! It is taken more strictly than callers may take it: an answer's fields that the description does not have are a
//! defect here, since nobody could know of them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::host::Answer;

/// Below it is everything that is described.
const PREFIX: &str = "/api/dbvc";
/// Query parameters that are never refused.
const KEYS_OF_THE_HOST: [&str; 2] = ["code", "clientid"];

/// A request as it was sent.
pub struct Sent {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: Bytes,
}

/// Panics unless the answer is one that the description has for the request.
pub fn expect_described(sent: &Sent, answer: &Answer) {
    if let Err(difference) = DESCRIPTION.check(sent, answer) {
        panic!(
            "the description of {} {} does not have this answer: {difference}\n{} {}",
            sent.method,
            sent.target,
            answer.status,
            answer.text()
        );
    }
}

/// Panics with every difference unless the value is what the schema at this place of the document allows.
#[track_caller]
pub fn expect_valid(pointer: &str, value: &Value) {
    if let Err(difference) = DESCRIPTION.validate(pointer, value) {
        panic!("{pointer}: {difference}\n{value:#}");
    }
}

/// The document, as `GET openapi.json` answers it.
pub fn document() -> &'static Value {
    &DESCRIPTION.document
}

static DESCRIPTION: LazyLock<Description> = LazyLock::new(|| {
    let document =
        serde_json::to_value(dbvc::functions::document()).expect("the document becomes JSON");
    let mut strict = document.clone();
    for schema in strict["components"]["schemas"]
        .as_object_mut()
        .expect("there are schemas")
        .values_mut()
    {
        close(schema);
    }
    Description {
        document,
        strict,
        validators: Mutex::default(),
    }
});

struct Description {
    document: Value,
    /// With the schemas closed against unknown fields.
    strict: Value,
    /// By the place of their schema in the document; compiling one takes longer than a request.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Forbids fields that an object does not list. Not within `allOf` and its kin, whose parts know only their own fields.
fn close(schema: &mut Value) {
    let Value::Object(object) = schema else {
        return;
    };
    let has_fields = ["properties", "allOf", "anyOf", "oneOf"]
        .iter()
        .any(|keyword| object.contains_key(*keyword));
    let is_object = object.get("type").is_some_and(|kind| {
        kind == "object"
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.contains(&json!("object")))
    });
    if has_fields && is_object && !object.contains_key("additionalProperties") {
        object.insert("unevaluatedProperties".to_owned(), false.into());
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        properties.values_mut().for_each(close);
    }
    if let Some(items) = object.get_mut("items") {
        close(items);
    }
}

impl Description {
    fn check(&self, sent: &Sent, answer: &Answer) -> Result<(), String> {
        let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        if !path.to_ascii_lowercase().starts_with(PREFIX) {
            return Ok(());
        }
        if !answer.headers.contains_key("x-request-id") {
            return Err("it has no x-request-id".to_owned());
        }
        let Some(template) = self.template_of(path) else {
            return self.check_problem(answer, 404, "not-found");
        };
        // Methods differ by case, and the description writes them in lower case.
        let method = sent.method.to_ascii_lowercase();
        let is_a_method = sent.method == method.to_ascii_uppercase();
        let operation = self.document["paths"][&template].get(&method);
        let Some(operation) = operation.filter(|_| is_a_method) else {
            if !answer.headers.contains_key("allow") {
                return Err("it has no Allow".to_owned());
            }
            // Its answer has no body (RFC 9110, 9.3.2).
            if sent.method == "HEAD" && answer.status == 405 {
                return Ok(());
            }
            return self.check_problem(answer, 405, "method-not-allowed");
        };
        let pointer = format!("/paths/{}/{method}", escaped(&template));
        self.check_answer(operation, &pointer, answer)?;
        if answer.status < 300 {
            self.check_request(operation, &pointer, query, &sent.body)?;
        }
        Ok(())
    }

    fn check_problem(&self, answer: &Answer, status: u16, code: &str) -> Result<(), String> {
        if answer.status != status || answer.body["code"] != code {
            return Err(format!("it should be {status} {code}"));
        }
        self.validate("/components/schemas/Problem", &answer.body)
    }

    fn check_answer(
        &self,
        operation: &Value,
        pointer: &str,
        answer: &Answer,
    ) -> Result<(), String> {
        let status = answer.status.to_string();
        let response = operation["responses"]
            .get(&status)
            .ok_or("its status is not described")?;
        let (response, place) = match response["$ref"].as_str() {
            Some(reference) => (self.referred(reference), reference[1..].to_owned()),
            None => (response, format!("{pointer}/responses/{status}")),
        };
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = header["$ref"]
                .as_str()
                .map_or(header, |reference| self.referred(reference));
            if header["required"] == true && !answer.headers.contains_key(name) {
                return Err(format!("it has no {name}"));
            }
        }
        let media = answer.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let essence = media.split(';').next().unwrap_or_default();
        if response["content"].get(essence).is_none() {
            return Err(format!("its type {media} is not described"));
        }
        let place = format!("{place}/content/{}/schema", escaped(essence));
        self.validate(&place, &answer.body)
    }

    /// What a reference within the document means.
    fn referred(&self, reference: &str) -> &Value {
        reference
            .strip_prefix('#')
            .and_then(|pointer| self.document.pointer(pointer))
            .unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    /// What was accepted must be described, or nobody would know of it.
    fn check_request(
        &self,
        operation: &Value,
        pointer: &str,
        query: &str,
        body: &Bytes,
    ) -> Result<(), String> {
        let parameters = operation["parameters"].as_array();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            let is_described = parameters
                .into_iter()
                .flatten()
                .any(|described| described["in"] == "query" && described["name"] == *name);
            let is_key = KEYS_OF_THE_HOST.contains(&name.to_ascii_lowercase().as_str());
            if !is_described && !is_key {
                return Err(format!(
                    "it heeds the query parameter {name}, which is not described"
                ));
            }
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if operation.get("requestBody").is_some() {
            let place = format!("{pointer}/requestBody/content/application~1json/schema");
            return self.validate(&place, &body);
        }
        if body.as_object().is_some_and(|fields| !fields.is_empty()) {
            return Err("it heeds a body, which is not described".to_owned());
        }
        Ok(())
    }

    /// The described path that a path means: a literal one before one with a parameter.
    fn template_of(&self, path: &str) -> Option<String> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Option<Vec<String>> = path
            .split('/')
            .map(|segment| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned()))
            .collect();
        let segments = segments?;
        let matches = |template: &&String| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| {
                    (part.starts_with('{') && !segment.is_empty())
                        || part.eq_ignore_ascii_case(segment)
                })
        };
        let templates = self.document["paths"].as_object()?.keys();
        templates
            .filter(matches)
            .min_by_key(|template| template.matches('{').count())
            .cloned()
    }

    fn validate(&self, pointer: &str, value: &Value) -> Result<(), String> {
        let errors: Vec<String> = self
            .validator(pointer)
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.join("\n"))
        }
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        // A test that panicked here left a map that is as good as before.
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(validator) = validators.get(pointer) {
            return Arc::clone(validator);
        }
        let mut schema: Map<String, Value> = self
            .strict
            .pointer(pointer)
            .and_then(Value::as_object)
            .unwrap_or_else(|| panic!("the description has nothing at {pointer}"))
            .clone();
        schema.insert("components".to_owned(), self.strict["components"].clone());
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema.into())
            .unwrap_or_else(|error| panic!("{pointer} is no schema: {error}"));
        let validator = Arc::new(validator);
        validators.insert(pointer.to_owned(), Arc::clone(&validator));
        validator
    }
}

/// A name within a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
