//! GET drift: how a database differs from what its scripts made, as JSON, as a report for people, or as a script.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use warp::http::StatusCode;

use crate::engine::{Drift, DriftScript, DriftSide};
use crate::schema::{Purpose, Report, report};
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
    offers: &[
        MediaType::Json,
        MediaType::Markdown,
        MediaType::Html,
        MediaType::Sql,
    ],
    operations: &[Operation {
        path: "dbvc/drift",
        id: "getDrift",
        summary: "How a database differs from what its scripts made",
        description: "Compares the last trusted snapshot with the live schema, or two snapshots. Writes nothing.",
        query: &[
            required("databaseId", "The database.", of::<DatabaseId>),
            optional("from", "The id of the older snapshot.", kinds::token),
            optional("to", "The id of the newer snapshot.", kinds::token),
            optional(
                "script",
                "With a script out of the differences, for this purpose.",
                of::<Purpose>,
            ),
        ],
        answers: &[Success {
            headers: &[VARY],
            ..success(200, "The differences.", of::<Answered>)
        }],
        problems: &[
            OF_A_DATABASE,
            &[Code::UnknownSnapshot, Code::DriftNotJudged],
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

/// What there is without a script.
const OF_REPORT: &[MediaType] = &[MediaType::Json, MediaType::Markdown, MediaType::Html];
/// What there is of a script.
const OF_SCRIPT: &[MediaType] = &[MediaType::Json, MediaType::Sql];

/// The drift, and the script out of it that was asked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DriftAnswer")]
struct Answered {
    #[serde(flatten)]
    drift: Drift,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<DriftScript>,
}

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let mut query = call.query();
    let database = query.required("databaseId", parsed::<DatabaseId>);
    let from = query.optional("from", token);
    let to = query.optional("to", token);
    let purpose = query.optional("script", parsed::<Purpose>);
    let Some(database) = database else {
        return Err(query.refuse());
    };
    query.finish()?;
    if let Some(purpose) = purpose {
        let wanted = call.wanted_of(OF_SCRIPT)?;
        let (drift, script) = app
            .engine
            .drift_script(&database, from.as_deref(), to.as_deref(), purpose)
            .await?;
        let answer = match wanted {
            MediaType::Sql => text(wanted, script.text),
            _ => ok(&Answered {
                drift,
                script: Some(script),
            })?,
        };
        return Ok(answer.with_header("vary", "Accept"));
    }
    let wanted = match call.wanted() {
        MediaType::Sql => call.wanted_of(OF_REPORT)?,
        wanted => wanted,
    };
    let drift = app
        .engine
        .drift(&database, from.as_deref(), to.as_deref())
        .await?;
    let answer = match wanted {
        MediaType::Markdown => text(wanted, report::markdown(&report_of(drift))),
        MediaType::Html => Answer::page(
            report::html(&report_of(drift)),
            &report::content_security_policy(),
        ),
        _ => ok(&drift)?,
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
