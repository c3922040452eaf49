//! Looking at runs, and asking one to end early.

use crate::database::{Access, DatabaseError, ask};
use crate::registry::runs;
use crate::script::DatabaseId;

use super::Engine;
use super::access::last_holder;
use super::error::EngineError;
use super::request::Caller;
use super::view::Run;

impl Engine {
    /// A run with its live progress.
    ///
    /// # Errors
    ///
    /// `unknown-run`, and those of the home database.
    pub async fn run_by_id(&self, run_id: &str) -> Result<Run, EngineError> {
        if let Some(live) = self.inner.live.find(run_id) {
            return Ok(live.view());
        }
        let rows = self.run_rows(runs::one(run_id)).await?;
        rows.into_iter()
            .find(|run| run.environment == self.options().environment)
            .ok_or_else(|| EngineError::UnknownRun(run_id.to_owned()))
    }

    /// The latest runs of the environment, newest first; with a database those on it, runs over all databases included.
    ///
    /// # Errors
    ///
    /// `unknown-database`, and those of the home database.
    pub async fn runs(
        &self,
        database: Option<&DatabaseId>,
        limit: u32,
    ) -> Result<Vec<Run>, EngineError> {
        if let Some(id) = database {
            self.row(id).await?;
        }
        let environment = &self.options().environment;
        let stored = self
            .run_rows(runs::latest(environment, database, limit))
            .await?;
        Ok(stored
            .into_iter()
            .map(|run| match self.inner.live.find(&run.run_id) {
                Some(live) => live.view(),
                None => run,
            })
            .collect())
    }

    async fn run_rows(
        &self,
        statement: crate::database::Statement,
    ) -> Result<Vec<Run>, EngineError> {
        let home = self.home();
        let read = async {
            let mut connection = home.database.open(Access::Read).await?;
            let reply = ask(connection.as_mut(), statement).await?;
            let mut found = Vec::new();
            for row in &reply.rows {
                let row = runs::parse(row)?;
                match serde_json::from_str::<Run>(&row.progress) {
                    Ok(mut run) => {
                        run.cancel_requested |= row.cancel_requested_by.is_some();
                        found.push(run);
                    }
                    Err(error) => {
                        tracing::warn!(run = %row.run_id, %error, "a run's record cannot be read");
                    }
                }
            }
            Ok(found)
        };
        match read.await {
            Ok(found) => Ok(found),
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(Vec::new()),
            Err(error) => Err(home.problem(error)),
        }
    }

    /// Asks a run to end after the batch in progress; a run that has ended is given back as it is.
    ///
    /// # Errors
    ///
    /// `unknown-run`; `locked` when the run is another instance's and the home database cannot be written just now.
    pub async fn cancel(&self, caller: &Caller, run_id: &str) -> Result<Run, EngineError> {
        let run = self.run_by_id(run_id).await?;
        if run.finished_at.is_some() {
            return Ok(run);
        }
        let live = self.inner.live.find(run_id);
        let asked = live.as_ref().map(|live| {
            live.cancel();
            live.view()
        });
        // Also on record, so that whoever adopts the run ends it. This instance's own runs have heard it already.
        let recorded = self
            .tell_home(runs::request_cancel(run_id, &caller.executor))
            .await;
        match (recorded, asked) {
            // As it was when it was asked: what becomes of it is there to be polled.
            (_, Some(run)) => Ok(run),
            (Ok(_), None) => self.run_by_id(run_id).await,
            (Err(EngineError::Locked { .. }), None) => {
                let home = self.home();
                let (_, state) = self.read_state(&home).await?;
                Err(EngineError::Locked {
                    database: home.id().clone(),
                    holder: state.lock.as_ref().and_then(last_holder),
                })
            }
            (Err(problem), None) => Err(problem),
        }
    }
}
