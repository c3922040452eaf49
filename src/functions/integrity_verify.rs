//! POST integrity/verify: checks the records of a database, and mends what can be mended without guessing.

use std::sync::Arc;

use schemars::json_schema;
use serde_json::Value;

use crate::engine::{Caller, Resolution, Verification, VerifyRequest};
use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    Field, OF_A_DATABASE, OF_WRITING, Operation, of, optional, required, success,
};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{environment, flag, parsed, person, token};
use super::{App, HttpFunction, JSON_ONLY};

const BODY: &[Field] = &[
    required("databaseId", "The database.", of::<DatabaseId>),
    required(
        "environment",
        "The environment of this app.",
        kinds::environment,
    ),
    required("executor", "Who asks.", kinds::person),
    optional("fix", "Whether to mend what can be mended.", kinds::flag),
    optional(
        "resolve",
        "A person's word on a half-applied script.",
        |generator| kinds::object(generator, RESOLVE),
    ),
];

const RESOLVE: &[Field] = &[
    required("executionId", "The execution.", kinds::token),
    required(
        "as",
        "What became of it.",
        |_| json_schema!({ "enum": ["applied", "failed"] }),
    ),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-integrity-verify",
    route: "dbvc/integrity/verify",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Post,
        path: "dbvc/integrity/verify",
        id: "verifyIntegrity",
        summary: "Check the records of a database",
        description: "Mends on request what can be mended without guessing; never a checksum and never a schema.",
        body: BODY,
        answers: &[success(200, "What each check found.", of::<Verification>)],
        problems: &[OF_A_DATABASE, OF_WRITING],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (caller, request) = read(&call)?;
    ok(&app.engine.verify(&caller, request).await?)
}

fn read(call: &Call) -> Result<(Caller, VerifyRequest), Problem> {
    let mut body = call.body()?;
    let database_id = body.required("databaseId", parsed::<DatabaseId>);
    let environment = body.required("environment", environment);
    let executor = body.required("executor", person);
    let fix = body.optional("fix", flag).unwrap_or(false);
    let resolve = body.nested("resolve", |resolve| {
        let execution_id = resolve.required("executionId", token);
        let applied = resolve.required("as", applied_or_failed);
        Some(Resolution {
            execution_id: execution_id?,
            applied: applied?,
        })
    });
    let (Some(database_id), Some(environment), Some(executor)) =
        (database_id, environment, executor)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    Ok((
        call.caller(executor),
        VerifyRequest {
            database_id,
            environment,
            fix,
            resolve,
        },
    ))
}

fn applied_or_failed(value: Value) -> Result<bool, String> {
    match value.as_str() {
        Some("applied") => Ok(true),
        Some("failed") => Ok(false),
        _ => Err("must be applied or failed".to_owned()),
    }
}
