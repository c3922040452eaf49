//! POST migrations/run: applies what is pending to one database or to all of the environment.

use std::sync::Arc;

use schemars::json_schema;
use serde_json::Value;

use crate::engine::{Caller, DryRun, InlineMigration, OutOfOrder, Run, RunRequest};
use crate::script::Version;

use super::answer::Answer;
use super::migrations_create::up_file_name;
use super::openapi::kinds;
use super::openapi::operation::{
    Field, LOCATION, OF_A_DATABASE, OF_WRITING, Operation, PREFERENCE_APPLIED, Success, of,
    optional, required, success,
};
use super::problem::{Code, Problem};
use super::request::{Call, Method};
use super::values::{dry_run, environment, flag, parsed, person, script, target};
use super::waiting::Waiting;
use super::{App, HttpFunction, JSON_ONLY};

const BODY: &[Field] = &[
    required("databaseId", "The database, or `all`.", kinds::target),
    required(
        "environment",
        "The environment of this app.",
        kinds::environment,
    ),
    required("executor", "Who asks.", kinds::person),
    optional("target", "The last version to apply.", kinds::version),
    optional(
        "outOfOrder",
        "What to do with pending versions below the newest applied one.",
        kinds::out_of_order,
    ),
    optional(
        "baseline",
        "Everything up to this version is marked applied without running.",
        kinds::version,
    ),
    optional(
        "allowNotEmpty",
        "Whether the first run on a database that holds objects already may run all scripts on them.",
        kinds::flag,
    ),
    optional(
        "dryRun",
        "`true` says what would run; `execute` runs everything in one transaction and rolls it back.",
        of::<DryRun>,
    ),
    optional(
        "migrations",
        "Scripts that a dry run plans as if they were registered.",
        |generator| {
            let items = kinds::object(generator, INLINE);
            json_schema!({ "type": "array", "items": items })
        },
    ),
];

const INLINE: &[Field] = &[
    required("fileName", "The name of the file.", kinds::up_file_name),
    required(
        "upScript",
        "The script that applies it, verbatim.",
        kinds::script,
    ),
    optional(
        "downScript",
        "The script that rolls it back, verbatim.",
        kinds::script,
    ),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-run",
    route: "dbvc/migrations/run",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Post,
        path: "dbvc/migrations/run",
        id: "runMigrations",
        summary: "Apply what is pending",
        description: "To one database or to all of the environment. `migrations` is for dry runs only.",
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
                Code::DuplicateVersion,
                Code::ReservedVersion,
                Code::ChecksumMismatch,
                Code::OutOfOrder,
                Code::MissingVariant,
                Code::HalfApplied,
                Code::NotTransactional,
                Code::NeedsKey,
                Code::Drifted,
                Code::NotEmpty,
                Code::MigrationFailed,
            ],
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (caller, request) = read(&call)?;
    let waiting = Waiting::of(&call, request.dry_run != DryRun::No);
    let run = app.engine.run(&caller, request, waiting.wait()).await?;
    waiting.answer(&run)
}

fn read(call: &Call) -> Result<(Caller, RunRequest), Problem> {
    let mut body = call.body()?;
    let database_id = body.required("databaseId", target);
    let environment = body.required("environment", environment);
    let executor = body.required("executor", person);
    let up_to = body.optional("target", parsed::<Version>);
    let out_of_order = body
        .optional("outOfOrder", out_of_order)
        .unwrap_or_default();
    let baseline = body.optional("baseline", parsed::<Version>);
    let allow_not_empty = body.optional("allowNotEmpty", flag).unwrap_or(false);
    let is_dry = body.has("dryRun");
    let dry_run = body.optional("dryRun", dry_run);
    // Where dryRun is wrong, that is the thing to say; that migrations needs it would only confuse.
    let really_runs = !is_dry || dry_run == Some(DryRun::No);
    if really_runs && body.has("migrations") {
        body.wrong(
            "migrations",
            "is for dry runs only; register migrations by POST migrations to run them",
        );
    }
    let migrations = body.list("migrations", |item| {
        let file_name = item.required("fileName", up_file_name);
        let up_script = item.required("upScript", script);
        let down_script = item.optional("downScript", script);
        Some(InlineMigration {
            file_name: file_name?,
            up_script: up_script?,
            down_script,
        })
    });
    let (Some(database_id), Some(environment), Some(executor)) =
        (database_id, environment, executor)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    let request = RunRequest {
        database_id,
        environment,
        target: up_to,
        out_of_order,
        baseline,
        allow_not_empty,
        dry_run: dry_run.unwrap_or_default(),
        migrations,
    };
    Ok((call.caller(executor), request))
}

fn out_of_order(value: Value) -> Result<OutOfOrder, String> {
    match value.as_str() {
        Some("error") => Ok(OutOfOrder::Error),
        Some("skip") => Ok(OutOfOrder::Skip),
        Some("allow") => Ok(OutOfOrder::Allow),
        _ => Err("must be error, skip or allow".to_owned()),
    }
}
