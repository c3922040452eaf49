//! Delivering to the archive what the registry holds for it: after a change in the background, or here and now.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::audit::{self, Delivery, DeliveryError};
use crate::database::{Access, DatabaseError};
use crate::script::DatabaseId;

use super::Engine;
use super::access::Managed;
use super::error::EngineError;

/// Deliveries under way in this process.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    tasks: Mutex<JoinSet<()>>,
    /// Databases for which a delivery waits to begin: one is enough, since it takes everything there is.
    waiting: Mutex<HashSet<DatabaseId>>,
}

impl Engine {
    /// Delivers in the background. A failure is logged, and the next delivery goes on where this one stopped.
    pub(super) fn deliver_soon(&self, managed: &Managed) {
        let deliveries = &self.inner.deliveries;
        let fresh = deliveries
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(managed.id().clone());
        if !fresh {
            return;
        }
        let (engine, managed) = (self.clone(), managed.clone());
        let mut tasks = deliveries
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            engine
                .inner
                .deliveries
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(managed.id());
            if let Err(error) = engine.deliver_now(&managed).await {
                tracing::warn!(database = %managed.id(), %error, "delivering to the archive is delayed");
            }
        });
    }

    /// Delivers everything of a database that the archive does not have.
    ///
    /// # Errors
    ///
    /// When registry or archive cannot be used.
    pub(super) async fn deliver_now(&self, managed: &Managed) -> Result<Delivery, EngineError> {
        // Delivering must not make a database that is not there.
        match managed.database.open(Access::Read).await {
            Ok(_) => {}
            Err(DatabaseError::Absent) => return Ok(Delivery::default()),
            Err(error) => return Err(managed.problem(error)),
        }
        let mut connection = managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| managed.problem(error))?;
        match audit::deliver(connection.as_mut(), managed.id(), self.archive()).await {
            Ok(delivery) => Ok(delivery),
            // Nothing was ever written there, or somebody's script holds the file and the outbox waits.
            Err(DeliveryError::Registry(
                DatabaseError::NoRegistry { .. } | DatabaseError::Busy { .. },
            )) => Ok(Delivery::default()),
            Err(DeliveryError::Registry(error)) => Err(managed.problem(error)),
            Err(DeliveryError::Archive(error)) => Err(error.into()),
        }
    }

    /// Returns when no delivery is under way in this process: before it ends of its own will.
    pub async fn settle(&self) {
        loop {
            let mut tasks = std::mem::take(
                &mut *self
                    .inner
                    .deliveries
                    .tasks
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}
