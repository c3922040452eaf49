//! `dbvc migrate`: registers the scripts of the migrations folder, applies what is pending, verifies, and tells.

mod display;
mod folder;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime;

use crate::engine::{
    Caller, Creation, DatabaseView, DryRun, Engine, EngineError, InlineMigration, Naming,
    NewMigration, OutOfOrder, Run, RunRequest, RunStatus, Target, VerifyRequest, Wait,
};
use crate::script::{DatabaseId, Version};
use crate::settings::{Settings, SettingsError};

use display::Display;
use folder::{FolderError, ScriptFile};

use super::{USAGE_ERROR, engine_options, log_to_stderr, user, with_causes};

/// How often a run's progress is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Register the scripts of the migrations folder, apply what is pending, and verify.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this database of the inventory; by default every database of the environment
    #[arg(long, value_name = "ID")]
    database: Option<DatabaseId>,
    /// Apply up to this version, inclusive
    #[arg(long, value_name = "VERSION")]
    target: Option<Version>,
    /// Record the migrations up to this version as applied without running them, then apply the rest
    #[arg(long, value_name = "VERSION")]
    baseline: Option<Version>,
    /// Apply the scripts although the database holds objects already and dbvc has never applied anything to it
    #[arg(long)]
    allow_not_empty: bool,
    /// Say what would be applied, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the registered text of scripts that were changed; recorded in the trail
    #[arg(long)]
    reregister: bool,
    /// Who does this, for the records; by default the name of the user that is logged in
    #[arg(long, value_name = "NAME")]
    executor: Option<String>,
    /// Seconds to wait for another run that holds a database
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    #[error("--baseline needs --database ID, because the environment has {databases} databases")]
    BaselineForSeveral { databases: usize },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{database}: {}", with_causes(problem))]
    Engine {
        database: String,
        problem: EngineError,
    },
    #[error("the inventory cannot be read: {}", with_causes(.0))]
    Inventory(EngineError),
    /// It was told while it happened.
    #[error("not everything was done; see above")]
    Told,
}

/// Exits with 0 when everything is applied and verified, with 2 on usage errors, with 1 otherwise.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match migrate(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbvc: {error}");
            match error {
                MigrateError::Settings(_) | MigrateError::BaselineForSeveral { .. } => {
                    ExitCode::from(USAGE_ERROR)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn migrate(arguments: &Arguments) -> Result<(), MigrateError> {
    let settings = Settings::read(std::env::vars_os())?;
    log_to_stderr(&settings);
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let work = Migrate {
        engine: Engine::open(engine_options(&settings)),
        caller: Caller {
            executor: arguments.executor.clone().unwrap_or_else(user),
            principal: None,
        },
        settings,
        target: arguments.target.clone(),
        baseline: arguments.baseline.clone(),
        allow_not_empty: arguments.allow_not_empty,
        wait: Duration::from_secs(arguments.wait),
        dry_run: arguments.dry_run,
        reregister: arguments.reregister,
        display: Display::new(),
    };
    let outcome = runtime.block_on(work.all(arguments.database.as_ref()));
    runtime.shutdown_background();
    outcome
}

struct Migrate {
    engine: Engine,
    caller: Caller,
    settings: Settings,
    target: Option<Version>,
    baseline: Option<Version>,
    allow_not_empty: bool,
    wait: Duration,
    dry_run: bool,
    reregister: bool,
    display: Display,
}

impl Migrate {
    /// Works on one database or on all of the environment, one after the other. What goes wrong with one does not keep the
    /// others from their turn.
    async fn all(&self, only: Option<&DatabaseId>) -> Result<(), MigrateError> {
        let databases = match only {
            Some(id) => vec![
                self.engine
                    .database(id)
                    .await
                    .map_err(MigrateError::Inventory)?,
            ],
            None => self
                .engine
                .databases()
                .await
                .map_err(MigrateError::Inventory)?,
        };
        if self.baseline.is_some() && only.is_none() && databases.len() > 1 {
            // It would mark migrations as applied without a look.
            return Err(MigrateError::BaselineForSeveral {
                databases: databases.len(),
            });
        }
        let mut well = true;
        for database in databases {
            match self.one(&database).await {
                Ok(()) => {}
                Err(MigrateError::Told) => well = false,
                Err(error) => {
                    self.display.problem(&error.to_string());
                    well = false;
                }
            }
        }
        if well {
            Ok(())
        } else {
            Err(MigrateError::Told)
        }
    }

    async fn one(&self, database: &DatabaseView) -> Result<(), MigrateError> {
        let folder = match database.folder.as_str() {
            "." => self.settings.migrations_dir.clone(),
            folder => self.settings.migrations_dir.join(folder),
        };
        let scripts = folder::read(&folder, database.engine)?;
        self.display.database(database, &folder, scripts.len());
        let request = RunRequest {
            database_id: Target::One(database.database_id.clone()),
            environment: self.settings.environment.clone(),
            target: self.target.clone(),
            out_of_order: OutOfOrder::Error,
            baseline: self.baseline.clone(),
            allow_not_empty: self.allow_not_empty,
            dry_run: DryRun::No,
            migrations: Vec::new(),
        };
        if self.dry_run {
            return self.preview(database, request, scripts).await;
        }
        // Registering creates dbvc's tables, so the first run is judged before.
        self.engine
            .check_first_run(&self.caller, &database.database_id, &request)
            .await
            .map_err(|problem| self.failed(database, problem))?;
        self.register(database, scripts).await?;
        let ran = self.run(database, request).await;
        // The archive has everything before it is verified.
        self.engine.settle().await;
        // What a former process could not deliver waits for the next one, and no timer runs beside this command.
        self.engine
            .deliver(&database.database_id)
            .await
            .map_err(|problem| self.failed(database, problem))?;
        let verified = self.verify(database).await;
        ran.and(verified)
    }

    fn failed(&self, database: &DatabaseView, problem: EngineError) -> MigrateError {
        MigrateError::Engine {
            database: database.database_id.to_string(),
            problem,
        }
    }

    async fn preview(
        &self,
        database: &DatabaseView,
        request: RunRequest,
        scripts: Vec<ScriptFile>,
    ) -> Result<(), MigrateError> {
        let request = RunRequest {
            dry_run: DryRun::Preview,
            migrations: scripts
                .into_iter()
                .map(|script| InlineMigration {
                    file_name: script.name,
                    up_script: script.up,
                    down_script: script.down,
                })
                .collect(),
            ..request
        };
        let planned = self
            .engine
            .run(&self.caller, request, Wait::ToTheEnd)
            .await
            .map_err(|problem| self.failed(database, problem))?;
        self.display.preview(&planned);
        Ok(())
    }

    async fn register(
        &self,
        database: &DatabaseView,
        scripts: Vec<ScriptFile>,
    ) -> Result<(), MigrateError> {
        let new: Vec<NewMigration> = scripts
            .into_iter()
            .map(|script| NewMigration {
                database_id: database.database_id.clone(),
                naming: Naming::File(script.name),
                author: self.caller.executor.clone(),
                description: None,
                up_script: script.up,
                down_script: script.down,
                reregister: self.reregister,
            })
            .collect();
        let registered = self
            .patiently(database, async || {
                self.engine
                    .create_all(&self.caller, &database.database_id, new.clone())
                    .await
            })
            .await
            .map_err(|problem| self.failed(database, problem))?;
        for (creation, migration) in &registered {
            match creation {
                Creation::Created => self
                    .display
                    .line("registered", migration.migration_id.as_str()),
                Creation::Reregistered => self
                    .display
                    .line("registered anew", migration.migration_id.as_str()),
                Creation::Unchanged => {}
            }
        }
        Ok(())
    }

    /// Tries again while another run holds the database, as long as the caller wants to wait.
    async fn patiently<T>(
        &self,
        database: &DatabaseView,
        attempt: impl AsyncFn() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let deadline = tokio::time::Instant::now() + self.wait;
        let mut told = false;
        loop {
            let problem = match attempt().await {
                Err(problem) if problem.code() == "locked" => problem,
                other => return other,
            };
            if tokio::time::Instant::now() >= deadline {
                return Err(problem);
            }
            if !told {
                self.display.waiting(database, &problem);
                told = true;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn run(&self, database: &DatabaseView, request: RunRequest) -> Result<(), MigrateError> {
        let begun = self
            .patiently(database, async || {
                self.engine
                    .run(&self.caller, request.clone(), Wait::AtMost(Duration::ZERO))
                    .await
            })
            .await;
        let run = match begun {
            Ok(run) => self
                .watch(run)
                .await
                .map_err(|problem| self.failed(database, problem))?,
            Err(problem) => return Err(self.failed(database, problem)),
        };
        self.display.ended(&run);
        match run.status {
            RunStatus::Succeeded | RunStatus::NothingToDo => Ok(()),
            RunStatus::Queued
            | RunStatus::Running
            | RunStatus::Failed
            | RunStatus::Locked
            | RunStatus::Cancelled => Err(MigrateError::Told),
        }
    }

    /// Shows a run's progress until it has ended. Ctrl-C asks it to end after the batch in progress; a second one ends the
    /// process, and the next run finds out what happened.
    async fn watch(&self, mut run: Run) -> Result<Run, EngineError> {
        let mut progress = self.display.progress(&run);
        let mut asked_to_end = false;
        while run.finished_at.is_none() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                signal = tokio::signal::ctrl_c() => {
                    if signal.is_ok() {
                        if asked_to_end {
                            std::process::exit(130);
                        }
                        asked_to_end = true;
                        self.display.ending();
                        self.engine.cancel(&self.caller, &run.run_id).await?;
                    }
                }
            }
            run = self.engine.run_by_id(&run.run_id).await?;
            progress.show(&run);
        }
        progress.finish();
        Ok(run)
    }

    async fn verify(&self, database: &DatabaseView) -> Result<(), MigrateError> {
        let environment = self.settings.environment.clone();
        let status = self
            .engine
            .status(None, Some(&database.database_id), true)
            .await
            .map_err(|problem| self.failed(database, problem))?;
        self.display.table(&status);
        let verification = self
            .engine
            .verify(
                &self.caller,
                VerifyRequest {
                    database_id: database.database_id.clone(),
                    environment,
                    fix: false,
                    resolve: None,
                },
            )
            .await
            .map_err(|problem| self.failed(database, problem))?;
        self.display.verification(&verification);
        if verification.healthy {
            Ok(())
        } else {
            Err(MigrateError::Told)
        }
    }
}
