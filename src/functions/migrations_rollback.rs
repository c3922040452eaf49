//! POST migrations/rollback: rolls one migration back, or it and everything applied after it.

use std::sync::Arc;

use crate::engine::{Caller, RollbackRequest};
use crate::script::DatabaseId;

use super::answer::Answer;
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{environment, flag, migration_id, parsed, person, prose, string};
use super::waiting::Waiting;
use super::{App, HttpFunction, JSON_ONLY};

/// The longest reason, in characters.
const MAX_REASON: usize = 2000;

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-rollback",
    methods: &[Method::Post],
    route: "dbvc/migrations/rollback",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (caller, request) = read(&call)?;
    let waiting = Waiting::of(&call, request.dry_run);
    let run = app
        .engine
        .rollback(&caller, request, waiting.wait())
        .await?;
    waiting.answer(&run)
}

fn read(call: &Call) -> Result<(Caller, RollbackRequest), Problem> {
    let mut body = call.body()?;
    let migration_id = body.required("migrationId", migration_id);
    let database_id = body.required("databaseId", parsed::<DatabaseId>);
    let environment = body.required("environment", environment);
    let executor = body.required("executor", person);
    let reason = body.optional("reason", prose(MAX_REASON));
    let dry_run = body.optional("dryRun", flag).unwrap_or(false);
    let cascade = body.optional("cascade", flag).unwrap_or(false);
    let confirm = body.optional("confirm", string);
    let (Some(migration_id), Some(database_id), Some(environment), Some(executor)) =
        (migration_id, database_id, environment, executor)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    let request = RollbackRequest {
        migration_id,
        database_id,
        environment,
        reason,
        dry_run,
        cascade,
        confirm,
    };
    Ok((call.caller(executor), request))
}
