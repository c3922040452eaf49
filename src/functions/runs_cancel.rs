//! POST runs/{runId}/cancel: asks a run to end after the batch in progress.

use std::sync::Arc;

use super::answer::{Answer, accepted, ok};
use super::problem::Problem;
use super::request::{Call, Method};
use super::runs::run_id;
use super::waiting::{has_ended, location};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-runs-cancel",
    methods: &[Method::Post],
    route: "dbvc/runs/{runId}/cancel",
    offers: JSON_ONLY,
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
