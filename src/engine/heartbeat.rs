//! The heartbeat of a lock: renews the lease on a connection of its own, so that a long script cannot hold it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::database::{Access, Connection, Database, DatabaseError, ask};
use crate::registry::lock::Lease;

use super::access::Managed;

/// Renews a lease three times in its length until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    task: tokio::task::JoinHandle<()>,
    lost: Arc<AtomicBool>,
}

impl Heartbeat {
    /// Starts.
    pub fn start(managed: &Managed, lease: Lease) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(beat(
            Arc::clone(&managed.database),
            lease,
            Arc::clone(&lost),
        ));
        Self { task, lost }
    }

    /// Whether somebody else has taken the lock. Not yet knowing it is harmless: the fence is what decides.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(database: Arc<dyn Database>, lease: Lease, lost: Arc<AtomicBool>) {
    // Opened at once: to connect to a server may take as long as the lease lasts.
    let mut connection: Option<Box<dyn Connection>> = database.open(Access::Write).await.ok();
    let pause = Duration::from_millis(u64::from(lease.seconds) * 1000 / 3);
    loop {
        tokio::time::sleep(pause).await;
        let renewed = async {
            let opened = match connection.take() {
                Some(opened) => opened,
                None => database.open(Access::Write).await?,
            };
            let opened = connection.insert(opened);
            Ok::<u64, DatabaseError>(ask(opened.as_mut(), lease.renew()).await?.affected)
        };
        match renewed.await {
            Ok(0) => {
                tracing::warn!(database = %lease.database_id, "the lock was taken over by another run");
                lost.store(true, Ordering::SeqCst);
                return;
            }
            Ok(_) => {}
            // On SQLite the run's own open transaction keeps everybody out, this heartbeat included: it is the lease.
            Err(DatabaseError::Busy { .. }) => {}
            Err(error) => {
                tracing::warn!(database = %lease.database_id, %error, "renewing the lock failed");
                connection = None;
            }
        }
    }
}
