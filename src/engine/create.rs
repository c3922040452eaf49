//! Registering migrations.

use std::collections::HashMap;

use jiff::ToSpan;

use crate::audit::{self, Change, EventType};
use crate::database::{Connection, DatabaseError, SHORT_WAIT, ask};
use crate::registry::migrations::{self, Definition, MigrationRecord};
use crate::registry::state::{self, DatabaseState};
use crate::script::{
    DatabaseId, EngineKind, Finding, MigrationId, MigrationName, Prefix, ScriptKind, Severity,
    Syntax, Version, check_operations, check_script, missing_down_script,
};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing};
use super::error::{EngineError, FieldError};
use super::request::{Caller, Naming, NewMigration};
use super::view::{Creation, MigrationDetail, MigrationView};

/// What registering does with a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Adds it.
    Add,
    /// Takes a withdrawn one up again.
    TakeUp,
    /// Leaves everything as it is.
    Leave,
    /// Replaces the text; for an applied one also the checksum that is recorded as applied.
    Replace { applied: bool },
}

/// Decides what registering does, given what is registered under the id.
fn decide(
    present: Option<&MigrationRecord>,
    new: &Definition,
    reregister: bool,
) -> Result<Decision, EngineError> {
    let Some(present) = present else {
        return Ok(Decision::Add);
    };
    if present.withdrawn_at.is_some() {
        return Ok(Decision::TakeUp);
    }
    let same = present.up_checksum == new.up_checksum && present.down_checksum == new.down_checksum;
    if same {
        return Ok(Decision::Leave);
    }
    let applied = present.is_applied() && present.version.is_some();
    if reregister || present.version.is_none() {
        return Ok(Decision::Replace { applied });
    }
    Err(if applied {
        EngineError::ChecksumMismatch(vec![new.migration_id.clone()])
    } else {
        EngineError::AlreadyRegistered(new.migration_id.clone())
    })
}

/// The first free version that is a time, from `now` on: two creations in one second get two versions.
fn free_time_version(now: Timestamp, taken: impl Fn(&Version) -> bool) -> Version {
    let mut moment = now.as_jiff();
    loop {
        let version = Version::from_time(moment);
        if !taken(&version) {
            return version;
        }
        match moment.checked_add(1.second()) {
            Ok(next) => moment = next,
            Err(_) => return version,
        }
    }
}

/// What the script check says of a migration's scripts; what is an error there is refused by field.
fn check_scripts(new: &NewMigration, engine: EngineKind) -> Result<Vec<Finding>, Vec<FieldError>> {
    let check = |text: &str, kind, about_file| match Syntax::of_engine(engine) {
        Some(syntax) => check_script(text, syntax, kind, about_file),
        None => [about_file, check_operations(text)].concat(),
    };
    let missing = new.down_script.is_none().then(missing_down_script);
    let up = check(&new.up_script, ScriptKind::Up, Vec::from_iter(missing));
    let down = new.down_script.as_deref();
    let down = down.map(|text| check(text, ScriptKind::Down, Vec::new()));
    let mut wrong = Vec::new();
    let mut findings = Vec::new();
    for (field, found) in [("upScript", up), ("downScript", down.unwrap_or_default())] {
        for finding in found {
            if finding.severity == Severity::Error {
                wrong.push(FieldError::new(
                    field,
                    format!("line {}: {}", finding.line, finding.message),
                ));
            } else if field == "upScript" {
                findings.push(finding);
            }
        }
    }
    if wrong.is_empty() {
        Ok(findings)
    } else {
        Err(wrong)
    }
}

/// How often is decided anew because another writer was faster. Each time somebody else's migration was registered.
const ATTEMPTS: u32 = 20;

/// A migration that is to be registered, with its place.
struct Candidate {
    definition: Definition,
    findings: Vec<Finding>,
}

impl Engine {
    /// Registers a migration.
    ///
    /// # Errors
    ///
    /// `unknown-database`, `wrong-environment`, `missing-variant`, `reserved-version`, `duplicate-version`,
    /// `already-registered`, `checksum-mismatch`, and scripts that can never run.
    pub async fn create(
        &self,
        caller: &Caller,
        new: NewMigration,
    ) -> Result<(Creation, MigrationView), EngineError> {
        let database = new.database_id.clone();
        let mut created = self.create_all(caller, &database, vec![new]).await?;
        created.pop().ok_or(EngineError::Unavailable {
            database,
            source: None,
        })
    }

    /// Registers migrations of one database, all of them or none.
    ///
    /// # Errors
    ///
    /// As [`Engine::create`], for the first that is refused.
    pub async fn create_all(
        &self,
        caller: &Caller,
        database: &DatabaseId,
        new: Vec<NewMigration>,
    ) -> Result<Vec<(Creation, MigrationView)>, EngineError> {
        let managed = self.managed(database).await?;
        let mut checked = Vec::with_capacity(new.len());
        for migration in new {
            check_naming(&migration.naming, managed.engine())?;
            let findings =
                check_scripts(&migration, managed.engine()).map_err(EngineError::Invalid)?;
            checked.push((migration, findings));
        }
        let Writing {
            mut connection,
            state,
        } = self.open_for_writing(&managed).await?;
        // When nothing is new there is nothing to lock for.
        let (candidates, decisions) = decide_all(&state, &checked)?;
        if decisions
            .iter()
            .all(|decision| *decision == Decision::Leave)
        {
            return Ok(views(&managed, &state, candidates, &decisions));
        }
        let mut attempts = 1;
        let created = loop {
            let registered = self
                .register_all(caller, &managed, connection.as_mut(), &checked)
                .await;
            match registered {
                // What the other one wrote decides now.
                Err(problem) if another_was_faster(&problem) && attempts < ATTEMPTS => {
                    attempts += 1;
                }
                registered => break registered?,
            }
        };
        self.deliver_soon(&managed);
        Ok(created)
    }

    /// Decides in a transaction, and registers what is decided.
    async fn register_all(
        &self,
        caller: &Caller,
        managed: &Managed,
        connection: &mut dyn Connection,
        checked: &[(NewMigration, Vec<Finding>)],
    ) -> Result<Vec<(Creation, MigrationView)>, EngineError> {
        if let Err(error) = connection.begin(SHORT_WAIT).await {
            return Err(managed.busy(connection, error).await);
        }
        let registered = async {
            let state = state::read(connection, managed.id())
                .await
                .map_err(|error| managed.problem(error))?
                .unwrap_or_else(DatabaseState::empty);
            let (candidates, decisions) = decide_all(&state, checked)?;
            // A run that has planned a script keeps the text that it has read: nobody replaces it meanwhile.
            let replaces = decisions
                .iter()
                .any(|decision| matches!(decision, Decision::Replace { .. } | Decision::TakeUp));
            if replaces
                && state
                    .lock
                    .as_ref()
                    .and_then(super::access::holder)
                    .is_some()
            {
                return Err(managed.locked(state.lock.as_ref()));
            }
            let mut change = Change::of(managed.id());
            for (candidate, decision) in candidates.iter().zip(&decisions) {
                self.register(caller, managed, candidate, *decision, &mut change);
            }
            audit::append(connection, change, None)
                .await
                .map_err(|error| managed.append_problem(error))?;
            let after = state::read(connection, managed.id())
                .await
                .map_err(|error| managed.problem(error))?
                .unwrap_or(state);
            Ok(views(managed, &after, candidates, &decisions))
        }
        .await;
        self.conclude(connection, managed, registered).await
    }

    /// Adds to a change what registering one migration takes.
    fn register(
        &self,
        caller: &Caller,
        managed: &Managed,
        candidate: &Candidate,
        decision: Decision,
        change: &mut Change<'_>,
    ) {
        let definition = &candidate.definition;
        let now = Timestamp::now();
        let kind = match decision {
            Decision::Leave => return,
            Decision::Add => {
                change.records.push(definition.insert(managed.id()));
                EventType::Registered
            }
            Decision::TakeUp => {
                change.records.push(definition.replace(managed.id(), now));
                EventType::Registered
            }
            Decision::Replace { applied } => {
                change.records.push(definition.replace(managed.id(), now));
                if applied {
                    change.records.push(migrations::accept_checksum(
                        managed.id(),
                        &definition.migration_id,
                        &definition.up_checksum,
                    ));
                }
                EventType::Reregistered
            }
        };
        let mut event = self.draft(
            kind,
            caller,
            serde_json::json!({
                "name": definition.name,
                "version": definition.version.as_ref().map(Version::as_written),
                "author": definition.author,
                "checksum": definition.up_checksum,
                "downChecksum": definition.down_checksum,
                "applied": decision == Decision::Replace { applied: true },
            }),
        );
        event.migration_id = Some(definition.migration_id.clone());
        change.events.push(event);
    }

    /// A registered migration with its scripts and attempts.
    ///
    /// # Errors
    ///
    /// `unknown-database`, `wrong-environment` and `unknown-migration`.
    pub async fn migration(
        &self,
        database: &DatabaseId,
        id: &str,
    ) -> Result<MigrationDetail, EngineError> {
        let managed = self.managed(database).await?;
        let unknown = || EngineError::UnknownMigration {
            database: database.clone(),
            migration: id.to_owned(),
        };
        let (connection, state) = self.read_state(&managed).await?;
        let (Some(mut connection), Some(record)) = (connection, state.find(id)) else {
            return Err(unknown());
        };
        let definition = ask(connection.as_mut(), migrations::definition(database, id))
            .await
            .map_err(|error| managed.problem(error))?
            .rows
            .first()
            .map(migrations::parse_definition)
            .transpose()
            .map_err(|error| managed.problem(error.into()))?
            .ok_or_else(unknown)?;
        let executions = self.attempts_at(connection.as_mut(), &managed, id).await?;
        let findings = match Syntax::of_engine(managed.engine()) {
            Some(syntax) => check_script(&definition.up_script, syntax, ScriptKind::Up, Vec::new()),
            None => check_operations(&definition.up_script),
        };
        Ok(MigrationDetail {
            migration: view(&managed, record, findings),
            up_script: definition.up_script,
            down_script: definition.down_script,
            executions,
        })
    }
}

/// Whether another writer registered the same between the look and the write. On SQLite nobody can.
fn another_was_faster(problem: &EngineError) -> bool {
    matches!(
        problem,
        EngineError::Unavailable {
            source: Some(DatabaseError::Duplicate { .. }),
            ..
        }
    )
}

/// A file must be a script for the database's engine, and no down script by itself.
fn check_naming(naming: &Naming, engine: EngineKind) -> Result<(), EngineError> {
    let version = match naming {
        Naming::File(file) => {
            if file.prefix == Prefix::Down {
                return Err(EngineError::Invalid(vec![FieldError::new(
                    "fileName",
                    "names a down script; send its text as downScript with the V file's name",
                )]));
            }
            if file.engine != engine {
                return Err(EngineError::MissingVariant {
                    file: file.up_file(file.engine),
                    engine: engine.to_string(),
                    expected: file.up_file(engine),
                });
            }
            file.version.as_ref()
        }
        Naming::Given { version, .. } => version.as_ref(),
    };
    match version {
        Some(version) if version.is_reserved() => Err(EngineError::ReservedVersion(
            version.as_written().to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Decides for all, each seeing those before it.
fn decide_all(
    state: &DatabaseState,
    new: &[(NewMigration, Vec<Finding>)],
) -> Result<(Vec<Candidate>, Vec<Decision>), EngineError> {
    let mut holders: HashMap<Version, MigrationId> = state
        .migrations
        .iter()
        .filter_map(|record| Some((record.version.clone()?, record.migration_id.clone())))
        .collect();
    let present: HashMap<&MigrationId, &MigrationRecord> = state
        .migrations
        .iter()
        .chain(&state.withdrawn)
        .map(|record| (&record.migration_id, record))
        .collect();
    let now = Timestamp::now();
    let mut candidates = Vec::with_capacity(new.len());
    let mut decisions = Vec::with_capacity(new.len());
    for (migration, findings) in new {
        let (version, name, file_name) = place(migration, now, &holders);
        let id = match &version {
            Some(version) => MigrationId::versioned(version, &name),
            None => MigrationId::repeatable(&name),
        };
        if let Some(version) = &version
            && let Some(holder) = holders.get(version)
            && *holder != id
        {
            return Err(EngineError::DuplicateVersion {
                version: version.as_written().to_owned(),
                holder: holder.clone(),
            });
        }
        let mut definition = Definition::new(
            id.clone(),
            version.clone(),
            &name,
            &migration.author,
            migration.up_script.clone(),
            migration.down_script.clone(),
        );
        definition.description.clone_from(&migration.description);
        definition.file_name = file_name;
        decisions.push(decide(
            present.get(&id).copied(),
            &definition,
            migration.reregister,
        )?);
        if let Some(version) = version {
            holders.insert(version, id);
        }
        candidates.push(Candidate {
            definition,
            findings: findings.clone(),
        });
    }
    Ok((candidates, decisions))
}

fn place(
    migration: &NewMigration,
    now: Timestamp,
    holders: &HashMap<Version, MigrationId>,
) -> (Option<Version>, MigrationName, Option<String>) {
    match &migration.naming {
        Naming::File(file) => (
            file.version.clone(),
            file.name.clone(),
            Some(file.up_file(file.engine)),
        ),
        Naming::Given { name, version } => {
            let version = version
                .clone()
                .unwrap_or_else(|| free_time_version(now, |version| holders.contains_key(version)));
            (Some(version), name.clone(), None)
        }
    }
}

fn views(
    managed: &Managed,
    state: &DatabaseState,
    candidates: Vec<Candidate>,
    decisions: &[Decision],
) -> Vec<(Creation, MigrationView)> {
    candidates
        .into_iter()
        .zip(decisions)
        .filter_map(|(candidate, decision)| {
            let creation = match decision {
                Decision::Add | Decision::TakeUp => Creation::Created,
                Decision::Leave => Creation::Unchanged,
                Decision::Replace { .. } => Creation::Reregistered,
            };
            let record = state.find(candidate.definition.migration_id.as_str())?;
            Some((creation, view(managed, record, candidate.findings)))
        })
        .collect()
}

/// A migration as callers see it.
pub(super) fn view(
    managed: &Managed,
    record: &MigrationRecord,
    warnings: Vec<Finding>,
) -> MigrationView {
    MigrationView {
        migration_id: record.migration_id.clone(),
        version: record
            .version
            .as_ref()
            .map(|version| version.as_written().to_owned()),
        name: record.name.clone(),
        database_id: managed.id().clone(),
        author: record.author.clone(),
        description: record.description.clone(),
        checksum: record.up_checksum,
        down_checksum: record.down_checksum,
        has_down_script: record.down_checksum.is_some(),
        status: if record.withdrawn_at.is_some() {
            "withdrawn".to_owned()
        } else {
            record.status_word().to_owned()
        },
        created_at: record.created_at,
        warnings,
        file_name: record.file_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_creations_in_one_second_get_two_versions() {
        let now: Timestamp = "2025-11-27T14:30:59.900Z".parse().unwrap();
        let first = free_time_version(now, |_| false);
        assert_eq!(first.as_written(), "20251127143059");
        let second = free_time_version(now, |version| *version == first);
        assert_eq!(second.as_written(), "20251127143100");
    }
}
