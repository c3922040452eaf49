//! The index of the API, for programs and for people with curl.

use schemars::JsonSchema;
use serde::Serialize;

use crate::functions::answer::{Answer, ok};
use crate::functions::problem::Problem;
use crate::functions::request::Method;
use crate::functions::router::ROUTE_PREFIX;
use crate::functions::{App, HTTP_FUNCTIONS, HttpFunction};

use super::views;

/// The index of the API.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Index")]
pub(super) struct Index<'a> {
    name: &'static str,
    version: &'static str,
    environment: &'a str,
    functions: Vec<Entry>,
    views: Vec<&'static str>,
}

/// A function with an HTTP trigger.
#[derive(Serialize, JsonSchema)]
struct Entry {
    name: &'static str,
    methods: Vec<&'static str>,
    path: String,
    types: Vec<&'static str>,
}

pub(super) fn answer(app: &App) -> Result<Answer, Problem> {
    ok(&Index {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        environment: &app.engine.options().environment,
        functions: HTTP_FUNCTIONS.iter().map(entry).collect(),
        views: views::names(),
    })
}

fn entry(function: &HttpFunction) -> Entry {
    Entry {
        name: function.name,
        methods: function.methods().map(Method::as_str).collect(),
        path: format!("/{ROUTE_PREFIX}/{}", function.route),
        types: function.offers.iter().map(|t| t.essence()).collect(),
    }
}
