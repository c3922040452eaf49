//! GET migrations/status: the state of the environment's databases.

use std::sync::Arc;

use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{environment, flag_in_query, parsed};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-status",
    methods: &[Method::Get],
    route: "dbvc/migrations/status",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let mut query = call.query();
    let environment = query.optional("environment", environment);
    let database = query.optional("databaseId", parsed::<DatabaseId>);
    let detailed = query.optional("detailed", flag_in_query).unwrap_or(false);
    query.finish()?;
    ok(&app
        .engine
        .status(environment.as_deref(), database.as_ref(), detailed)
        .await?)
}
