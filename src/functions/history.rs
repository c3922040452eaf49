//! GET history: the trail of a database.

use std::sync::Arc;

use crate::audit::EventType;
use crate::engine::HistoryQuery;
use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{limit, limit_in_query, migration_id, moment_in_query, parsed, token};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-history",
    methods: &[Method::Get],
    route: "dbvc/history",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let query = read(&call)?;
    ok(&app.engine.history(&query).await?)
}

fn read(call: &Call) -> Result<HistoryQuery, Problem> {
    let mut query = call.query();
    let database_id = query.required("databaseId", parsed::<DatabaseId>);
    let migration_id = query.optional("migrationId", migration_id);
    let kind = query.optional("type", parsed::<EventType>);
    let since = query.optional("since", moment_in_query);
    let limit = limit(query.optional("limit", limit_in_query));
    let continuation = query.optional("continuation", token);
    let Some(database_id) = database_id else {
        return Err(query.refuse());
    };
    query.finish()?;
    Ok(HistoryQuery {
        database_id,
        migration_id,
        kind,
        since,
        limit,
        continuation,
    })
}
