//! GET dbvc: a page for people, which asks the same function for the data that it shows, or an index of the API.

mod document;
mod index;
mod views;

use std::sync::Arc;

use super::accept::MediaType;
use super::answer::Answer;
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::string;
use super::{App, HttpFunction};

/// The parameter of the query that asks for data of the page.
const VIEW: &str = "view";

/// Browsers name HTML in `Accept`; who names nothing is a program.
pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc",
    methods: &[Method::Get],
    route: "dbvc",
    offers: &[MediaType::Json, MediaType::Html],
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
