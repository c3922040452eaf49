//! GET dbvc: a page for people, which asks the same function for the data that it shows, or an index of the API.

mod document;
mod index;
mod views;

use std::sync::Arc;

use super::accept::MediaType;
use super::answer::Answer;
use super::openapi::kinds;
use super::openapi::operation::{OF_A_DATABASE, Operation, of, optional, success};
use super::problem::{Code, Problem};
use super::request::Call;
use super::values::string;
use super::{App, HttpFunction};

use crate::audit::EventType;
use crate::engine::Health;
use crate::schema::Purpose;
use crate::script::{DatabaseId, MigrationId};

/// The parameter of the query that asks for data of the page.
const VIEW: &str = "view";

/// Browsers name HTML in `Accept`; who names nothing is a program.
pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc",
    route: "dbvc",
    needs_key: true,
    offers: &[MediaType::Json, MediaType::Html],
    operations: &[Operation {
        path: "dbvc",
        id: "getPage",
        summary: "A page for people, an index for programs",
        description: "A browser gets a page that shows the state of all databases, and asks for its data here, by `view`: what \
            another function answers to a GET, with its parameters. A program gets an index of the API.",
        query: &[
            optional(VIEW, "Which data.", views::schema_of_names),
            optional("databaseId", "Of most views.", of::<DatabaseId>),
            optional("environment", "Of `status`.", kinds::environment),
            optional("detailed", "Of `status`.", kinds::flag),
            optional("runId", "Of `runs`: that one.", kinds::string),
            optional(
                "migrationId",
                "Of `history` and `migration`.",
                of::<MigrationId>,
            ),
            optional("type", "Of `history`.", of::<EventType>),
            optional("since", "Of `history`.", kinds::moment),
            optional("limit", "Of `history` and `runs`.", kinds::limit),
            optional("continuation", "Of `history`.", kinds::token),
            optional("from", "Of `drift`.", kinds::token),
            optional("to", "Of `drift`.", kinds::token),
            optional("script", "Of `drift`.", of::<Purpose>),
        ],
        answers: &[
            success(200, "The page, the index, or the data.", views::schema),
            success(503, "The data of `health`: it does not work.", of::<Health>),
        ],
        problems: &[
            OF_A_DATABASE,
            &[
                Code::UnknownMigration,
                Code::UnknownRun,
                Code::UnknownSnapshot,
                Code::DriftNotJudged,
            ],
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let mut query = call.query();
    if query.has(VIEW) {
        let Some(function) = query.optional(VIEW, |name| views::named(&string(name)?)) else {
            return Err(query.refuse());
        };
        return views::answer(function, app, call).await;
    }
    query.finish()?;
    let answer = match call.wanted() {
        MediaType::Html => document::answer(),
        _ => index::answer(&app)?,
    };
    Ok(answer.with_header("vary", "Accept"))
}
