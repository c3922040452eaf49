//! GET health: whether dbvc can do its work; needs no key, so it names no server and holds no secret.

use std::sync::Arc;

use crate::engine::{Health, HealthStatus};

use super::answer::{Answer, ok, unwell};
use super::openapi::operation::{Operation, of, success};
use super::problem::Problem;
use super::request::Call;
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-health",
    route: "dbvc/health",
    needs_key: false,
    offers: JSON_ONLY,
    operations: &[Operation {
        path: "dbvc/health",
        id: "getHealth",
        summary: "Whether dbvc can do its work",
        description: "Needs no key, names no server and answers within two seconds whatever is down.",
        answers: &[
            success(
                200,
                "It works; degraded: with something delayed.",
                of::<Health>,
            ),
            success(503, "It does not work.", of::<Health>),
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    call.no_query()?;
    let health = app.engine.health().await;
    match health.status {
        HealthStatus::Healthy | HealthStatus::Degraded => ok(&health),
        HealthStatus::Unhealthy => unwell(&health),
    }
}
