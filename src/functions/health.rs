//! GET health: whether dbvc can do its work; needs no key, so it names no server and holds no secret.

use std::sync::Arc;

use crate::engine::HealthStatus;

use super::answer::{Answer, ok, unwell};
use super::problem::Problem;
use super::request::{Call, Method};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-health",
    methods: &[Method::Get],
    route: "dbvc/health",
    offers: JSON_ONLY,
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
