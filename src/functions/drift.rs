//! GET drift: how a database differs from what its scripts made, as JSON or as a report for people.

use std::sync::Arc;

use warp::http::StatusCode;

use crate::engine::{Drift, DriftSide};
use crate::schema::{Report, report};
use crate::script::DatabaseId;

use super::accept::MediaType;
use super::answer::{Answer, ok};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{parsed, token};
use super::{App, HttpFunction};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-drift",
    methods: &[Method::Get],
    route: "dbvc/drift",
    offers: &[MediaType::Json, MediaType::Markdown, MediaType::Html],
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
        wanted @ MediaType::Markdown => Answer::text(
            StatusCode::OK,
            wanted.content_type(),
            report::markdown(&report_of(drift)),
        ),
        MediaType::Html => Answer::page(
            report::html(&report_of(drift)),
            &report::content_security_policy(),
        ),
    };
    Ok(answer.with_header("vary", "Accept"))
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
