//! GET migrations/status: the state of the environment's databases.

use std::sync::Arc;

use crate::engine::Status;
use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::openapi::kinds;
use super::openapi::operation::{OF_A_DATABASE, Operation, of, optional, success};
use super::problem::Problem;
use super::request::Call;
use super::values::{environment, flag_in_query, parsed};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-status",
    route: "dbvc/migrations/status",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        path: "dbvc/migrations/status",
        id: "getStatus",
        summary: "The state of the environment's databases",
        description: "A database that cannot be reached has an `error`; the others still answer.",
        query: &[
            optional(
                "environment",
                "The environment of this app.",
                kinds::environment,
            ),
            optional("databaseId", "Only this database.", of::<DatabaseId>),
            optional("detailed", "Whether with every migration.", kinds::flag),
        ],
        answers: &[success(200, "The state.", of::<Status>)],
        problems: &[OF_A_DATABASE],
        ..Operation::NOTHING
    }],
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
