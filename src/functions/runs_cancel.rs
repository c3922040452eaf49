//! POST runs/{runId}/cancel: asks a run to end after the batch in progress.

use std::sync::Arc;

use crate::engine::Run;

use super::answer::{Answer, accepted, ok};
use super::openapi::operation::{
    EXECUTOR, LOCATION, OF_THE_HOME_DATABASE, OF_WRITING, Operation, Success, of, success,
};
use super::problem::{Code, Problem};
use super::request::{Call, Method};
use super::runs::run_id;
use super::waiting::{has_ended, location};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-runs-cancel",
    route: "dbvc/runs/{runId}/cancel",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Post,
        path: "dbvc/runs/{runId}/cancel",
        id: "cancelRun",
        summary: "End a run after the batch in progress",
        description: "The transaction of the script in progress is rolled back, and its execution is `interrupted`.",
        query: &[EXECUTOR],
        answers: &[
            success(200, "The run, which has ended.", of::<Run>),
            Success {
                headers: &[LOCATION],
                ..success(202, "The run so far, which will end soon.", of::<Run>)
            },
        ],
        problems: &[
            OF_THE_HOME_DATABASE,
            OF_WRITING,
            &[Code::UnknownRun, Code::UnsupportedMediaType],
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (body, caller) = call.body_and_caller()?;
    body.finish()?;
    let run = app.engine.cancel(&caller, run_id(&call)?).await?;
    if has_ended(&run) {
        ok(&run)
    } else {
        Ok(accepted(&run)?.with_header("location", location(&run)))
    }
}
