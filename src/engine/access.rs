//! Finding a managed database, opening it, and giving it its registry on the first write.

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{self, AppendError, Change, EventDraft, EventType};
use crate::database::{
    Access, Connection, Database, DatabaseError, RegistrySchema, SHORT_WAIT, ScriptEnd, ScriptMode,
    ServerError, Unobserved, ask,
};
use crate::registry::definition::{OWN_VERSIONS, OwnVersion};
use crate::registry::executions::{Direction, Execution, ExecutionStatus};
use crate::registry::inventory::{self, InventoryRow};
use crate::registry::lock::LockRow;
use crate::registry::migrations::{AppliedStatus, Definition, StatusChange};
use crate::registry::presence::{self, Damage, Presence};
use crate::registry::state::{self, DatabaseState};
use crate::registry::{events, lock};
use crate::script::{DatabaseId, EngineKind, MigrationId, MigrationName, Version};
use crate::time::Timestamp;

use super::error::{EngineError, LockHolder};
use super::request::Caller;
use super::{Engine, script_execution};

/// A database of the inventory with the means to reach it.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    /// Its row.
    pub row: InventoryRow,
    /// Where its registry is: on SQL databases in the database itself.
    pub database: Arc<dyn Database>,
    /// Whether it is the home database.
    pub is_home: bool,
    /// The engine of the database that has its registry: of a Cosmos DB database it is the home database.
    pub registry_engine: EngineKind,
    /// The schema of dbvc's own tables, should they be on SQL Server.
    pub registry_schema: RegistrySchema,
}

impl Managed {
    pub fn id(&self) -> &DatabaseId {
        &self.row.database_id
    }

    pub fn engine(&self) -> EngineKind {
        self.row.engine
    }

    /// Whether dbvc's own tables are in this database; the records of others are in the home database.
    pub fn has_own_tables(&self) -> bool {
        self.engine() != EngineKind::Cosmos
    }

    /// The schema of dbvc's own tables within it; none where an engine has no schemas.
    pub fn namespace(&self) -> Option<&str> {
        (self.engine() == EngineKind::SqlServer).then(|| self.registry_schema.name())
    }

    /// The engine's word for what the driver said about this database.
    pub fn problem(&self, error: DatabaseError) -> EngineError {
        match error {
            DatabaseError::Busy { .. } => EngineError::Locked {
                database: self.id().clone(),
                holder: None,
            },
            DatabaseError::Missing { name } => EngineError::NoSuchDatabase {
                database: self.id().clone(),
                name,
            },
            DatabaseError::NamesTaken(taken) => EngineError::NamesTaken {
                database: self.id().clone(),
                taken,
                schema: (self.registry_engine == EngineKind::SqlServer)
                    .then(|| self.registry_schema.clone()),
            },
            DatabaseError::RegistryInSchema { schema } => EngineError::RegistryInSchema {
                database: self.id().clone(),
                found: schema,
                configured: self.registry_schema.clone(),
            },
            DatabaseError::Refused {
                phase,
                number: Some(number),
                message,
            } if lasts(self.registry_engine, number) => EngineError::DatabaseRefused {
                database: self.id().clone(),
                phase,
                number: Some(number),
                message,
            },
            other => EngineError::Unavailable {
                database: self.id().clone(),
                source: Some(other),
            },
        }
    }

    /// The same for a change that nothing but another writer can have kept off: says who holds the database, if that can be
    /// seen.
    pub async fn busy(&self, connection: &mut dyn Connection, error: DatabaseError) -> EngineError {
        if !matches!(error, DatabaseError::Busy { .. }) {
            return self.problem(error);
        }
        let holder = match self.lock_row(connection).await {
            Ok(Some(now)) => last_holder(&now),
            _ => None,
        };
        EngineError::Locked {
            database: self.id().clone(),
            holder,
        }
    }

    /// The lease row as it is now.
    pub async fn lock_row(
        &self,
        connection: &mut dyn Connection,
    ) -> Result<Option<LockRow>, DatabaseError> {
        let reply = ask(connection, lock::read(self.id())).await?;
        Ok(reply.rows.first().map(lock::parse).transpose()?)
    }

    /// The same for a write to the trail.
    pub fn append_problem(&self, error: AppendError) -> EngineError {
        match error {
            AppendError::Fenced { database_id } => EngineError::Locked {
                database: database_id,
                holder: None,
            },
            AppendError::Database(error) => self.problem(error),
        }
    }

    /// The problem that says who holds the database.
    pub fn locked(&self, lock: Option<&LockRow>) -> EngineError {
        EngineError::Locked {
            database: self.id().clone(),
            holder: lock.and_then(holder),
        }
    }
}

/// Whether an error of one of dbvc's own statements stays until somebody removes its cause: a missing right, a name that is
/// taken, a database that only allows reading.
fn lasts(engine: EngineKind, number: i64) -> bool {
    match engine {
        EngineKind::SqlServer | EngineKind::Cosmos => {
            [229, 230, 262, 297, 300, 916, 2714, 2759, 2760, 3906, 15247].contains(&number)
        }
        // The other codes of SQLite are its words for a file that is busy, full or damaged.
        EngineKind::Sqlite => false,
    }
}

/// Who holds a lock that has not expired.
pub(super) fn holder(lock: &LockRow) -> Option<LockHolder> {
    let is_alive = lock.held.as_ref().is_some_and(|held| !held.expired);
    is_alive.then(|| last_holder(lock)).flatten()
}

/// Who was the last to say that it holds a lock. On SQLite a script's open transaction keeps its holder from renewing a lease
/// that nobody else can take.
pub(super) fn last_holder(lock: &LockRow) -> Option<LockHolder> {
    lock.held.as_ref().map(|held| LockHolder {
        owner: held.owner.clone(),
        acquired_at: held.acquired_at,
        expires_at: held.expires_at,
    })
}

/// The name under which instances that make a registry keep each other off.
const MAKING_REGISTRY: &str = "dbvc:registry";

/// The name under which the connection of a run keeps off others that would run scripts on a database.
fn run_session(id: &DatabaseId) -> String {
    format!("dbvc:run:{id}")
}

/// The name under which the session of a script without a transaction does: it is another one than that of its run, and may
/// outlive it.
pub(super) fn script_session(id: &DatabaseId) -> String {
    format!("dbvc:script:{id}")
}

/// A connection for writing, and what the registry said when it was opened.
pub(super) struct Writing {
    pub connection: Box<dyn Connection>,
    pub state: DatabaseState,
}

impl Engine {
    /// The row of the home database before there is an inventory.
    fn home_row(&self) -> InventoryRow {
        let connection = self.options().home_connection.as_ref();
        InventoryRow {
            database_id: self.options().home.clone(),
            kind: "sql".to_owned(),
            engine: match connection {
                Some(_) => EngineKind::SqlServer,
                None => EngineKind::Sqlite,
            },
            environment: self.options().environment.clone(),
            server_name: connection.map(|connection| connection.server_name().to_owned()),
            database_name: connection.map(|connection| connection.database_name().to_owned()),
            folder: ".".to_owned(),
            connection: None,
        }
    }

    /// The home database, with its row as it is before anybody changed it.
    pub(super) fn home(&self) -> Managed {
        let row = self.home_row();
        Managed {
            database: self.inner.databases.home(),
            is_home: true,
            registry_engine: row.engine,
            row,
            registry_schema: self.options().registry_schema.clone(),
        }
    }

    /// The whole inventory, other environments included, by id.
    pub(super) async fn inventory(&self) -> Result<Vec<InventoryRow>, EngineError> {
        let home = self.home();
        let read = async {
            let mut connection = home.database.open(Access::Read).await?;
            let reply = crate::database::ask(connection.as_mut(), inventory::all()).await?;
            let rows = reply.rows.iter().map(inventory::parse);
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        };
        let mut rows = match read.await {
            Ok(rows) => rows,
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Vec::new(),
            Err(error) => return Err(home.problem(error)),
        };
        if !rows.iter().any(|row| row.database_id == *home.id()) {
            rows.push(home.row);
            rows.sort_by(|a, b| a.database_id.cmp(&b.database_id));
        }
        Ok(rows)
    }

    /// The means to reach a database of the inventory.
    pub(super) fn reach(&self, row: InventoryRow) -> Result<Managed, EngineError> {
        let is_home = row.database_id == self.options().home;
        let database = if is_home {
            self.inner.databases.home()
        } else {
            self.inner.databases.of(&row)?
        };
        let registry_engine = match row.engine {
            EngineKind::Cosmos => self.home_row().engine,
            engine => engine,
        };
        Ok(Managed {
            row,
            database,
            is_home,
            registry_engine,
            registry_schema: self.options().registry_schema.clone(),
        })
    }

    /// The row of a database of this environment.
    pub(super) async fn row(&self, id: &DatabaseId) -> Result<InventoryRow, EngineError> {
        let row = self
            .inventory()
            .await?
            .into_iter()
            .find(|row| row.database_id == *id)
            .ok_or_else(|| EngineError::UnknownDatabase(id.to_string()))?;
        self.check_environment(&row.environment)?;
        Ok(row)
    }

    /// A database of this environment.
    pub(super) async fn managed(&self, id: &DatabaseId) -> Result<Managed, EngineError> {
        self.reach(self.row(id).await?)
    }

    /// The rows of all databases of this environment, by id.
    pub(super) async fn rows_of_environment(&self) -> Result<Vec<InventoryRow>, EngineError> {
        let mut rows = self.inventory().await?;
        rows.retain(|row| row.environment == self.options().environment);
        Ok(rows)
    }

    /// Refuses another environment than the one that this app serves.
    pub(super) fn check_environment(&self, asked: &str) -> Result<(), EngineError> {
        if asked == self.options().environment {
            Ok(())
        } else {
            Err(EngineError::WrongEnvironment {
                asked: asked.to_owned(),
                serves: self.options().environment.clone(),
            })
        }
    }

    /// Reads a database's state without making anything: a database that is not there yet is empty.
    pub(super) async fn read_state(
        &self,
        managed: &Managed,
    ) -> Result<(Option<Box<dyn Connection>>, DatabaseState), EngineError> {
        Ok(match self.open_to_read(managed).await? {
            Some((connection, Some(state))) => (Some(connection), state),
            Some((_, None)) | None => (None, DatabaseState::empty()),
        })
    }

    /// Opens a database for reading, and reads its state, which is none without a registry. None when there is no such file.
    pub(super) async fn open_to_read(
        &self,
        managed: &Managed,
    ) -> Result<Option<(Box<dyn Connection>, Option<DatabaseState>)>, EngineError> {
        let mut connection = match managed.database.open(Access::Read).await {
            Ok(connection) => connection,
            Err(DatabaseError::Absent) => return Ok(None),
            Err(error) => return Err(managed.problem(error)),
        };
        let state = state::read(connection.as_mut(), managed.id())
            .await
            .map_err(|error| managed.problem(error))?;
        Ok(Some((connection, state)))
    }

    /// Opens a database for writing; the first to do so gives it its registry.
    ///
    /// # Errors
    ///
    /// [`EngineError::RegistryNewer`] when a newer dbvc has written the registry.
    pub(super) async fn open_for_writing(&self, managed: &Managed) -> Result<Writing, EngineError> {
        let (connection, found) = self.open_as_found(managed).await?;
        self.with_registry(managed, connection, found).await
    }

    /// Opens a database for writing and reads its state, which is none without a registry. Creates nothing in it.
    pub(super) async fn open_as_found(
        &self,
        managed: &Managed,
    ) -> Result<(Box<dyn Connection>, Option<DatabaseState>), EngineError> {
        if managed.engine() == EngineKind::Cosmos {
            // Its records are in the home database, whose registry must be there and not be newer.
            Box::pin(self.open_for_writing(&self.home())).await?;
        }
        let mut connection = managed
            .database
            .open(Access::Write)
            .await
            .map_err(|error| managed.problem(error))?;
        let found = state::read(connection.as_mut(), managed.id())
            .await
            .map_err(|error| managed.problem(error))?;
        Ok((connection, found))
    }

    /// Gives a database that was opened for writing its registry, unless it has one.
    pub(super) async fn with_registry(
        &self,
        managed: &Managed,
        mut connection: Box<dyn Connection>,
        mut found: Option<DatabaseState>,
    ) -> Result<Writing, EngineError> {
        if found.as_ref().is_none_or(|state| state.lock.is_none()) {
            if found.is_none() {
                self.refuse_damaged_registry(connection.as_mut(), managed)
                    .await?;
            }
            self.refuse_second_beginning(managed).await?;
            begin_making(connection.as_mut(), managed).await?;
            let made = self.make_registry(connection.as_mut(), managed).await;
            self.end_making(connection.as_mut(), managed, made).await?;
            found = state::read(connection.as_mut(), managed.id())
                .await
                .map_err(|error| managed.problem(error))?;
        }
        let state = found.ok_or_else(|| EngineError::Unavailable {
            database: managed.id().clone(),
            source: None,
        })?;
        if let Some(version) = state.newer_registry() {
            return Err(EngineError::RegistryNewer {
                database: managed.id().clone(),
                found: version.to_string(),
            });
        }
        Ok(Writing { connection, state })
    }

    /// Refuses a registry of which a part is missing: nothing can be said of what dbvc did there, and nothing written.
    pub(super) async fn refuse_damaged_registry(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        match look_for_registry(connection, managed).await? {
            Found::Nothing | Found::Registry => Ok(()),
            Found::Damaged(damage) => Err(damaged(managed, &damage)),
        }
    }

    /// Commits or rolls back what [`begin_making`] began, and lets the others in.
    pub(super) async fn end_making<T>(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        made: Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let made = self.conclude(connection, managed, made).await?;
        connection
            .admit_others(MAKING_REGISTRY)
            .await
            .map_err(|error| managed.problem(error))?;
        Ok(made)
    }

    /// Whether another run of this very process holds a Cosmos DB database, whatever its lease says: on an embedded home
    /// database the script of another database may keep it from renewing the lease. `own_run`: the run that asks.
    pub(super) fn is_at_work_here(
        &self,
        managed: &Managed,
        state: &DatabaseState,
        own_run: Option<&str>,
    ) -> bool {
        let held = state.lock.as_ref().and_then(|lock| lock.held.as_ref());
        managed.engine() == EngineKind::Cosmos
            && held
                .and_then(|held| held.run_id.as_deref())
                .filter(|run_id| own_run != Some(run_id))
                .and_then(|run_id| self.inner.live.find(run_id))
                .is_some_and(|live| !live.has_ended())
    }

    /// Waits until no session runs scripts on the database any more, and keeps others from doing so as long as this connection
    /// stands. The lease decides who may; this is about the one that may no longer. `fenced`: whether there may be one.
    pub(super) async fn shut_out(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        fenced: bool,
    ) -> Result<(), EngineError> {
        let wait = self.script_wait();
        let shut_out = async {
            connection
                .exclude_others(&run_session(managed.id()), wait)
                .await?;
            if fenced {
                let name = script_session(managed.id());
                connection.exclude_others(&name, wait).await?;
                connection.admit_others(&name).await?;
            }
            Ok(())
        };
        match shut_out.await {
            Ok(()) => Ok(()),
            Err(error) => Err(managed.busy(connection, error).await),
        }
    }

    /// Commits when all went well, else rolls back and gives the error.
    pub(super) async fn conclude<T>(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        outcome: Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match outcome {
            Ok(value) => {
                connection
                    .commit()
                    .await
                    .map_err(|error| managed.problem(error))?;
                Ok(value)
            }
            Err(problem) => {
                if let Err(error) = connection.rollback().await {
                    tracing::warn!(database = %managed.id(), %error, "rolling back failed");
                }
                Err(problem)
            }
        }
    }

    /// Makes, within the open transaction, whatever of the registry is missing for this database. Two instances that race
    /// come here one after the other, and the second finds everything done.
    pub(super) async fn make_registry(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<(), EngineError> {
        let made = self.make_tables(connection, managed).await?;
        let mut rows = vec![events::add_head(managed.id()), lock::add(managed.id())];
        if made && managed.is_home {
            rows.push(managed.row.insert(Timestamp::now()));
        }
        connection
            .exchange(&rows)
            .await
            .map_err(|error| managed.problem(error))?;
        if made {
            for own in OWN_VERSIONS {
                self.record_own_version(connection, managed, own).await?;
            }
        }
        Ok(())
    }

    /// Makes dbvc's own tables where they are missing; says whether they were.
    pub(super) async fn make_tables(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
    ) -> Result<bool, EngineError> {
        // Not by reading the state: a missing table would end the transaction on SQL Server.
        match look_for_registry(connection, managed).await? {
            Found::Nothing => {}
            Found::Registry => return Ok(false),
            // What is missing may hold what cannot be made again.
            Found::Damaged(damage) if damage.lacks_table("trail_heads") => {
                return Err(damaged(managed, &damage));
            }
            Found::Damaged(_) => return Ok(false),
        }
        for own in OWN_VERSIONS {
            let script = own.script_in(managed.engine(), &managed.registry_schema);
            self.run_own_script(connection, managed, &script).await?;
        }
        Ok(true)
    }

    async fn run_own_script(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        script: &str,
    ) -> Result<(), EngineError> {
        let batches = script_execution::batches(script, managed.engine(), self.options()).map_err(
            |reason| {
                managed.problem(DatabaseError::Refused {
                    phase: "reading dbvc's own script",
                    number: None,
                    message: reason.message,
                })
            },
        )?;
        let report = connection
            .run_batches(batches.into(), ScriptMode::Own, Arc::new(Unobserved))
            .await;
        match report.end {
            ScriptEnd::Completed => Ok(()),
            ScriptEnd::Stopped => Err(EngineError::Unavailable {
                database: managed.id().clone(),
                source: None,
            }),
            ScriptEnd::Left { left, .. } => Err(managed.problem(DatabaseError::ScriptLeft(left))),
            ScriptEnd::Failed { errors, .. } => Err(making_problem(managed, errors)),
        }
    }

    /// Records that one of dbvc's own versions was just applied.
    pub(super) async fn record_own_version(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        own: &OwnVersion,
    ) -> Result<(), EngineError> {
        let caller = Caller {
            executor: "dbvc".to_owned(),
            principal: None,
        };
        let internal = |message: String| {
            managed.problem(DatabaseError::Refused {
                phase: "recording dbvc's own tables",
                number: None,
                message,
            })
        };
        let version = Version::parse(own.version).map_err(|error| internal(error.to_string()))?;
        let name =
            MigrationName::from_file(own.name).map_err(|error| internal(error.to_string()))?;
        let id = MigrationId::versioned(&version, &name);
        let now = Timestamp::now();
        let mut definition = Definition::new(
            id.clone(),
            Some(version),
            &name,
            &caller.executor,
            own.script(managed.engine()).to_owned(),
            None,
        );
        definition.description = Some("dbvc's own tables".to_owned());
        let execution = Execution {
            execution_id: new_id(),
            migration_id: id.clone(),
            run_id: None,
            ordinal: 0,
            direction: Direction::Up,
            status: ExecutionStatus::Applied,
            transactional: true,
            checksum: definition.up_checksum,
            executor: caller.executor.clone(),
            started_at: now,
            finished_at: Some(now),
            duration_ms: Some(0),
            batches: Vec::new(),
            errors: Vec::new(),
            note: None,
            resolved_as: None,
        };
        let mut change = Change::of(managed.id());
        change.records = vec![
            definition.insert(managed.id()),
            execution.insert(managed.id(), None, &self.options().environment),
        ];
        let status = StatusChange {
            migration_id: &id,
            status: AppliedStatus::Applied,
            checksum: definition.up_checksum,
            execution_id: &execution.execution_id,
            executor: &caller.executor,
            at: now,
            duration_ms: 0,
        };
        change.either = vec![status.statements(managed.id())];
        for kind in [
            EventType::Registered,
            EventType::Started,
            EventType::Completed,
        ] {
            let mut draft = self.draft(
                kind,
                &caller,
                serde_json::json!({ "checksum": definition.up_checksum }),
            );
            // The moment on record, so that the trail alone could restore it.
            draft.at = now;
            draft.migration_id = Some(id.clone());
            if kind != EventType::Registered {
                draft.execution_id = Some(execution.execution_id.clone());
            }
            change.events.push(draft);
        }
        audit::append(connection, change, None)
            .await
            .map_err(|error| managed.append_problem(error))?;
        Ok(())
    }

    /// An event of now, by this caller, about nothing in particular yet.
    pub(super) fn draft(
        &self,
        kind: EventType,
        caller: &Caller,
        data: serde_json::Value,
    ) -> EventDraft {
        EventDraft {
            kind,
            migration_id: None,
            run_id: None,
            execution_id: None,
            at: Timestamp::now(),
            executor: caller.executor.clone(),
            principal: caller.principal.clone(),
            environment: self.options().environment.clone(),
            data,
        }
    }

    /// Writes a change of its own: begins, appends, commits. Gives the events to the archive afterwards.
    pub(super) async fn write(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        change: Change<'_>,
    ) -> Result<(), EngineError> {
        if let Err(error) = connection.begin(SHORT_WAIT).await {
            return Err(managed.busy(connection, error).await);
        }
        let appended = audit::append(connection, change, None)
            .await
            .map(|_| ())
            .map_err(|error| managed.append_problem(error));
        self.conclude(connection, managed, appended).await?;
        self.deliver_soon(managed);
        Ok(())
    }

    /// How long a script waits for other writers of its database.
    pub(super) fn script_wait(&self) -> Duration {
        self.options().script_wait()
    }
}

/// What there is of a registry.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// All of it.
    Registry,
    /// A part of it.
    Damaged(Damage),
}

/// Looks whether a database has a registry, in a transaction or outside.
///
/// # Errors
///
/// [`EngineError::NamesTaken`] when it could have none, and [`EngineError::RegistryInSchema`] when it has one elsewhere.
pub(super) async fn look_for_registry(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<Found, EngineError> {
    let found = async {
        let reply = ask(connection, presence::statement(managed.registry_engine)).await?;
        match presence::judge(&reply.rows)? {
            Presence::Absent => Ok(Found::Nothing),
            Presence::Present => Ok(Found::Registry),
            Presence::Damaged(damage) => Ok(Found::Damaged(damage)),
            Presence::NamesTaken(taken) => Err(DatabaseError::NamesTaken(taken)),
            Presence::InSchema(schema) => Err(DatabaseError::RegistryInSchema { schema }),
        }
    };
    found.await.map_err(|error| managed.problem(error))
}

fn damaged(managed: &Managed, damage: &Damage) -> EngineError {
    EngineError::RegistryDamaged {
        database: managed.id().clone(),
        missing: damage.sentences(),
    }
}

/// Why dbvc's own tables could not be made. What the server refuses on its own authority it refuses again; what ended the
/// connection, and what waited too long, may pass.
fn making_problem(managed: &Managed, errors: Vec<ServerError>) -> EngineError {
    const PHASE: &str = "making its own tables";
    let refused = errors.iter().find(|error| {
        let passes = match managed.engine() {
            // 0 is no error of the server's; deadlock, lock timeout; from severity 17 on it has a problem of its own.
            EngineKind::SqlServer | EngineKind::Cosmos => {
                [0, 1205, 1222].contains(&error.number)
                    || error.severity.is_some_and(|severity| severity >= 17)
            }
            // The primary codes: busy, locked, no memory, interrupted, input and output, full.
            EngineKind::Sqlite => [5, 6, 7, 9, 10, 13].contains(&(error.number & 0xff)),
        };
        !passes
    });
    match refused {
        Some(error) => EngineError::DatabaseRefused {
            database: managed.id().clone(),
            phase: PHASE,
            number: Some(error.number),
            message: error.message.clone(),
        },
        None => {
            let words: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            managed.problem(DatabaseError::Refused {
                phase: PHASE,
                number: None,
                message: words.join("; "),
            })
        }
    }
}

/// Begins a transaction in which a registry is made, one instance at a time.
pub(super) async fn begin_making(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<(), EngineError> {
    let begun = async {
        connection
            .exclude_others(MAKING_REGISTRY, SHORT_WAIT)
            .await?;
        connection.begin(SHORT_WAIT).await
    };
    begun.await.map_err(|error| managed.problem(error))
}

/// A new id of a run, an execution or a snapshot: sortable by time.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Shop;
    use super::*;

    fn error(number: i64, severity: Option<i64>) -> ServerError {
        ServerError {
            number,
            severity,
            state: Some(1),
            line: None,
            batch: None,
            procedure: None,
            message: "no".to_owned(),
        }
    }

    #[tokio::test]
    async fn names_are_looked_at_in_the_transaction_that_makes_the_tables() {
        let shop = Shop::new();
        let home = shop.engine.home();
        let mut connection = home.database.open(Access::Write).await.unwrap();
        begin_making(connection.as_mut(), &home).await.unwrap();
        // As if somebody made it after the registry was found missing.
        let taken = crate::database::BatchText {
            index: 1,
            line: 1,
            count: 1,
            text: "CREATE TABLE trail_heads (id INTEGER);".to_owned(),
        };
        connection
            .run_batches([taken].into(), ScriptMode::Own, Arc::new(Unobserved))
            .await;
        let made = shop.engine.make_tables(connection.as_mut(), &home).await;
        let Err(EngineError::NamesTaken { taken, .. }) = made else {
            panic!("the name is taken: {made:?}");
        };
        assert_eq!(taken[0].name, "trail_heads");
        let found = look_for_registry(connection.as_mut(), &home).await;
        assert!(found.is_err(), "nothing is made");
    }

    #[test]
    fn what_passes_by_itself_is_no_refusal() {
        let shop = Shop::new();
        let mut home = shop.engine.home();
        let is_refused =
            |home: &Managed, errors: Vec<ServerError>| match making_problem(home, errors) {
                EngineError::DatabaseRefused { number, .. } => number,
                EngineError::Unavailable { .. } => None,
                other => panic!("{other}"),
            };
        // Busy, full; an error in the statement, a file that only allows reading.
        for (number, refused) in [
            (5, None),
            (13, None),
            (1, Some(1)),
            (8, Some(8)),
            (1032, Some(1032)),
        ] {
            let errors = vec![error(number, Some(16))];
            assert_eq!(is_refused(&home, errors), refused, "{number}");
        }
        home.row.engine = EngineKind::SqlServer;
        for (number, severity, refused) in [
            (0, 16, None),
            (1205, 13, None),
            (1222, 16, None),
            (9002, 17, None),
            (262, 14, Some(262)),
            (2714, 16, Some(2714)),
            (3906, 16, Some(3906)),
        ] {
            let errors = vec![error(number, Some(severity))];
            assert_eq!(is_refused(&home, errors), refused, "{number}");
        }
        let first = vec![error(2714, Some(16)), error(1750, Some(16))];
        assert_eq!(is_refused(&home, first), Some(2714));
    }
}
