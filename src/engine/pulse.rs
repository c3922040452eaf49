//! The pulse of a run: its progress goes to the home database, and a wish to end it is heard from there.

use std::sync::Arc;
use std::time::Duration;

use crate::database::{Access, Connection, DatabaseError};
use crate::registry::runs;

use super::Engine;
use super::live::LiveRun;

/// Longest pause between two writes of a run's progress: what a caller who polls another instance sees is no older.
const LONGEST_PULSE: Duration = Duration::from_secs(2);

/// Writes a run's progress to the home database and hears whether somebody asked it to end, until it is dropped.
pub(super) struct Pulse {
    task: tokio::task::JoinHandle<()>,
}

impl Pulse {
    /// Starts.
    pub fn start(engine: &Engine, live: &Arc<LiveRun>) -> Self {
        Self {
            task: tokio::spawn(pulse(engine.clone(), Arc::clone(live))),
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pulse(engine: Engine, live: Arc<LiveRun>) {
    let lease = Duration::from_secs(u64::from(engine.options().lease_seconds));
    let pause = (lease / 3).min(LONGEST_PULSE);
    let run_id = live.with(|run| run.run_id.clone());
    let home = engine.home();
    let mut connection: Option<Box<dyn Connection>> = None;
    loop {
        tokio::time::sleep(pause).await;
        let told = async {
            let opened = match connection.take() {
                Some(opened) => opened,
                None => home.database.open(Access::Write).await?,
            };
            let opened = connection.insert(opened);
            let replies = opened
                .exchange(&[engine.run_progress(&live), runs::one(&run_id)])
                .await?;
            Ok::<bool, DatabaseError>(match replies.get(1).and_then(|reply| reply.rows.first()) {
                Some(row) => runs::parse(row)?.cancel_requested_by.is_some(),
                None => false,
            })
        };
        match told.await {
            Ok(true) => live.cancel(),
            Ok(false) => {}
            // On SQLite a script's open transaction keeps this out; the progress is in memory.
            Err(DatabaseError::Busy { .. }) => {}
            Err(error) => {
                tracing::warn!(run = %run_id, %error, "writing the progress of the run failed");
                connection = None;
            }
        }
    }
}
