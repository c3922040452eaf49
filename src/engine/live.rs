//! Runs of this process while they are at work, and the last that ended: their progress without a look at the registry.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::database::{BatchObserver, BatchReport};

use super::view::{Run, RunDatabase, RunMigration};

/// How many ended runs stay in memory, for callers that poll.
const REMEMBERED: usize = 100;

/// The runs of this process.
#[derive(Debug, Default)]
pub(super) struct LiveRuns {
    runs: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<String, Arc<LiveRun>>,
    ended: VecDeque<String>,
}

/// A run of this process.
#[derive(Debug)]
pub(super) struct LiveRun {
    run: Mutex<Run>,
    cancelled: AtomicBool,
    /// Whether another instance has adopted the run: what the registry says of it counts.
    disowned: AtomicBool,
    ended: watch::Sender<bool>,
}

impl LiveRuns {
    /// Takes a run up. An adopted run takes the place of its former self.
    pub fn begin(&self, run: Run) -> Arc<LiveRun> {
        let id = run.run_id.clone();
        let live = Arc::new(LiveRun {
            cancelled: AtomicBool::new(run.cancel_requested),
            disowned: AtomicBool::new(false),
            run: Mutex::new(run),
            ended: watch::Sender::new(false),
        });
        let mut known = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        known.ended.retain(|ended| *ended != id);
        known.by_id.insert(id, Arc::clone(&live));
        live
    }

    /// Tells everybody who waits that a run has ended.
    pub fn end(&self, live: &LiveRun) {
        let id = live.with(|run| run.run_id.clone());
        let mut known = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if live.disowned.load(Ordering::SeqCst) {
            known.by_id.remove(&id);
        } else {
            known.ended.push_back(id);
        }
        while known.ended.len() > REMEMBERED {
            if let Some(forgotten) = known.ended.pop_front() {
                known.by_id.remove(&forgotten);
            }
        }
        live.ended.send_replace(true);
    }

    /// A run of this process, at work or ended.
    pub fn find(&self, run_id: &str) -> Option<Arc<LiveRun>> {
        let known = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_id.get(run_id).map(Arc::clone)
    }
}

impl LiveRun {
    /// The run as it is now.
    pub fn view(&self) -> Run {
        self.with(|run| run.clone())
    }

    /// Looks at the run or changes it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Run) -> T) -> T {
        work(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at one database of the run or changes it.
    pub fn database<T>(&self, index: usize, work: impl FnOnce(&mut RunDatabase) -> T) -> Option<T> {
        self.with(|run| run.databases.get_mut(index).map(work))
    }

    /// Looks at one migration of the run or changes it.
    pub fn migration(
        &self,
        (database, migration): (usize, usize),
        work: impl FnOnce(&mut RunMigration),
    ) {
        self.database(database, |database| {
            database.migrations.get_mut(migration).map(work)
        });
    }

    /// Asks it to end after the batch in progress.
    pub fn cancel(&self) {
        self.with(|run| run.cancel_requested = true);
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Leaves it to another instance: once it has ended here, only who waits for it sees how it went here.
    pub fn disown(&self) {
        self.disowned.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as this run.
        let _ = ended.wait_for(|ended| *ended).await;
    }
}

/// Writes what becomes of a script's batches into the run.
pub(super) struct StepObserver {
    /// The run.
    pub live: Arc<LiveRun>,
    /// The place of the migration in it.
    pub place: (usize, usize),
}

impl BatchObserver for StepObserver {
    fn ended(&self, report: &BatchReport) {
        self.live.migration(self.place, |migration| {
            migration.batches.push(report.clone())
        });
        crate::crash_points::reached_on_thread("batch-ended");
    }

    fn stop_requested(&self) -> bool {
        self.live.is_cancelled()
    }
}
