//! The command line: reads the arguments and hands over to the command.

mod check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Database version control for Azure SQL Database and Cosmos DB.
#[derive(Debug, Parser)]
#[command(name = "dbvc", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
}

/// Runs the command that the arguments of the process name, and says what the process ends with.
///
/// 0: fine. 1: the command found errors. 2: it could not do its work, for instance because the arguments are wrong.
#[must_use]
pub fn run() -> ExitCode {
    match CommandLine::parse().command {
        Command::Check(arguments) => check::run(&arguments),
    }
}
