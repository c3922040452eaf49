//! The data of the page: what other functions answer to a GET, by way of the page's own function, because a key of the
//! host opens one function only.

use std::sync::Arc;

use crate::functions::answer::Answer;
use crate::functions::problem::Problem;
use crate::functions::request::Call;
use crate::functions::{
    App, HttpFunction, drift, health, history, migration, migrations_status, runs,
};

use super::VIEW;

/// Every view with the function that it shows. Parameters are those of the function, and those of its route.
pub(super) const VIEWS: [(&str, &HttpFunction); 6] = [
    ("drift", &drift::FUNCTION),
    ("health", &health::FUNCTION),
    ("history", &history::FUNCTION),
    ("migration", &migration::FUNCTION),
    ("runs", &runs::FUNCTION),
    ("status", &migrations_status::FUNCTION),
];

/// The function behind a view.
pub(super) fn named(name: &str) -> Result<&'static HttpFunction, String> {
    let view = VIEWS.iter().find(|(view, _)| *view == name);
    view.map(|(_, function)| *function)
        .ok_or_else(|| format!("must be one of {}", names().join(", ")))
}

/// The names of all views.
pub(super) fn names() -> Vec<&'static str> {
    VIEWS.iter().map(|(name, _)| *name).collect()
}

/// What the function answers.
pub(super) async fn answer(
    function: &'static HttpFunction,
    app: Arc<App>,
    call: Call,
) -> Result<Answer, Problem> {
    (function.handle)(app, call.handed_on(VIEW, function)?).await
}
