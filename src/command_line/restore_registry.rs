//! `dbvc restore-registry`: restores a lost registry from the archive, and tells what it restored.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime;

use crate::engine::{Caller, Engine, EngineError, Restoration, RestorationOutcome, RestoreRequest};
use crate::script::DatabaseId;
use crate::settings::{Settings, SettingsError};

use super::{USAGE_ERROR, engine_options, log_to_stderr, user, with_causes};

/// Restore a lost registry from the archive: scripts from their copies, executions and states from the trail.
///
/// A registry that is there is left alone. Lost for good are the progress and messages of single batches, the list of runs,
/// and whatever had not been delivered to the archive.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only that of this database; by default every lost one of the environment, the home database first
    #[arg(long, value_name = "ID")]
    database: Option<DatabaseId>,
    /// The database itself was made anew and is empty: restore scripts and trail, and take every migration as pending
    #[arg(long)]
    made_anew: bool,
    /// Restore what is there although the archive is not whole; what is wrong is told, and kept in the trail
    #[arg(long)]
    accept_damage: bool,
    /// Record migrations as applied although the database lacks objects of its last snapshot; drift reports them afterwards
    #[arg(long, conflicts_with = "made_anew")]
    accept_missing: bool,
    /// Who does this, for the records; by default the name of the user that is logged in
    #[arg(long, value_name = "NAME")]
    executor: Option<String>,
}

/// Why nothing was restored, or not everything.
#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    #[error("{}", with_causes(.0))]
    Engine(#[from] EngineError),
}

/// Exits with 0 when every lost registry is restored, with 2 on usage errors, with 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match restore(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbvc: {error}");
            match error {
                RestoreError::Settings(_) => ExitCode::from(USAGE_ERROR),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn restore(arguments: &Arguments) -> Result<(), RestoreError> {
    let settings = Settings::read(std::env::vars_os())?;
    log_to_stderr(&settings);
    let request = RestoreRequest {
        database_id: arguments.database.clone(),
        accept_damage: arguments.accept_damage,
        accept_missing: arguments.accept_missing,
        made_anew: arguments.made_anew,
    };
    let caller = Caller {
        executor: arguments.executor.clone().unwrap_or_else(user),
        principal: None,
    };
    let engine = Engine::open(engine_options(&settings));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let restored = runtime.block_on(engine.restore_registry(&caller, &request));
    runtime.shutdown_background();
    for restoration in restored? {
        println!("{}", told(&restoration));
    }
    Ok(())
}

fn told(restoration: &Restoration) -> String {
    let id = &restoration.database_id;
    match &restoration.outcome {
        RestorationOutcome::Present => format!("{id}: its registry is there; nothing was touched"),
        RestorationOutcome::NoArchive => format!(
            "{id}: nothing to restore from: without Cosmos DB settings a database on a server has no archive"
        ),
        RestorationOutcome::NothingArchived { others } if others.is_empty() => {
            format!("{id}: the archive has nothing of it")
        }
        RestorationOutcome::NothingArchived { others } => format!(
            "{id}: the archive has nothing of it; what it has under this id is the history of {}",
            others.join(", ")
        ),
        RestorationOutcome::Restored {
            events,
            definitions,
            applied,
            snapshots,
            half_applied,
            faults,
            found,
        } => {
            let mut lines = vec![format!(
                "{id}: restored {}, {applied} of them applied, {} and {}",
                counted(*definitions, "migration"),
                counted(*events, "event"),
                counted(*snapshots, "snapshot"),
            )];
            lines.extend(found.iter().map(|found| format!("  {found}")));
            lines.extend(half_applied.iter().map(|migration| {
                format!(
                    "  {migration}: the trail cannot tell how far it came; look at the database, then say so by POST integrity/verify with resolve"
                )
            }));
            lines.extend(faults.iter().map(|fault| format!("  not whole: {fault}")));
            lines.join("\n")
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
