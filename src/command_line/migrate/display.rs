//! What `dbvc migrate` shows: a progress bar on a terminal, plain lines elsewhere, and a table at the end.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{
    CheckStatus, DatabaseView, EngineError, Run, RunMigration, RunStatus, Status, StepStatus,
    Verification,
};

/// What a database without an archive has in its status.
const NO_ARCHIVE: &str = "none";

/// Shows what happens.
pub(super) struct Display {
    interactive: bool,
}

/// The progress of a run.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: HashSet<String>,
}

impl Display {
    /// For the output that the process has.
    pub fn new() -> Self {
        Self {
            interactive: std::io::stdout().is_terminal(),
        }
    }

    /// A line about a thing.
    pub fn line(&self, what: &str, thing: &str) {
        println!("  {what:<15} {thing}");
    }

    /// What went wrong.
    pub fn problem(&self, text: &str) {
        eprintln!("dbvc: {text}");
    }

    /// A database whose turn it is.
    pub fn database(&self, database: &DatabaseView, folder: &Path, scripts: usize) {
        println!(
            "{} ({}, {}): {scripts} {} in {}",
            database.database_id,
            database.engine,
            database.environment,
            if scripts == 1 { "script" } else { "scripts" },
            folder.display()
        );
    }

    /// Another run holds the database.
    pub fn waiting(&self, database: &DatabaseView, problem: &EngineError) {
        let until = match problem {
            EngineError::Locked {
                holder: Some(holder),
                ..
            } => format!(
                "; should it be dead, the lock is free at {}",
                holder.expires_at
            ),
            _ => String::new(),
        };
        println!(
            "  waiting         another run holds {}{until}",
            database.database_id
        );
    }

    /// The run was asked to end early.
    pub fn ending(&self) {
        println!(
            "  ending          after the batch in progress; press Ctrl-C again to leave at once"
        );
    }

    /// Begins to show the progress of a run.
    pub fn progress(&self, run: &Run) -> Progress {
        let bar = self.interactive.then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("  {spinner} {pos}/{len} [{wide_bar}] {msg}");
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("=> "),
            );
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let mut progress = Progress {
            bar,
            told: HashSet::new(),
        };
        progress.show(run);
        progress
    }

    /// How a run ended.
    pub fn ended(&self, run: &Run) {
        for database in &run.databases {
            // A short run may have ended before its progress was looked at.
            for migration in &database.migrations {
                if migration.status == StepStatus::Failed {
                    for error in &migration.errors {
                        eprintln!(
                            "dbvc: {}{}: {}",
                            migration.migration_id,
                            error
                                .line
                                .map_or_else(String::new, |line| format!(", line {line}")),
                            error.message
                        );
                    }
                }
            }
            if let Some(problem) = &database.problem {
                eprintln!("dbvc: {}", problem.detail);
            }
            if let Some(drift) = &database.drift_before {
                println!(
                    "  drift           the database differed from its last snapshot in {} objects before the run",
                    drift.changes.len()
                );
            }
            let version = database.to_version.as_deref().unwrap_or("none");
            match database.status {
                RunStatus::NothingToDo => println!("  nothing to do   version {version}"),
                RunStatus::Succeeded => println!("  done            version {version}"),
                RunStatus::Cancelled => println!("  cancelled       version {version}"),
                RunStatus::Locked => println!("  locked          another run holds the database"),
                RunStatus::Failed | RunStatus::Queued | RunStatus::Running => {
                    println!("  failed          version {version}");
                }
            }
            if let Some(snapshot) = &database.snapshot_id {
                println!("  snapshot        {snapshot}");
            }
        }
    }

    /// What a run would do.
    pub fn preview(&self, run: &Run) {
        for database in &run.databases {
            if database.migrations.is_empty() {
                println!("  nothing to do");
            }
            for migration in &database.migrations {
                let word = match migration.status {
                    StepStatus::Skipped => "would skip",
                    _ if migration.is_baselined() => "would baseline",
                    _ => "would apply",
                };
                self.line(word, migration.migration_id.as_str());
                for warning in &migration.warnings {
                    println!(
                        "  {:<15} line {}: {} {}",
                        "", warning.line, warning.severity, warning.message
                    );
                }
            }
        }
    }

    /// The migrations of a database.
    pub fn table(&self, status: &Status) {
        for database in &status.databases {
            let mut table = Table::new();
            table
                .load_style(UTF8_BORDERS_ONLY)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_header(["version", "migration", "status", "applied at", "ms", "by"]);
            for migration in database.migrations.iter().flatten() {
                table.add_row([
                    migration.version.clone().unwrap_or_default(),
                    migration.migration_id.to_string(),
                    migration.status.clone(),
                    migration
                        .applied_at
                        .map(|at| at.to_string())
                        .unwrap_or_default(),
                    migration
                        .duration_ms
                        .map(|duration| duration.to_string())
                        .unwrap_or_default(),
                    migration.executor.clone().unwrap_or_default(),
                ]);
            }
            if let Some(column) = table.column_mut(4) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            println!("{table}");
            if database.archive == NO_ARCHIVE {
                self.line(
                    "no archive",
                    "trail and snapshots stay in the database; with a Cosmos DB account they are archived",
                );
            }
        }
    }

    /// What verifying found.
    pub fn verification(&self, verification: &Verification) {
        let count = |status: CheckStatus| {
            verification
                .checks
                .iter()
                .filter(|check| check.status == status)
                .count()
        };
        println!(
            "integrity: {} checks, {} passed, {} to know, {} failed",
            verification.checks.len(),
            count(CheckStatus::Pass) + count(CheckStatus::Fixed),
            count(CheckStatus::Warn),
            count(CheckStatus::Fail)
        );
        for check in &verification.checks {
            let word = match check.status {
                CheckStatus::Pass | CheckStatus::Fixed => continue,
                CheckStatus::Warn => "to know",
                CheckStatus::Fail => "failed",
            };
            self.line(word, &format!("{}: {}", check.code, check.detail));
            for item in &check.items {
                println!("  {:<15} - {item}", "");
            }
        }
    }
}

impl Progress {
    /// Shows how far a run has come.
    pub fn show(&mut self, run: &Run) {
        let all: Vec<&RunMigration> = run
            .databases
            .iter()
            .flat_map(|database| &database.migrations)
            .collect();
        for migration in &all {
            let word = match migration.status {
                StepStatus::Applied if migration.is_baselined() => "baselined",
                StepStatus::Applied => "applied",
                StepStatus::RolledBack => "rolled back",
                StepStatus::Failed => "failed",
                StepStatus::Interrupted => "interrupted",
                StepStatus::Planned | StepStatus::Running | StepStatus::Skipped => continue,
            };
            if !self.told.insert(migration.migration_id.to_string()) {
                continue;
            }
            let mut text = format!("  {word:<15} {}", migration.migration_id);
            if !migration.is_baselined() {
                text.push_str(&format!(" ({} ms)", migration.duration_ms.unwrap_or(0)));
            }
            match &self.bar {
                Some(bar) => bar.println(text),
                None => println!("{text}"),
            }
        }
        let Some(bar) = &self.bar else {
            return;
        };
        bar.set_length(all.len() as u64);
        bar.set_position(self.told.len() as u64);
        let running = all
            .iter()
            .find(|migration| migration.status == StepStatus::Running);
        bar.set_message(running.map_or_else(String::new, |migration| {
            format!(
                "{} batch {}",
                migration.migration_id,
                migration.batches.len() + 1
            )
        }));
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
