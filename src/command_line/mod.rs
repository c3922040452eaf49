//! The command line: reads the arguments and hands over to the command.

mod check;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
        Some(Command::Check(arguments)) => check::run(&arguments),
    }
}
