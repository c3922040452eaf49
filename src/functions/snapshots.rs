//! POST and GET snapshots: takes one, lists them, or shows one with its schema.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::{Caller, SnapshotQuery, SnapshotRequest, SnapshotType};
use crate::script::DatabaseId;

use super::answer::{Answer, created, ok};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{environment, limit, limit_in_query, parsed, person, token};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-snapshots",
    methods: &[Method::Post, Method::Get],
    route: "dbvc/snapshots",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

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
            ok(&json!({ "snapshots": page.items, "continuation": page.continuation }))
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
