//! The index of the API, for programs and for people with curl.

use serde::Serialize;

use crate::functions::answer::{Answer, ok};
use crate::functions::problem::Problem;
use crate::functions::router::ROUTE_PREFIX;
use crate::functions::{App, HTTP_FUNCTIONS, HttpFunction};

use super::views;

#[derive(Serialize)]
struct Index<'a> {
    name: &'static str,
    version: &'static str,
    environment: &'a str,
    functions: Vec<Entry>,
    views: Vec<&'static str>,
}

#[derive(Serialize)]
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
        methods: function.methods.iter().map(|m| m.as_str()).collect(),
        path: format!("/{ROUTE_PREFIX}/{}", function.route),
        types: function.offers.iter().map(|t| t.essence()).collect(),
    }
}
