//! POST migrations/rollback: rolls one migration back, or it and everything applied after it.

use std::sync::Arc;

use crate::engine::{Caller, RollbackRequest, Run};
use crate::script::{DatabaseId, MigrationId};

use super::answer::Answer;
use super::openapi::kinds;
use super::openapi::operation::{
    Field, LOCATION, OF_A_DATABASE, OF_WRITING, Operation, PREFERENCE_APPLIED, Success, of,
    optional, required, success,
};
use super::problem::{Code, Problem};
use super::request::{Call, Method};
use super::values::{environment, flag, migration_id, parsed, person, prose, string};
use super::waiting::Waiting;
use super::{App, HttpFunction, JSON_ONLY};

/// The longest reason, in characters.
const MAX_REASON: usize = 2000;

const BODY: &[Field] = &[
    required("migrationId", "The migration.", of::<MigrationId>),
    required("databaseId", "The database.", of::<DatabaseId>),
    required(
        "environment",
        "The environment of this app.",
        kinds::environment,
    ),
    required("executor", "Who asks.", kinds::person),
    optional("reason", "Why.", kinds::prose::<MAX_REASON>),
    optional("dryRun", "Whether only to say what would run.", kinds::flag),
    optional(
        "cascade",
        "Whether everything applied after it is rolled back first, newest first.",
        kinds::flag,
    ),
    optional(
        "confirm",
        "In prod the id of the migration again.",
        kinds::string,
    ),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-rollback",
    route: "dbvc/migrations/rollback",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Post,
        path: "dbvc/migrations/rollback",
        id: "rollBackMigration",
        summary: "Roll a migration back",
        description: "Only the newest applied migration can be rolled back by itself.",
        may_respond_async: true,
        body: BODY,
        answers: &[
            success(200, "The run, which has ended.", of::<Run>),
            Success {
                headers: &[LOCATION, PREFERENCE_APPLIED],
                ..success(202, "The run so far, which goes on.", of::<Run>)
            },
        ],
        problems: &[
            OF_A_DATABASE,
            OF_WRITING,
            &[
                Code::UnknownMigration,
                Code::ChecksumMismatch,
                Code::NotApplied,
                Code::NotLatest,
                Code::NoDownScript,
                Code::HalfApplied,
                Code::Protected,
                Code::NeedsKey,
                Code::Drifted,
                Code::MigrationFailed,
                Code::ConfirmationRequired,
            ],
        ],
        ..Operation::NOTHING
    }],
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
