//! POST and GET snapshots: takes one, lists them, or shows one with its schema.

use std::sync::Arc;

use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::Value;

use crate::engine::{
    Caller, Snapshot, SnapshotHeader, SnapshotQuery, SnapshotRequest, SnapshotType,
};
use crate::script::DatabaseId;

use super::answer::{Answer, created, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    CONTINUATION, Field, LIMIT, OF_A_DATABASE, OF_WRITING, Operation, of, optional, required,
    success,
};
use super::problem::{Code, Problem};
use super::request::{Call, Method};
use super::values::{environment, limit, limit_in_query, parsed, person, token};
use super::{App, HttpFunction, JSON_ONLY};

const BODY: &[Field] = &[
    required("databaseId", "The database.", of::<DatabaseId>),
    required(
        "environment",
        "The environment of this app.",
        kinds::environment,
    ),
    required("type", "Why it is taken.", of::<SnapshotType>),
    required("executor", "Who asks.", kinds::person),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-snapshots",
    route: "dbvc/snapshots",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[
        Operation {
            method: Method::Post,
            path: "dbvc/snapshots",
            id: "takeSnapshot",
            summary: "Take a snapshot of a database's schema",
            body: BODY,
            answers: &[success(201, "It is taken.", of::<SnapshotHeader>)],
            problems: &[OF_A_DATABASE, OF_WRITING],
            ..Operation::NOTHING
        },
        Operation {
            path: "dbvc/snapshots",
            id: "getSnapshots",
            summary: "The snapshots, or one of them with its schema",
            description: "With `snapshotId` one snapshot; `limit` and `continuation` are for the list.",
            query: &[
                optional(
                    "databaseId",
                    "Only snapshots of this database.",
                    of::<DatabaseId>,
                ),
                optional("snapshotId", "The id of the one to show.", kinds::token),
                optional("limit", LIMIT, kinds::limit),
                optional("continuation", CONTINUATION, kinds::token),
            ],
            answers: &[success(
                200,
                "A page of the list, or the one asked for.",
                |generator| {
                    let list = generator.subschema_for::<Snapshots>();
                    let one = generator.subschema_for::<Snapshot>();
                    json_schema!({ "anyOf": [list, one] })
                },
            )],
            problems: &[OF_A_DATABASE, &[Code::UnknownSnapshot]],
            ..Operation::NOTHING
        },
    ],
    handle: |app, call| Box::pin(handle(app, call)),
};

/// A page of snapshots.
#[derive(Serialize, JsonSchema)]
struct Snapshots {
    /// The snapshots without their schemas, newest first.
    snapshots: Vec<SnapshotHeader>,
    /// What to send to get the next page; null at the end.
    continuation: Option<String>,
}

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    if call.method() == Method::Post {
        let (caller, request) = read_request(&call)?;
        return created(&app.engine.take_snapshot(&caller, request).await?);
    }
    match read_query(&call)? {
        Wanted::One { database, snapshot } => {
            ok(&app.engine.snapshot(database.as_ref(), &snapshot).await?)
        }
        Wanted::List(query) => {
            let page = app.engine.snapshots(&query).await?;
            ok(&Snapshots {
                snapshots: page.items,
                continuation: page.continuation,
            })
        }
    }
}

fn read_request(call: &Call) -> Result<(Caller, SnapshotRequest), Problem> {
    let mut body = call.body()?;
    let database_id = body.required("databaseId", parsed::<DatabaseId>);
    let environment = body.required("environment", environment);
    let kind = body.required("type", snapshot_type);
    let executor = body.required("executor", person);
    let (Some(database_id), Some(environment), Some(kind), Some(executor)) =
        (database_id, environment, kind, executor)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    Ok((
        call.caller(executor),
        SnapshotRequest {
            database_id,
            environment,
            kind,
        },
    ))
}

fn snapshot_type(value: Value) -> Result<SnapshotType, String> {
    match value.as_str() {
        Some("baseline") => Ok(SnapshotType::Baseline),
        Some("manual") => Ok(SnapshotType::Manual),
        Some("post-migration") => Ok(SnapshotType::PostMigration),
        Some("scheduled") => Ok(SnapshotType::Scheduled),
        _ => Err("must be baseline, manual, post-migration or scheduled".to_owned()),
    }
}

/// What a GET asks for.
enum Wanted {
    One {
        database: Option<DatabaseId>,
        snapshot: String,
    },
    List(SnapshotQuery),
}

fn read_query(call: &Call) -> Result<Wanted, Problem> {
    let mut query = call.query();
    let database_id = query.optional("databaseId", parsed::<DatabaseId>);
    if let Some(snapshot) = query.optional("snapshotId", token) {
        // Parameters of the list stay untaken here, so they are refused: they would do nothing.
        query.finish()?;
        return Ok(Wanted::One {
            database: database_id,
            snapshot,
        });
    }
    let limit = limit(query.optional("limit", limit_in_query));
    let continuation = query.optional("continuation", token);
    query.finish()?;
    Ok(Wanted::List(SnapshotQuery {
        database_id,
        limit,
        continuation,
    }))
}
