//! GET runs: the latest runs, or one with its live progress.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::Run;
use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    LIMIT, OF_A_DATABASE, OF_THE_HOME_DATABASE, Operation, of, optional, success,
};
use super::problem::{Code, Problem, unknown_run};
use super::request::Call;
use super::values::{limit, limit_in_query, parsed};
use super::{App, HttpFunction, JSON_ONLY};

/// Longer than any id that dbvc gives a run, in bytes.
const MAX_ID: usize = 100;

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-runs",
    route: "dbvc/runs/{runId?}",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[
        Operation {
            path: "dbvc/runs",
            id: "listRuns",
            summary: "The latest runs",
            query: &[
                optional(
                    "databaseId",
                    "Only runs on this database.",
                    of::<DatabaseId>,
                ),
                optional("limit", LIMIT, kinds::limit),
            ],
            answers: &[success(200, "The runs, newest first.", of::<Runs>)],
            problems: &[OF_A_DATABASE],
            ..Operation::NOTHING
        },
        Operation {
            path: "dbvc/runs/{runId}",
            id: "getRun",
            summary: "One run with its live progress",
            answers: &[success(200, "The run.", of::<Run>)],
            problems: &[OF_THE_HOME_DATABASE, &[Code::UnknownRun]],
            ..Operation::NOTHING
        },
    ],
    handle: |app, call| Box::pin(handle(app, call)),
};

/// A list of runs.
#[derive(Serialize, JsonSchema)]
struct Runs {
    /// The runs, newest first.
    runs: Vec<Run>,
}

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    if !call.param("runId").is_empty() {
        call.no_query()?;
        return ok(&app.engine.run_by_id(run_id(&call)?).await?);
    }
    let mut query = call.query();
    let database = query.optional("databaseId", parsed::<DatabaseId>);
    let limit = limit(query.optional("limit", limit_in_query));
    query.finish()?;
    let runs = app.engine.runs(database.as_ref(), limit).await?;
    ok(&Runs { runs })
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
