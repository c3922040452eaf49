//! GET drift: how a database differs from what its scripts made, as JSON or as a report for people.

use std::sync::Arc;

use warp::http::StatusCode;

use crate::engine::{Drift, DriftSide};
use crate::schema::{Report, report};
use crate::script::DatabaseId;

use super::accept::MediaType;
use super::answer::{Answer, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    OF_A_DATABASE, Operation, Success, VARY, of, optional, required, success,
};
use super::problem::{Code, Problem};
use super::request::Call;
use super::values::{parsed, token};
use super::{App, HttpFunction};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-drift",
    route: "dbvc/drift",
    needs_key: true,
    offers: &[MediaType::Json, MediaType::Markdown, MediaType::Html],
    operations: &[Operation {
        path: "dbvc/drift",
        id: "getDrift",
        summary: "How a database differs from what its scripts made",
        description: "Compares the last trusted snapshot with the live schema, or two snapshots. Writes nothing.",
        query: &[
            required("databaseId", "The database.", of::<DatabaseId>),
            optional("from", "The id of the older snapshot.", kinds::token),
            optional("to", "The id of the newer snapshot.", kinds::token),
        ],
        answers: &[Success {
            headers: &[VARY],
            ..success(200, "The differences.", of::<Drift>)
        }],
        problems: &[OF_A_DATABASE, &[Code::UnknownSnapshot]],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let mut query = call.query();
    let database = query.required("databaseId", parsed::<DatabaseId>);
    let from = query.optional("from", token);
    let to = query.optional("to", token);
    let Some(database) = database else {
        return Err(query.refuse());
    };
    query.finish()?;
    let drift = app
        .engine
        .drift(&database, from.as_deref(), to.as_deref())
        .await?;
    let answer = match call.wanted() {
        MediaType::Json => ok(&drift)?,
        wanted @ MediaType::Markdown => text(wanted, report::markdown(&report_of(drift))),
        // The report brings its own style and nothing else: whatever a name of an object may hold, nothing runs.
        wanted @ MediaType::Html => text(wanted, report::html(&report_of(drift))).with_header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    };
    Ok(answer.with_header("vary", "Accept"))
}

fn text(media_type: MediaType, body: String) -> Answer {
    Answer::text(StatusCode::OK, media_type.content_type(), body)
}

fn report_of(drift: Drift) -> Report {
    Report {
        database_id: drift.database_id.to_string(),
        from_label: label(drift.from.as_ref()),
        to_label: label(drift.to.as_ref()),
        detected: drift.detected,
        reason: drift.reason,
        changes: drift.changes,
    }
}

fn label(side: Option<&DriftSide>) -> String {
    match side {
        None => "nothing".to_owned(),
        Some(DriftSide { live: true, .. }) => "live schema".to_owned(),
        Some(DriftSide {
            snapshot_id: Some(id),
            ..
        }) => format!("snapshot {id}"),
        Some(_) => "snapshot".to_owned(),
    }
}
