//! Reading what the checks judge, and putting their words together.

use crate::audit::lineage::Lineage;
use crate::database::{Access, Connection, DatabaseError, ask};
use crate::registry::executions::{self, Execution};
use crate::registry::migrations;
use crate::registry::state::{self, DatabaseState};
use crate::script::{EngineKind, MigrationId};

use super::super::Engine;
use super::super::access::{Found, Managed, holder, look_for_registry};
use super::super::between_runs::Moment;
use super::super::error::EngineError;
use super::super::recovery;
use super::super::snapshots::is_about_content;
use super::super::view::{Check, Drift};
use super::applied_status::Correction;
use super::archived::Archived;
use super::texts::{Copies, Texts};
use super::trail::{self, Trail};
use super::{
    Title, applied_status, checksums, down_scripts, drift, execution_history, locks,
    registry_backup, registry_schema, version_order,
};

/// How many interrupted attempts are read.
const INTERRUPTED: u32 = 1_000;

/// What the checks found, and what of it can be mended without guessing.
pub(super) struct Examination {
    pub checks: Vec<Check>,
    pub mendable: Mendable,
}

/// What can be mended without guessing.
pub(super) struct Mendable {
    /// When it was read.
    pub moment: Moment,
    /// A run was at work then.
    pub held: bool,
    /// A run is dead, and nobody has written up what became of it.
    pub dead_run: bool,
    /// States that the history explains otherwise.
    pub corrections: Vec<Correction>,
    /// The archive's copies of migrations are not what the registry has.
    pub backup: bool,
    /// The archive lacks events that the registry has.
    pub archive_lacks_events: bool,
    /// Something waits for its delivery.
    pub undelivered: bool,
}

/// What the registry says, read in one exchange.
pub(super) struct Records {
    /// The state that planning and status see.
    pub state: DatabaseState,
    /// The newest attempt at each migration that was not interrupted.
    pub latest: Vec<Execution>,
    /// The newest interrupted attempts.
    pub interrupted: Vec<(String, MigrationId)>,
}

impl Records {
    /// What a database without a registry has.
    fn none() -> Self {
        Self {
            state: DatabaseState::empty(),
            latest: Vec::new(),
            interrupted: Vec::new(),
        }
    }

    /// Whether a run is at work.
    pub fn is_held(&self) -> bool {
        self.state.lock.as_ref().and_then(holder).is_some()
    }

    /// Whether a run died and nobody has written up what became of it.
    pub fn has_dead_run(&self) -> bool {
        !self.is_held() && recovery::is_needed(&self.state)
    }
}

/// Everything that the checks judge.
pub(super) struct Evidence {
    /// The engine of the database that has the registry.
    pub engine: EngineKind,
    /// What that database says of dbvc's own versions.
    pub definition: DatabaseState,
    /// Whether there is a registry at all.
    pub registered: bool,
    pub records: Records,
    pub texts: Texts,
    pub trail: Trail,
}

impl Engine {
    /// Looks at everything. Writes nothing and makes nothing.
    pub(super) async fn examine(&self, managed: &Managed) -> Result<Examination, EngineError> {
        // Where the registry is: the records of a Cosmos DB database are in the home database.
        let registry = match managed.engine() {
            EngineKind::Cosmos => self.home(),
            EngineKind::SqlServer | EngineKind::Sqlite => managed.clone(),
        };
        let mut connection = match registry.database.open(Access::Read).await {
            Ok(connection) => Some(connection),
            Err(DatabaseError::Absent) => None,
            Err(error) => return Err(managed.problem(error)),
        };
        let found = match &mut connection {
            None => Found::Nothing,
            Some(connection) => look_for_registry(connection.as_mut(), &registry).await?,
        };
        // Without its tables there is nothing to be read from a database, even if it is there.
        let mut connection = match found {
            Found::Nothing => None,
            Found::Registry => connection,
            Found::Damaged(damage) => return Ok(unreadable(damage.sentences())),
        };
        let gathered = self
            .gather(
                connection.as_deref_mut().map(|connection| connection as _),
                managed,
                &registry,
            )
            .await;
        let evidence = match gathered {
            Ok(evidence) => evidence,
            // A row that dbvc cannot have written: a finding, not a failure.
            Err(DatabaseError::Column(error)) => return Ok(unreadable(vec![error.to_string()])),
            Err(error) => return Err(managed.problem(error)),
        };
        let drift = match self.against_live(managed).await {
            // Cosmos DB being down keeps nobody from looking at the records.
            Err(error) if !is_about_content(&error) && managed.engine() != EngineKind::Cosmos => {
                return Err(error);
            }
            looked => looked,
        };
        Ok(judge(&evidence, &drift))
    }

    async fn gather(
        &self,
        mut connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        registry: &Managed,
    ) -> Result<Evidence, DatabaseError> {
        let records = match &mut connection {
            None => Records::none(),
            Some(connection) => read_records(*connection, managed).await?,
        };
        let definition = match &mut connection {
            Some(connection) if registry.id() != managed.id() => {
                let reply = ask(*connection, migrations::records(registry.id())).await?;
                let records = reply.rows.iter().map(migrations::parse_record);
                DatabaseState {
                    migrations: records.collect::<Result<Vec<_>, _>>()?,
                    ..DatabaseState::empty()
                }
            }
            _ => records.state.clone(),
        };
        let archive = self.archive_of(managed);
        let lineage = match archive {
            None => Ok(Lineage::Unknown),
            Some(archive) => {
                let registry = connection
                    .as_mut()
                    .map(|connection| &mut **connection as &mut dyn Connection);
                self.lineage_in(archive, registry, managed).await
            }
        };
        let archived = match (archive, &lineage) {
            (None, _) => Archived::Nowhere,
            // A contradiction shows when the two are compared.
            (Some(archive), Ok(Lineage::Own(stream) | Lineage::Contradicting(stream))) => {
                Archived::At(archive, &stream.partition)
            }
            (Some(_), Ok(Lineage::Unknown)) => Archived::Nothing,
            (Some(_), Err(error)) => {
                tracing::warn!(database = %managed.id(), %error, "the archive was not looked at");
                Archived::Unreadable
            }
        };
        let texts = Texts::read(connection.as_deref_mut(), managed, archived).await?;
        let trail = Trail::read(connection.as_deref_mut(), managed, archived).await?;
        Ok(Evidence {
            engine: registry.engine(),
            definition,
            registered: connection.is_some(),
            records,
            texts,
            trail,
        })
    }
}

fn judge(evidence: &Evidence, drift: &Result<Drift, EngineError>) -> Examination {
    let records = &evidence.records;
    let (applied_status, corrections) = applied_status::check(records);
    Examination {
        checks: vec![
            checksums::check(records, &evidence.texts),
            applied_status,
            execution_history::check(records),
            locks::check(records),
            down_scripts::check(records),
            version_order::check(records),
            registry_schema::check(evidence),
            registry_backup::check(&evidence.texts, &evidence.trail),
            trail::check_chain(&evidence.trail),
            trail::check_delivery(&evidence.trail),
            drift::check(drift),
        ],
        mendable: Mendable {
            moment: Moment::of(&records.state),
            held: records.is_held(),
            dead_run: records.has_dead_run(),
            corrections,
            // Nothing is delivered to an archive that has another history.
            backup: !evidence.trail.is_parted()
                && evidence
                    .texts
                    .copies
                    .as_ref()
                    .is_some_and(Copies::can_be_mended),
            archive_lacks_events: evidence.trail.archive_can_be_mended(),
            undelivered: evidence.trail.undelivered > 0 || evidence.texts.waiting > 0,
        },
    }
}

/// The checks when dbvc's own tables cannot be read: one says why, the others that they could not look.
fn unreadable(faults: Vec<String>) -> Examination {
    let not_looked = |title: Title| {
        title.warn(
            "not looked at: dbvc's own tables cannot be read",
            Vec::new(),
        )
    };
    Examination {
        checks: vec![
            not_looked(checksums::TITLE),
            not_looked(applied_status::TITLE),
            not_looked(execution_history::TITLE),
            not_looked(locks::TITLE),
            not_looked(down_scripts::TITLE),
            not_looked(version_order::TITLE),
            registry_schema::TITLE.fail(registry_schema::DAMAGED, faults),
            not_looked(registry_backup::TITLE),
            not_looked(trail::CHAIN),
            not_looked(trail::DELIVERY),
            not_looked(drift::TITLE),
        ],
        mendable: Mendable {
            moment: Moment::of(&DatabaseState::empty()),
            held: false,
            dead_run: false,
            corrections: Vec::new(),
            backup: false,
            archive_lacks_events: false,
            undelivered: false,
        },
    }
}

async fn read_records(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<Records, DatabaseError> {
    let mut statements = state::statements(managed.id());
    statements.push(executions::latest(managed.id()));
    statements.push(executions::interrupted(managed.id(), INTERRUPTED));
    let replies = connection.exchange(&statements).await?;
    let state = state::parse(&replies)?;
    let rows = |index: usize| replies.get(index).map_or(&[][..], |reply| &reply.rows[..]);
    let mut interrupted = Vec::new();
    for row in rows(state::ANSWERS + 1) {
        interrupted.push((
            row.text("execution_id")?.to_owned(),
            row.parsed("migration_id", "a migration's id")?,
        ));
    }
    Ok(Records {
        state,
        latest: rows(state::ANSWERS)
            .iter()
            .map(executions::parse)
            .collect::<Result<Vec<_>, _>>()?,
        interrupted,
    })
}
