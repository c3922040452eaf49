//! GET openapi.json: the description of every function by OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html).

mod document;
mod examples;
pub mod kinds;
pub mod operation;
mod parts;

use std::sync::{Arc, LazyLock};

use super::answer::{Answer, ok};
use super::problem::Problem;
use super::request::Call;
use super::{App, HttpFunction, JSON_ONLY};
use operation::{Operation, success};
use parts::Document;
use schemars::{Schema, SchemaGenerator, json_schema};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-openapi",
    route: "dbvc/openapi.json",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        path: "dbvc/openapi.json",
        id: "getOpenApi",
        summary: "This description",
        description: "Every operation with its parameters, bodies, answers and problems.",
        answers: &[success(200, "The document.", any_object)],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "required": ["openapi", "info", "paths"] })
}

async fn handle(_: Arc<App>, call: Call) -> Result<Answer, Problem> {
    call.no_query()?;
    ok(&*DOCUMENT)
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(document::build);

/// The document that `GET openapi.json` answers.
pub fn document() -> &'static Document {
    &DOCUMENT
}
