//! The command line: reads the arguments and hands over to the command.

mod check;
mod diff;
mod migrate;
mod restore_registry;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::engine::{Door, EngineError, EngineOptions};
use crate::settings::Settings;

/// Exit code on usage errors, the same as clap's: wrong arguments, wrong settings, unreadable input.
const USAGE_ERROR: u8 = 2;

/// Database version control for Azure SQL Database and Cosmos DB.
#[derive(Debug, Parser)]
#[command(name = "dbvc", version)]
struct CommandLine {
    /// Serve when no command is given
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the functions on 127.0.0.1, as the Azure Functions host asks. Needs no arguments; settings come from the environment
    Serve,
    Migrate(migrate::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    RestoreRegistry(restore_registry::Arguments),
}

/// Runs the command that the process arguments name and returns its exit code.
///
/// 0: success. 1: something failed, or `check` or `diff` found something. 2: usage error. `serve` exits with 1 whenever it cannot
/// start, wrong settings included.
#[must_use]
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        None | Some(Command::Serve) => serve::run(),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Diff(arguments)) => diff::run(&arguments),
        Some(Command::RestoreRegistry(arguments)) => restore_registry::run(&arguments),
    }
}

/// How the settings set the engine up.
fn engine_options(settings: &Settings) -> EngineOptions {
    let seconds = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
    EngineOptions {
        environment: settings.environment.clone(),
        home: settings.database_id.clone(),
        home_connection: settings.home_connection.clone(),
        archive: settings.archive.clone(),
        snapshot_retention_days: settings.snapshot_retention_days,
        connection_variables: settings.connection_variables.clone(),
        script_variables: settings.script_variables.clone(),
        identity: settings.identity.clone(),
        registry_schema: settings.registry_schema.clone(),
        data_dir: settings.data_dir.clone(),
        on_drift: settings.on_drift,
        lease_seconds: settings.lock_lease_seconds,
        max_parallel_databases: settings.max_parallel_databases,
        statement_timeout: seconds(settings.statement_timeout_seconds),
        lock_timeout: seconds(settings.lock_timeout_seconds),
        allowed_hosts: settings.allowed_hosts.clone(),
        alert_webhook: settings.alert_webhook.clone(),
    }
}

/// How much the drivers may say at most, whatever `DBVC_LOG` asks for: their closer words hold what is in the database, and the
/// headers of requests with tokens in them. What they fail at is told by dbvc itself.
const DRIVERS: [&str; 12] = [
    "azure_core=warn",
    "azure_data_cosmos=off",
    "azure_data_cosmos_driver=off",
    "azure_identity=warn",
    "azure_security_keyvault_secrets=warn",
    "h2=off",
    "hyper=warn",
    "hyper_util=warn",
    "reqwest=warn",
    "rustls=warn",
    "tiberius=off",
    "typespec_client_core=warn",
];

/// The filter with the drivers held back.
fn without_data(filter: EnvFilter) -> EnvFilter {
    DRIVERS
        .iter()
        .filter_map(|directive| directive.parse().ok())
        .fold(filter, EnvFilter::add_directive)
}

/// The log of a command that a person runs. What a person should know is told by the command itself, so that without
/// `DBVC_LOG` only errors are logged.
fn log_to_stderr(settings: &Settings) {
    let filter = match std::env::var_os("DBVC_LOG") {
        Some(_) => settings.log.clone(),
        None => EnvFilter::new("error"),
    };
    // It fails only where a log was set up before, and then that one is used.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(without_data(filter))
        .with_writer(std::io::stderr)
        .try_init();
}

/// The name of the user that is logged in.
fn user() -> String {
    ["USER", "USERNAME", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// An error with what caused it: who runs the command has the connection string, and is told why it leads nowhere.
fn with_causes(error: &EngineError) -> String {
    let mut text = error.detail(Door::CommandLine);
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        // An error that passes on another's words has it as its cause as well.
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}
