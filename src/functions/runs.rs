//! GET runs: the latest runs, or one with its live progress.

use std::sync::Arc;

use serde_json::json;

use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::problem::{Problem, unknown_run};
use super::request::{Call, Method};
use super::values::{limit, limit_in_query, parsed};
use super::{App, HttpFunction, JSON_ONLY};

/// Longer than any id that dbvc gives a run, in bytes.
const MAX_ID: usize = 100;

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-runs",
    methods: &[Method::Get],
    route: "dbvc/runs/{runId?}",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    if !call.param("runId").is_empty() {
        call.no_query()?;
        return ok(&app.engine.run_by_id(run_id(&call)?).await?);
    }
    let mut query = call.query();
    let database = query.optional("databaseId", parsed::<DatabaseId>);
    let limit = limit(query.optional("limit", limit_in_query));
    query.finish()?;
    ok(&json!({ "runs": app.engine.runs(database.as_ref(), limit).await? }))
}

/// The id of a run in the path, when it can be one.
pub(super) fn run_id(call: &Call) -> Result<&str, Problem> {
    let id = call.param("runId");
    let is_plausible = id.len() <= MAX_ID && !id.chars().any(char::is_control);
    if is_plausible {
        Ok(id)
    } else {
        Err(unknown_run())
    }
}
