//! The front door: the functions of the contract, each in a file of its own, and the table that the router reads.

mod accept;
mod answer;
mod databases;
mod databases_put;
mod drift;
mod drift_timer;
mod fields;
mod front;
mod health;
mod history;
mod integrity_verify;
mod migration;
mod migrations_create;
mod migrations_rollback;
mod migrations_run;
mod migrations_status;
mod page;
mod payload;
mod problem;
mod request;
mod router;
mod runs;
mod runs_cancel;
mod runs_timer;
mod server;
mod snapshots;
mod strict_json;
mod values;
mod waiting;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use accept::MediaType;
pub use request::Method;
pub use server::{Listener, listen};

use answer::Answer;
use problem::Problem;
use request::Call;

use crate::engine::Engine;

/// What every function works with.
#[derive(Debug)]
pub struct App {
    /// The engine.
    pub engine: Engine,
    /// Whether the platform vouches for the headers that name the caller.
    pub in_azure: bool,
}

/// What a function does with a call.
type HttpHandler = fn(Arc<App>, Call) -> BoxFuture<'static, Result<Answer, Problem>>;

/// What a timer does; it gives lines for the host's log.
type TimerHandler = fn(Arc<App>) -> BoxFuture<'static, Vec<String>>;

/// A function with an HTTP trigger.
#[derive(Debug)]
pub struct HttpFunction {
    /// The name of its folder.
    pub name: &'static str,
    /// The methods that its function.json lists.
    pub methods: &'static [Method],
    /// The route that its function.json names, without the prefix `api`.
    pub route: &'static str,
    /// The types that it can answer, the default first.
    pub offers: &'static [MediaType],
    handle: HttpHandler,
}

impl HttpFunction {
    /// Its methods, as `Allow` lists them.
    fn allow(&self) -> String {
        allow(self.methods.iter().copied())
    }
}

/// Methods, as `Allow` lists them.
fn allow(methods: impl Iterator<Item = Method>) -> String {
    let mut methods: Vec<Method> = methods.collect();
    methods.sort_unstable();
    let names: Vec<&str> = methods.into_iter().map(Method::as_str).collect();
    names.join(", ")
}

/// A function with a timer trigger.
#[derive(Debug)]
pub struct TimerFunction {
    /// The name of its folder.
    pub name: &'static str,
    /// The app setting that holds its schedule, which the host resolves.
    pub schedule_setting: &'static str,
    handle: TimerHandler,
}

/// What all functions offer that have no report for people.
const JSON_ONLY: &[MediaType] = &[MediaType::Json];

/// Every function with an HTTP trigger.
pub const HTTP_FUNCTIONS: &[HttpFunction] = &[
    page::FUNCTION,
    databases::FUNCTION,
    databases_put::FUNCTION,
    drift::FUNCTION,
    health::FUNCTION,
    history::FUNCTION,
    integrity_verify::FUNCTION,
    migration::FUNCTION,
    migrations_create::FUNCTION,
    migrations_rollback::FUNCTION,
    migrations_run::FUNCTION,
    migrations_status::FUNCTION,
    runs::FUNCTION,
    runs_cancel::FUNCTION,
    snapshots::FUNCTION,
];

/// Every function with a timer trigger.
pub const TIMER_FUNCTIONS: &[TimerFunction] = &[drift_timer::FUNCTION, runs_timer::FUNCTION];
