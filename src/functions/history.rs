//! GET history: the trail of a database.

use std::sync::Arc;

use crate::audit::EventType;
use crate::engine::{History, HistoryQuery};
use crate::script::{DatabaseId, MigrationId};

use super::answer::{Answer, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    CONTINUATION, LIMIT, OF_A_DATABASE, Operation, of, optional, required, success,
};
use super::problem::Problem;
use super::request::Call;
use super::values::{limit, limit_in_query, migration_id, moment_in_query, parsed, token};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-history",
    route: "dbvc/history",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        path: "dbvc/history",
        id: "getHistory",
        summary: "The trail of a database",
        description: "Newest first. What the archive does not have yet is added from the registry.",
        query: &[
            required("databaseId", "The database.", of::<DatabaseId>),
            optional(
                "migrationId",
                "Only events of this migration.",
                of::<MigrationId>,
            ),
            optional("type", "Only events of this type.", of::<EventType>),
            optional(
                "since",
                "Only events of this moment and later.",
                kinds::moment,
            ),
            optional("limit", LIMIT, kinds::limit),
            optional("continuation", CONTINUATION, kinds::token),
        ],
        answers: &[success(200, "A page of events.", of::<History>)],
        problems: &[OF_A_DATABASE],
        ..Operation::NOTHING
    }],
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
