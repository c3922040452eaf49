//! The command line: reads the arguments and hands over to the command.

mod check;
mod migrate;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

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
