//! Drift: how the live schema differs from the last trusted snapshot, when that can be said.

use std::fmt;

use crate::audit::{EventDraft, EventType};
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::events;
use crate::registry::snapshots::{self, SnapshotRow};
use crate::registry::state::{self, DatabaseState};
use crate::schema::{ChangeKind, Compared, Dialect, Purpose, Schema, diff, proposal};
use crate::script::{DatabaseId, EngineKind};

use super::Engine;
use super::access::{Managed, holder};
use super::between_runs::Moment;
use super::error::{EngineError, FieldError};
use super::request::Caller;
use super::snapshots::{is_about_content, live_schema};
use super::view::{Drift, DriftScript, DriftSide, DriftState};

/// How often the live schema is read anew because a run came in between.
const ATTEMPTS: u32 = 3;

/// How many names a finding's event carries; the list of all is what GET drift is for.
const NAMES: usize = 20;

/// Why drift cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// A run holds the database and may be changing it.
    Held,
    /// A run died, and nobody has found out yet what it did.
    DeadRun,
    /// An execution without a transaction has not ended.
    Running,
    /// Executions came after the last trusted snapshot.
    OutOfDate,
    /// There is nothing to compare with.
    NoTrustedSnapshot,
    /// Runs kept coming in between.
    Busy,
    /// The schema differs, and the content of the snapshot is in another archive.
    ContentElsewhere,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Held => "a run holds the database; ask again when it has ended",
            Self::DeadRun => {
                "a run ended without a word, and what it did is not known yet; the next run finds out, and so does \
                 POST integrity/verify with fix"
            }
            Self::Running => {
                "an execution has not ended; the next run finds out what became of it, and so does POST integrity/verify \
                 with fix"
            }
            Self::OutOfDate => {
                "executions are newer than the last trusted snapshot; the next run takes a new one, or capture a baseline"
            }
            Self::NoTrustedSnapshot => {
                "there is no trusted snapshot yet; the next run takes one, or capture a baseline"
            }
            Self::Busy => "runs came in between each time the schema was read; ask again later",
            Self::ContentElsewhere => {
                "the schema differs from the last trusted snapshot, but the content of that is in another archive, where an \
                 earlier dbvc or other settings put it; capture a baseline, or let a dbvc that has that archive change something \
                 here, which takes the content back"
            }
        })
    }
}

/// The snapshot to compare the live schema with, or why there is nothing to say.
pub(super) fn judge(state: &DatabaseState) -> Result<&SnapshotRow, Hindrance> {
    if state.lock.as_ref().and_then(holder).is_some() {
        return Err(Hindrance::Held);
    }
    if !state.open_plans.is_empty() {
        return Err(Hindrance::DeadRun);
    }
    if !state.running.is_empty() {
        return Err(Hindrance::Running);
    }
    trusted_and_current(state)
}

/// The same without asking whether a run is at work: for the run itself.
fn trusted_and_current(state: &DatabaseState) -> Result<&SnapshotRow, Hindrance> {
    let trusted = state
        .trusted_snapshot
        .as_ref()
        .ok_or(Hindrance::NoTrustedSnapshot)?;
    if state.snapshot_is_current() {
        Ok(trusted)
    } else {
        Err(Hindrance::OutOfDate)
    }
}

/// What the snapshots taken so far say of drift, without a look at the live schema.
pub(super) fn drift_state(state: &DatabaseState) -> DriftState {
    let detected = match (trusted_and_current(state), &state.newest_snapshot) {
        (Ok(trusted), Some(newest)) => Some(trusted.schema_hash != newest.schema_hash),
        _ => None,
    };
    DriftState {
        detected,
        checked_at: state
            .newest_snapshot
            .as_ref()
            .map(|newest| newest.captured_at),
    }
}

fn side_of(row: &SnapshotRow) -> DriftSide {
    DriftSide {
        snapshot_id: Some(row.snapshot_id.clone()),
        live: false,
        schema_hash: Some(row.schema_hash.clone()),
    }
}

fn live_side(hash: String) -> DriftSide {
    DriftSide {
        snapshot_id: None,
        live: true,
        schema_hash: Some(hash),
    }
}

fn not_judged(managed: &Managed, from: Option<&SnapshotRow>, why: &Hindrance) -> Drift {
    Drift {
        database_id: managed.id().clone(),
        detected: None,
        from: from.map(side_of),
        to: None,
        reason: Some(why.to_string()),
        changes: Vec::new(),
    }
}

/// A drift and the two schemas that it is between, which are not read when their hashes are equal.
struct Comparison {
    drift: Drift,
    schemas: Option<(Schema, Schema)>,
    /// Of the snapshots that were compared.
    engines: Vec<EngineKind>,
}

impl Comparison {
    fn none(drift: Drift) -> Self {
        Self {
            drift,
            schemas: None,
            engines: Vec::new(),
        }
    }

    fn of(
        managed: &Managed,
        (from, to): (DriftSide, DriftSide),
        schemas: Option<(Schema, Schema)>,
        engines: Vec<EngineKind>,
    ) -> Self {
        let changes = schemas
            .as_ref()
            .map_or_else(Vec::new, |(older, newer)| diff(older, newer));
        let drift = Drift {
            database_id: managed.id().clone(),
            detected: Some(!changes.is_empty()),
            from: Some(from),
            to: Some(to),
            reason: None,
            changes,
        };
        Self {
            drift,
            schemas,
            engines,
        }
    }
}

/// A side as the head of a script names it.
fn words_of(side: Option<&DriftSide>) -> String {
    let Some(side) = side else {
        return "nothing".to_owned();
    };
    let what = match &side.snapshot_id {
        Some(id) => format!("snapshot {id}"),
        None => "the live schema".to_owned(),
    };
    let hash = side.schema_hash.as_deref().unwrap_or_default();
    format!("{what} ({hash})")
}

impl Engine {
    /// How a database differs from its last trusted snapshot, or how two snapshots of the environment differ. Writes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownSnapshot`]; [`EngineError::Archive`] when there is a difference and the archive, which has the
    /// snapshot's content, cannot be reached.
    pub async fn drift(
        &self,
        database: &DatabaseId,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Drift, EngineError> {
        let managed = self.managed(database).await?;
        Ok(self.compared(&managed, from, to).await?.drift)
    }

    /// The same drift with a script that adopts it, or takes it back.
    ///
    /// # Errors
    ///
    /// As [`drift`](Self::drift); [`EngineError::DriftNotJudged`] where that says so in its answer, and
    /// [`EngineError::Invalid`] for containers, and for a snapshot of another engine.
    pub async fn drift_script(
        &self,
        database: &DatabaseId,
        from: Option<&str>,
        to: Option<&str>,
        purpose: Purpose,
    ) -> Result<(Drift, DriftScript), EngineError> {
        let refused = |why: &str| EngineError::Invalid(vec![FieldError::new("script", why)]);
        let managed = self.managed(database).await?;
        let dialect = match managed.engine() {
            EngineKind::SqlServer => Dialect::TransactSql,
            EngineKind::Sqlite => Dialect::Sqlite,
            EngineKind::Cosmos => {
                return Err(refused(
                    "is not written for containers; write the operations by hand, as GET drift shows what differs",
                ));
            }
        };
        let Comparison {
            drift,
            schemas,
            engines,
        } = self.compared(&managed, from, to).await?;
        if let (None, Some(reason)) = (drift.detected, &drift.reason) {
            return Err(EngineError::DriftNotJudged(reason.clone()));
        }
        if engines.iter().any(|engine| *engine != managed.engine()) {
            return Err(refused(
                "is written for two states of one kind of engine only; name a snapshot of the same kind",
            ));
        }
        let (from, to) = schemas.unwrap_or_default();
        let compared = Compared {
            database: managed.id().as_str(),
            from: &words_of(drift.from.as_ref()),
            to: &words_of(drift.to.as_ref()),
        };
        let proposal = proposal(&from, &to, dialect, purpose, compared);
        let script = DriftScript {
            purpose,
            suggested_name: match purpose {
                Purpose::Adopt => "adopt_live_changes",
                Purpose::Revert => "revert_live_changes",
            },
            statements: proposal.statements,
            commented_out: proposal.commented_out,
            notes: proposal.notes,
            text: proposal.text,
        };
        Ok((drift, script))
    }

    async fn compared(
        &self,
        managed: &Managed,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Comparison, EngineError> {
        let from = match from {
            None => None,
            Some(id) => Some(self.named_snapshot(managed, id).await?),
        };
        let Some(to) = to else {
            return self.compared_with_live(managed, from).await;
        };
        let to = self.named_snapshot(managed, to).await?;
        let from = match from {
            Some(from) => from,
            None => {
                let (_, state) = self.read_state(managed).await?;
                match state.trusted_snapshot {
                    Some(trusted) => (managed.clone(), trusted),
                    None => {
                        return Ok(Comparison::none(Drift {
                            to: Some(side_of(&to.1)),
                            ..not_judged(managed, None, &Hindrance::NoTrustedSnapshot)
                        }));
                    }
                }
            }
        };
        let schemas = if from.1.schema_hash == to.1.schema_hash {
            None
        } else {
            let older = self.stored_schema(&from.0, &from.1).await?;
            let newer = self.stored_schema(&to.0, &to.1).await?;
            Some((older, newer))
        };
        let sides = (side_of(&from.1), side_of(&to.1));
        let engines = vec![from.1.engine, to.1.engine];
        Ok(Comparison::of(managed, sides, schemas, engines))
    }

    /// A snapshot of this database or of another one of the environment.
    async fn named_snapshot(
        &self,
        managed: &Managed,
        id: &str,
    ) -> Result<(Managed, SnapshotRow), EngineError> {
        match self.find_snapshot(vec![managed.clone()], id).await {
            Err(EngineError::UnknownSnapshot(_)) => {
                let mut others = self.one_or_all(None).await?;
                others.retain(|other| other.id() != managed.id());
                self.find_snapshot(others, id).await
            }
            found => found,
        }
    }

    /// Compares the live schema with a snapshot: by default the last trusted one.
    ///
    /// Whether a run is at work is asked before and after the schema is read. A snapshot that the caller names is compared
    /// whatever was executed since: then the question is not who changed the database.
    pub(super) async fn against_live(&self, managed: &Managed) -> Result<Drift, EngineError> {
        Ok(self.compared_with_live(managed, None).await?.drift)
    }

    async fn compared_with_live(
        &self,
        managed: &Managed,
        named: Option<(Managed, SnapshotRow)>,
    ) -> Result<Comparison, EngineError> {
        let judged = |state: &DatabaseState| match &named {
            None => judge(state).cloned(),
            Some((_, row)) => match judge(state) {
                Ok(_) | Err(Hindrance::OutOfDate | Hindrance::NoTrustedSnapshot) => Ok(row.clone()),
                Err(why) => Err(why),
            },
        };
        let about = |state: &DatabaseState| match &named {
            Some((_, row)) => Some(row.clone()),
            None => state.trusted_snapshot.clone(),
        };
        for _ in 0..ATTEMPTS {
            let (connection, before) = self.read_state(managed).await?;
            let (Some(mut connection), Ok(from)) = (connection, judged(&before)) else {
                let why = judged(&before)
                    .err()
                    .unwrap_or(Hindrance::NoTrustedSnapshot);
                let drift = not_judged(managed, about(&before).as_ref(), &why);
                return Ok(Comparison::none(drift));
            };
            let live = live_schema(connection.as_mut(), managed).await?;
            let after = state::read(connection.as_mut(), managed.id())
                .await
                .map_err(|error| managed.problem(error))?
                .unwrap_or_else(DatabaseState::empty);
            if let Err(why) = judged(&after) {
                let drift = not_judged(managed, about(&after).as_ref(), &why);
                return Ok(Comparison::none(drift));
            }
            if Moment::of(&before) != Moment::of(&after)
                || before.trusted_snapshot != after.trusted_snapshot
            {
                continue;
            }
            let hash = live.hash();
            let schemas = if hash == from.schema_hash {
                None
            } else {
                let of = named.as_ref().map_or(managed, |(of, _)| of);
                match self.stored_schema(of, &from).await {
                    Ok(stored) => Some((stored, live)),
                    Err(EngineError::SnapshotElsewhere(_)) if named.is_none() => {
                        let why = Hindrance::ContentElsewhere;
                        return Ok(Comparison::none(not_judged(managed, Some(&from), &why)));
                    }
                    Err(error) => return Err(error),
                }
            };
            let sides = (side_of(&from), live_side(hash));
            return Ok(Comparison::of(managed, sides, schemas, vec![from.engine]));
        }
        let drift = not_judged(managed, None, &Hindrance::Busy);
        Ok(Comparison::none(drift))
    }

    /// The drift that a run, or the timer, finds: none when there is nothing to compare with or nothing differs.
    ///
    /// Asks nobody whether a run is at work: the run that calls this holds the database itself. When the snapshot's content
    /// cannot be had the finding comes without its changes, and says so: an archive that is down stops no migration.
    pub(super) async fn drift_found(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        state: &DatabaseState,
        live: &Schema,
    ) -> Result<Option<Drift>, EngineError> {
        let Ok(trusted) = trusted_and_current(state) else {
            return Ok(None);
        };
        let hash = live.hash();
        if hash == trusted.schema_hash {
            return Ok(None);
        }
        let (changes, reason) = match self.snapshot_schema(connection, managed, trusted).await {
            Ok(before) => (diff(&before, live), None),
            Err(error) if is_about_content(&error) => {
                tracing::warn!(database = %managed.id(), %error, "drift without its changes");
                let reason =
                    format!("the schema differs, but the changes cannot be listed: {error}");
                (Vec::new(), Some(reason))
            }
            Err(error) => return Err(error),
        };
        if changes.is_empty() && reason.is_none() {
            return Ok(None);
        }
        Ok(Some(Drift {
            database_id: managed.id().clone(),
            detected: Some(true),
            from: Some(side_of(trusted)),
            to: Some(live_side(hash)),
            reason,
            changes,
        }))
    }

    /// What the trail is told of a finding.
    pub(super) fn drift_event(&self, caller: &Caller, drift: &Drift) -> EventDraft {
        let count = |kind: ChangeKind| {
            drift
                .changes
                .iter()
                .filter(|change| change.change == kind)
                .count()
        };
        let names: Vec<String> = drift
            .changes
            .iter()
            .take(NAMES)
            .map(|change| format!("{} {}", change.kind.as_str(), change.name))
            .collect();
        let data = serde_json::json!({
            "snapshotId": drift.from.as_ref().and_then(|from| from.snapshot_id.as_deref()),
            "schemaHash": drift.to.as_ref().and_then(|to| to.schema_hash.as_deref()),
            "added": count(ChangeKind::Added),
            "removed": count(ChangeKind::Removed),
            "changed": count(ChangeKind::Changed),
            "names": names,
            "reason": drift.reason,
        });
        self.draft(EventType::DriftDetected, caller, data)
    }
}

/// Whether the trail does not know of a finding yet: its newest one is of another snapshot or another live schema, or the
/// drift that it tells of has been gone since, as a snapshot shows.
pub(super) async fn is_new_finding(
    connection: &mut dyn Connection,
    managed: &Managed,
    drift: &Drift,
) -> Result<bool, EngineError> {
    let newest = async {
        let last = events::last_of_type(managed.id(), EventType::DriftDetected.as_str());
        let reply = ask(connection, last).await?;
        let row = reply.rows.first().map(events::parse).transpose()?;
        Ok::<_, DatabaseError>(row)
    };
    let Some(newest) = newest.await.map_err(|error| managed.problem(error))? else {
        return Ok(true);
    };
    let data: serde_json::Value = serde_json::from_str(&newest.data).unwrap_or_default();
    let known = |field: &str| data.get(field).and_then(serde_json::Value::as_str);
    let snapshot = drift
        .from
        .as_ref()
        .and_then(|from| from.snapshot_id.as_deref());
    let hash = drift.to.as_ref().and_then(|to| to.schema_hash.as_deref());
    if known("snapshotId") != snapshot || known("schemaHash") != hash {
        return Ok(true);
    }
    let others = snapshots::others_since(managed.id(), newest.sequence, hash.unwrap_or_default());
    let was_gone = async {
        let reply = ask(connection, others).await?;
        let count = reply.rows.first().map(|row| row.count("snapshots"));
        Ok::<_, DatabaseError>(count.transpose()?.unwrap_or(0) > 0)
    };
    was_gone.await.map_err(|error| managed.problem(error))
}

#[cfg(test)]
mod tests;
