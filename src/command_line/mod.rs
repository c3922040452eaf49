//! The command line: reads the arguments and hands over to the command.

mod check;
mod migrate;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::engine::EngineOptions;
use crate::settings::Settings;

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
}

/// Runs the command that the arguments of the process name, and says what the process ends with.
///
/// 0: fine. 1: the command found errors, or the server cannot start. 2: it could not do its work, for instance because the
/// arguments are wrong.
#[must_use]
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        None | Some(Command::Serve) => serve::run(),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
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
        data_dir: settings.data_dir.clone(),
        on_drift: settings.on_drift,
        lease_seconds: settings.lock_lease_seconds,
        max_parallel_databases: settings.max_parallel_databases,
        statement_timeout: seconds(settings.statement_timeout_seconds),
        lock_timeout: seconds(settings.lock_timeout_seconds),
        allowed_hosts: settings.allowed_hosts.clone(),
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
