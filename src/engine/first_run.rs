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
            self.refuse_damaged_registry(connection, managed).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::Shop;
    use crate::engine::{DryRun, OutOfOrder, Target, Wait};
    use crate::registry::definition::OWN_TABLES;

    fn request(dry_run: DryRun) -> RunRequest {
        RunRequest {
            database_id: Target::One(Shop::id()),
            environment: "dev".to_owned(),
            target: None,
            out_of_order: OutOfOrder::Error,
            baseline: None,
            allow_not_empty: false,
            dry_run,
            migrations: Vec::new(),
        }
    }

    fn found() -> NotEmpty {
        NotEmpty {
            database: Shop::id(),
            counts: ObjectCounts {
                tables: 12,
                views: 1,
                indexes: 7,
                sequences: Some(2),
                ..ObjectCounts::default()
            },
            other_tools: Vec::new(),
            managed_as: Vec::new(),
        }
    }

    #[test]
    fn the_facts_name_what_is_there_by_kind_and_the_other_tool() {
        let mut found = found();
        assert_eq!(
            found.to_string(),
            format!(
                "dbvc has applied nothing to {} yet, and the database is not empty: it holds 12 tables, 1 view and 2 sequences",
                Shop::id()
            )
        );
        found.other_tools = vec![OtherTool {
            tool: "Flyway".to_owned(),
            table: "dbo.flyway_schema_history".to_owned(),
        }];
        assert!(
            found
                .to_string()
                .ends_with(", among them dbo.flyway_schema_history (history of Flyway)"),
            "{found}"
        );
    }

    #[test]
    fn each_door_says_what_to_do_in_its_own_words() {
        use crate::engine::Door;
        let words = |found: NotEmpty, door| EngineError::NotEmpty(Box::new(found)).detail(door);
        let mut known = found();
        known.managed_as = vec![DatabaseId::parse("orders").unwrap()];
        for found in [found(), known] {
            let http = words(found.clone(), Door::Http);
            assert!(http.contains("allowNotEmpty: true"), "{http}");
            assert!(!http.contains("--"), "{http}");
            let shell = words(found, Door::CommandLine);
            assert!(shell.contains("--allow-not-empty"), "{shell}");
            assert!(!shell.contains("allowNotEmpty"), "{shell}");
        }
    }

    /// Between reading the state and reading the schema another run may come and go.
    #[tokio::test]
    async fn what_another_run_created_meanwhile_is_not_taken_for_somebody_elses() {
        let shop = Shop::at_work().await;
        let managed = shop.engine.managed(&Shop::id()).await.unwrap();
        let (mut connection, state) = shop.engine.open_to_read(&managed).await.unwrap().unwrap();
        assert!(state.unwrap().is_known);
        let before = DatabaseState::empty();
        let checked = shop
            .engine
            .refuse_not_empty(connection.as_mut(), &managed, &before, &request(DryRun::No))
            .await;
        assert!(checked.is_ok(), "{checked:?}");
    }

    #[tokio::test]
    async fn a_database_whose_registry_was_lost_is_told_so() {
        let shop = Shop::at_work().await;
        shop.engine.settle().await;
        let drops: Vec<String> = OWN_TABLES
            .iter()
            .map(|table| format!("DROP TABLE {table};"))
            .collect();
        shop.by_hand(&format!("PRAGMA foreign_keys = OFF; {}", drops.concat()));
        for dry_run in [DryRun::No, DryRun::Preview, DryRun::Execute] {
            let refused = shop
                .engine
                .run(&Shop::caller(), request(dry_run), Wait::ToTheEnd)
                .await
                .unwrap_err();
            assert_eq!(refused.code(), "registry-lost", "{dry_run:?}");
        }
    }

    /// As a dbvc before this check wrote it.
    #[test]
    fn an_older_row_of_a_run_can_be_adopted() {
        let mut row = serde_json::to_value(request(DryRun::No)).unwrap();
        assert_eq!(row["allowNotEmpty"], false);
        row.as_object_mut().unwrap().remove("allowNotEmpty");
        let read: RunRequest = serde_json::from_value(row).unwrap();
        assert!(!read.allow_not_empty);
    }
}
