//! The first run on a database: refused when the database holds objects that dbvc did not create, unless the caller says
//! what to do about them.

use serde::Serialize;

use crate::audit::Change;
use crate::audit::cosmos::is_archive_container;
use crate::database::{Connection, DatabaseError};
use crate::registry::events;
use crate::registry::state::{self, DatabaseState};
use crate::schema::{ObjectCounts, OtherTool, other_tools};
use crate::script::{DatabaseId, EngineKind};

use super::Engine;
use super::access::{Managed, Writing, holder};
use super::database_run::Work;
use super::error::EngineError;
use super::request::{Caller, RunRequest};
use super::snapshots::live_schema;

/// What dbvc found in a database to which it never applied anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotEmpty {
    /// The database.
    pub database: DatabaseId,
    /// Its objects by kind, without dbvc's own tables.
    pub counts: ObjectCounts,
    /// History tables of other migration tools.
    pub other_tools: Vec<OtherTool>,
    /// Ids under which dbvc already manages this database.
    pub managed_as: Vec<DatabaseId>,
}

impl NotEmpty {
    /// The ids under which dbvc already manages the database, for a sentence.
    pub fn other_ids(&self) -> String {
        let ids: Vec<&str> = self.managed_as.iter().map(DatabaseId::as_str).collect();
        in_a_sentence(&ids)
    }
}

impl std::fmt::Display for NotEmpty {
    /// What is there. What to do next is added by the door through which the caller came: [`EngineError::remedy`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.counts.in_words();
        let counts: Vec<&str> = counts.iter().map(String::as_str).collect();
        write!(
            f,
            "dbvc has applied nothing to {} yet, and the database is not empty: it holds {}",
            self.database,
            in_a_sentence(&counts)
        )?;
        let tables: Vec<String> = self
            .other_tools
            .iter()
            .map(|other| format!("{} (history of {})", other.table, other.tool))
            .collect();
        if !tables.is_empty() {
            let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
            write!(f, ", among them {}", in_a_sentence(&tables))?;
        }
        if !self.managed_as.is_empty() {
            write!(
                f,
                "; dbvc already manages this database as {}",
                self.other_ids()
            )?;
        }
        Ok(())
    }
}

/// `a`, `a and b`, `a, b and c`.
fn in_a_sentence(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl Engine {
    /// Checks, without creating anything, whether a run on one database would be refused as its first. A refusal is recorded
    /// in the trail where the database has a registry.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotEmpty`], and those of reaching the database.
    pub async fn check_first_run(
        &self,
        caller: &Caller,
        id: &DatabaseId,
        request: &RunRequest,
    ) -> Result<(), EngineError> {
        self.check_environment(&request.environment)?;
        let managed = self.managed(id).await?;
        self.refuse_first_run(caller, &managed, request).await
    }

    /// Opens a database for a run. Refuses before anything is created there.
    pub(super) async fn open_for_run(
        &self,
        caller: &Caller,
        managed: &Managed,
        request: &RunRequest,
    ) -> Result<Writing, EngineError> {
        if managed.engine() == EngineKind::Sqlite {
            // Opening a file for writing switches it to WAL, which changes it.
            self.refuse_first_run(caller, managed, request).await?;
        }
        let (mut connection, found) = self.open_as_found(managed).await?;
        let nothing = DatabaseState::empty();
        let state = found.as_ref().unwrap_or(&nothing);
        let checked = self
            .refuse_not_empty(connection.as_mut(), managed, state, request)
            .await;
        self.recorded(caller, managed, state, request, checked)
            .await?;
        self.with_registry(managed, connection, found).await
    }

    /// Refuses a run over all databases that would create the registry in a home database whose own first run is refused:
    /// the run is recorded there. Without a registry the inventory has the home database only.
    pub(super) async fn refuse_first_record(
        &self,
        caller: &Caller,
        home: &Managed,
        request: &RunRequest,
    ) -> Result<(), EngineError> {
        match self.open_to_read(home).await? {
            Some((_, Some(_))) => Ok(()),
            _ => self.refuse_first_run(caller, home, request).await,
        }
    }

    async fn refuse_first_run(
        &self,
        caller: &Caller,
        managed: &Managed,
        request: &RunRequest,
    ) -> Result<(), EngineError> {
        let Some((mut connection, found)) = self.open_to_read(managed).await? else {
            return Ok(());
        };
        let state = found.unwrap_or_else(DatabaseState::empty);
        let checked = self
            .refuse_not_empty(connection.as_mut(), managed, &state, request)
            .await;
        self.recorded(caller, managed, &state, request, checked)
            .await
    }

    /// Records a refusal in the trail, if the database has one.
    async fn recorded(
        &self,
        caller: &Caller,
        managed: &Managed,
        state: &DatabaseState,
        request: &RunRequest,
        checked: Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        if let Err(problem @ EngineError::NotEmpty(_)) = &checked
            && state.lock.is_some()
        {
            let work = Work::Apply(request.clone());
            let mut change = Change::of(managed.id());
            change.events = vec![self.refusal(caller, &work, problem)];
            let written = async {
                let Writing { mut connection, .. } = self.open_for_writing(managed).await?;
                self.write(connection.as_mut(), managed, change).await
            };
            if let Err(error) = written.await {
                tracing::warn!(database = %managed.id(), %error, "the refusal could not be recorded in the trail");
            }
        }
        checked
    }

    /// Refuses a run on a database that holds objects and to which dbvc never applied anything, unless the request says what
    /// to do about them. A database that dbvc knows costs nothing here. `state` is what `connection` read last.
    pub(super) async fn refuse_not_empty(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        state: &DatabaseState,
        request: &RunRequest,
    ) -> Result<(), EngineError> {
        let is_answered = request.allow_not_empty || request.baseline.is_some();
        let is_held = state.lock.as_ref().and_then(holder).is_some();
        if is_answered || state.is_known || is_held {
            return Ok(());
        }
        let mut schema = live_schema(connection, managed).await?;
        schema
            .containers
            .retain(|container| !is_archive_container(&container.name, &container.partition_key));
        let counts = schema.object_counts();
        if counts.is_empty() {
            return Ok(());
        }
        // Another run may have created the objects since the state was read: then its record is there too.
        let now = state::read(connection, managed.id())
            .await
            .map_err(|error| managed.problem(error))?
            .unwrap_or_else(DatabaseState::empty);
        if now.is_known || now.lock.as_ref().and_then(holder).is_some() {
            return Ok(());
        }
        let mut managed_as = Vec::new();
        if now.lock.is_none() {
            // Whose registry was lost is told so: the objects are those that dbvc created.
            self.refuse_second_beginning(managed).await?;
            managed_as = self.other_ids(connection, managed).await?;
        }
        Err(EngineError::NotEmpty(Box::new(NotEmpty {
            database: managed.id().clone(),
            counts,
            other_tools: other_tools(&schema),
            managed_as,
        })))
    }

    /// The other ids that the registry in this database has a trail of. Those of Cosmos DB databases, which have theirs in
    /// the home database, are left out.
    async fn other_ids(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<Vec<DatabaseId>, EngineError> {
        if !managed.has_own_tables() {
            return Ok(Vec::new());
        }
        let replies = connection
            .exchange(&[
                events::heads_of_others(managed.id()),
                crate::registry::inventory::all(),
            ])
            .await;
        let replies = match replies {
            Ok(replies) => replies,
            Err(DatabaseError::NoRegistry { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(managed.problem(error)),
        };
        let rows = |index: usize| replies.get(index).map_or(&[][..], |reply| &reply.rows[..]);
        let parsed = || -> Result<Vec<DatabaseId>, DatabaseError> {
            let mut of_cosmos = Vec::new();
            for row in rows(1) {
                let row = crate::registry::inventory::parse(row)?;
                if row.engine == EngineKind::Cosmos {
                    of_cosmos.push(row.database_id);
                }
            }
            let mut ids = Vec::new();
            for row in rows(0) {
                let id: DatabaseId = row.parsed("database_id", "a database's id")?;
                if !of_cosmos.contains(&id) {
                    ids.push(id);
                }
            }
            Ok(ids)
        };
        parsed().map_err(|error| managed.problem(error))
    }

    /// Reads what a dry run needs, and refuses as the run itself would; but leaves no trace of it.
    pub(super) async fn read_for_dry_run(
        &self,
        managed: &Managed,
        request: &RunRequest,
    ) -> Result<(Option<Box<dyn Connection>>, DatabaseState), EngineError> {
        let Some((mut connection, found)) = self.open_to_read(managed).await? else {
            return Ok((None, DatabaseState::empty()));
        };
        let state = found.unwrap_or_else(DatabaseState::empty);
        self.refuse_not_empty(connection.as_mut(), managed, &state, request)
            .await?;
        Ok((Some(connection), state))
    }
}
