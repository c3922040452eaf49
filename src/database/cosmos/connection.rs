//! A connection to a managed Cosmos DB database: registry statements go to the home database, operations to Cosmos DB.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;

use super::super::{
    BatchObserver, BatchReport, BatchText, Connection, DatabaseError, Reply, SHORT_WAIT, ScriptEnd,
    ScriptMode, ScriptReport, ServerError, ServerMessage, Statement,
};
use super::containers;
use super::fault::FaultKind;
use super::managed::CosmosDatabase;
use super::perform::{Failure, Performer};
use crate::schema::Schema;
use crate::script::operations;

/// A connection to a managed Cosmos DB database.
pub(super) struct CosmosConnection {
    database: CosmosDatabase,
    home: Box<dyn Connection>,
    in_transaction: bool,
    /// What was taken by [`Connection::exclude_others`] within this process.
    taken: Vec<(String, OwnedMutexGuard<()>)>,
}

impl CosmosConnection {
    pub fn new(database: CosmosDatabase, home: Box<dyn Connection>) -> Self {
        Self {
            database,
            home,
            in_transaction: false,
            taken: Vec::new(),
        }
    }
}

impl CosmosDatabase {
    async fn perform(&self, batch: &BatchText) -> Result<(u64, Option<String>), Failure> {
        let operation =
            operations::parse_operation(&batch.text).map_err(|faults| Failure::own(&faults))?;
        let performing = async {
            let unreachable = |error: super::CosmosTargetError| Failure::own(&[error]);
            let handle = self.target.handle().await.map_err(unreachable)?;
            let done = Performer::new(&handle).perform(&operation).await;
            let Err(failure) = done else { return done };
            if failure.kind != Some(FaultKind::Forbidden) {
                return Err(failure);
            }
            // The key may have been changed since it was read.
            match self.target.handle_anew().await {
                Ok(Some(handle)) => Performer::new(&handle).perform(&operation).await,
                _ => Err(failure),
            }
        };
        match self.statement_timeout {
            None => performing.await,
            Some(limit) => match tokio::time::timeout(limit, performing).await {
                Ok(done) => done,
                Err(_) => Err(Failure::too_late(limit)),
            },
        }
    }
}

#[async_trait]
impl Connection for CosmosConnection {
    async fn exchange(&mut self, statements: &[Statement]) -> Result<Vec<Reply>, DatabaseError> {
        // A script of another database may hold the file. That is nothing that keeps anybody off this one: it takes its time.
        let may_wait =
            self.database.shares_a_file() && !self.in_transaction && statements.len() == 1;
        loop {
            match self.home.exchange(statements).await {
                Err(DatabaseError::Busy { .. }) if may_wait => {}
                answered => return answered,
            }
        }
    }

    async fn exclude_others(&mut self, name: &str, wait: Duration) -> Result<(), DatabaseError> {
        if !self.database.shares_a_file() {
            return self.home.exclude_others(name, wait).await;
        }
        if self.taken.iter().any(|(taken, _)| taken == name) {
            return Ok(());
        }
        let session = self.database.sessions.take(name, wait).await;
        let session = session.ok_or(DatabaseError::Busy {
            phase: "waiting for another session",
        })?;
        self.taken.push((name.to_owned(), session));
        Ok(())
    }

    async fn admit_others(&mut self, name: &str) -> Result<(), DatabaseError> {
        if !self.database.shares_a_file() {
            return self.home.admit_others(name).await;
        }
        self.taken.retain(|(taken, _)| taken != name);
        Ok(())
    }

    async fn begin(&mut self, wait: Duration) -> Result<(), DatabaseError> {
        let mut begun = self.home.begin(wait).await;
        // As for single statements: a script of another database may delay this one's records, and fail none.
        while self.database.shares_a_file() && matches!(begun, Err(DatabaseError::Busy { .. })) {
            begun = self.home.begin(SHORT_WAIT).await;
        }
        begun?;
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.in_transaction = false;
        self.home.commit().await
    }

    async fn rollback(&mut self) -> Result<(), DatabaseError> {
        self.in_transaction = false;
        self.home.rollback().await
    }

    fn is_usable(&self) -> bool {
        self.home.is_usable()
    }

    async fn run_batches(
        &mut self,
        batches: Arc<[BatchText]>,
        mode: ScriptMode,
        observer: Arc<dyn BatchObserver>,
    ) -> ScriptReport {
        match mode {
            // Dbvc's own tables, which are the home database's.
            ScriptMode::Own => return self.home.run_batches(batches, mode, observer).await,
            ScriptMode::WithoutTransaction => {}
            ScriptMode::InTransaction => {
                let failure = Failure::own(&["Cosmos DB has no transaction for operations"]);
                return ScriptReport {
                    batches: Vec::new(),
                    end: failed(failure, None),
                };
            }
        }
        let mut reports = Vec::with_capacity(batches.len());
        for batch in batches.iter() {
            if observer.stop_requested() {
                return ScriptReport {
                    batches: reports,
                    end: ScriptEnd::Stopped,
                };
            }
            let began = Instant::now();
            let performed = self.database.perform(batch).await;
            let (rows_affected, message) = match &performed {
                Ok((rows, message)) => (*rows, message.clone()),
                Err(_) => (0, None),
            };
            let report = BatchReport {
                index: batch.index,
                line: batch.line,
                count: batch.count,
                rows_affected,
                duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                messages: message
                    .into_iter()
                    .map(|text| ServerMessage {
                        text,
                        number: None,
                        severity: None,
                        line: Some(batch.line),
                    })
                    .collect(),
            };
            reports.push(report);
            match performed {
                Ok(_) => {
                    if let Some(report) = reports.last() {
                        observer.ended(report);
                    }
                }
                Err(failure) => {
                    return ScriptReport {
                        batches: reports,
                        end: failed(failure, Some(batch)),
                    };
                }
            }
        }
        ScriptReport {
            batches: reports,
            end: ScriptEnd::Completed,
        }
    }

    async fn read_schema(&mut self) -> Result<Schema, DatabaseError> {
        const PHASE: &str = "reading the containers";
        let unavailable = |message: String| DatabaseError::Unavailable {
            phase: PHASE,
            message,
        };
        let target = &self.database.target;
        let handle = target
            .handle()
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let read = match containers::read(&handle).await {
            Err(fault) if fault.kind == FaultKind::Forbidden => match target.handle_anew().await {
                Ok(Some(handle)) => containers::read(&handle).await,
                _ => Err(fault),
            },
            read => read,
        };
        let containers = read.map_err(|fault| match fault.kind {
            FaultKind::NotFound => DatabaseError::Missing {
                name: handle.name().to_owned(),
            },
            _ => unavailable(format!("{} ({})", fault.message, fault.status)),
        })?;
        Ok(Schema {
            containers,
            ..Schema::default()
        })
    }
}

fn failed(failure: Failure, batch: Option<&BatchText>) -> ScriptEnd {
    ScriptEnd::Failed {
        left_nothing: failure.left_nothing,
        errors: vec![ServerError {
            number: failure.number,
            severity: Some(16),
            state: Some(failure.state),
            line: batch.map(|batch| batch.line),
            batch: batch.map(|batch| batch.index),
            procedure: None,
            message: failure.message,
        }],
    }
}
