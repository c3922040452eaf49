//! Drift: how the live schema differs from the last trusted snapshot, when that can be said.

use std::fmt;

use crate::audit::{EventDraft, EventType};
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::events;
use crate::registry::snapshots::{self, SnapshotRow};
use crate::registry::state::{self, DatabaseState};
use crate::schema::{ChangeKind, Schema, diff};
use crate::script::DatabaseId;

use super::Engine;
use super::access::{Managed, holder};
use super::between_runs::Moment;
use super::error::EngineError;
use super::request::Caller;
use super::snapshots::{is_about_content, live_schema};
use super::view::{Drift, DriftSide, DriftState};

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
        let from = match from {
            None => None,
            Some(id) => Some(self.named_snapshot(&managed, id).await?),
        };
        let Some(to) = to else {
            return self.against_live(&managed, from).await;
        };
        let to = self.named_snapshot(&managed, to).await?;
        let from = match from {
            Some(from) => from,
            None => {
                let (_, state) = self.read_state(&managed).await?;
                match state.trusted_snapshot {
                    Some(trusted) => (managed.clone(), trusted),
                    None => {
                        return Ok(Drift {
                            to: Some(side_of(&to.1)),
                            ..not_judged(&managed, None, &Hindrance::NoTrustedSnapshot)
                        });
                    }
                }
            }
        };
        let changes = if from.1.schema_hash == to.1.schema_hash {
            Vec::new()
        } else {
            let older = self.stored_schema(&from.0, &from.1).await?;
            let newer = self.stored_schema(&to.0, &to.1).await?;
            diff(&older, &newer)
        };
        Ok(Drift {
            database_id: managed.id().clone(),
            detected: Some(!changes.is_empty()),
            from: Some(side_of(&from.1)),
            to: Some(side_of(&to.1)),
            reason: None,
            changes,
        })
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
    pub(super) async fn against_live(
        &self,
        managed: &Managed,
        named: Option<(Managed, SnapshotRow)>,
    ) -> Result<Drift, EngineError> {
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
                return Ok(not_judged(managed, about(&before).as_ref(), &why));
            };
            let live = live_schema(connection.as_mut(), managed).await?;
            let after = state::read(connection.as_mut(), managed.id())
                .await
                .map_err(|error| managed.problem(error))?
                .unwrap_or_else(DatabaseState::empty);
            if let Err(why) = judged(&after) {
                return Ok(not_judged(managed, about(&after).as_ref(), &why));
            }
            if Moment::of(&before) != Moment::of(&after)
                || before.trusted_snapshot != after.trusted_snapshot
            {
                continue;
            }
            let hash = live.hash();
            let changes = if hash == from.schema_hash {
                Vec::new()
            } else {
                let of = named.as_ref().map_or(managed, |(of, _)| of);
                diff(&self.stored_schema(of, &from).await?, &live)
            };
            return Ok(Drift {
                database_id: managed.id().clone(),
                detected: Some(!changes.is_empty()),
                from: Some(side_of(&from)),
                to: Some(live_side(hash)),
                reason: None,
                changes,
            });
        }
        Ok(not_judged(managed, None, &Hindrance::Busy))
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
mod tests {
    use super::*;
    use crate::engine::testing::Shop;
    use crate::engine::{SnapshotRequest, SnapshotType};
    use crate::registry::lock::{FencingToken, Holding, LockRow};
    use crate::registry::runs::OpenPlan;
    use crate::script::MigrationId;
    use crate::time::Timestamp;

    fn snapshot(kind: &str, hash: &str, covers: i64) -> SnapshotRow {
        SnapshotRow {
            snapshot_id: format!("s{covers}"),
            database_id: Shop::id(),
            kind: kind.to_owned(),
            captured_at: "2025-11-27T14:30:00Z".parse().unwrap(),
            captured_by: "a".to_owned(),
            run_id: None,
            schema_hash: hash.to_owned(),
            content_hash: String::new(),
            object_counts: "{}".to_owned(),
            size_bytes: 2,
            parts: 1,
            covers,
            archived_at: None,
            engine: crate::script::EngineKind::Sqlite,
            expires_at: None,
        }
    }

    fn quiet() -> DatabaseState {
        DatabaseState {
            trusted_snapshot: Some(snapshot("baseline", "h", 7)),
            newest_snapshot: Some(snapshot("baseline", "h", 7)),
            newest_execution: Some(5),
            ..DatabaseState::empty()
        }
    }

    fn lock(expired: bool) -> LockRow {
        LockRow {
            token: FencingToken(3),
            held: Some(Holding {
                owner: "another".to_owned(),
                run_id: None,
                acquired_at: Timestamp::now(),
                expires_at: Timestamp::now(),
                expired,
            }),
        }
    }

    #[test]
    fn drift_is_judged_only_when_it_can_be() {
        assert_eq!(judge(&quiet()).unwrap().snapshot_id, "s7");
        let mut state = quiet();
        state.lock = Some(lock(true));
        assert!(judge(&state).is_ok());
        state.lock = Some(lock(false));
        assert_eq!(judge(&state), Err(Hindrance::Held));

        let mut state = quiet();
        state.open_plans = vec![OpenPlan {
            token: FencingToken(3),
            run_id: "r".to_owned(),
            steps: Vec::new(),
        }];
        assert_eq!(judge(&state), Err(Hindrance::DeadRun));

        let mut state = quiet();
        state.running = vec![("e".to_owned(), MigrationId::parse("V101__x").unwrap())];
        assert_eq!(judge(&state), Err(Hindrance::Running));

        let mut state = quiet();
        state.newest_execution = Some(8);
        assert_eq!(judge(&state), Err(Hindrance::OutOfDate));

        let mut state = quiet();
        state.trusted_snapshot = None;
        assert_eq!(judge(&state), Err(Hindrance::NoTrustedSnapshot));
    }

    #[test]
    fn what_is_known_of_drift_comes_from_the_headers() {
        let mut state = quiet();
        assert_eq!(drift_state(&state).detected, Some(false));
        state.newest_snapshot = Some(snapshot("scheduled", "other", 9));
        assert_eq!(drift_state(&state).detected, Some(true));
        assert!(drift_state(&state).checked_at.is_some());
        state.newest_execution = Some(12);
        assert_eq!(drift_state(&state).detected, None);
        assert_eq!(drift_state(&DatabaseState::empty()), DriftState::default());
    }

    async fn drift(shop: &Shop) -> Drift {
        shop.engine.drift(&Shop::id(), None, None).await.unwrap()
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_is_not_judged_and_not_made() {
        let shop = Shop::new();
        let found = drift(&shop).await;
        assert_eq!(found.detected, None);
        assert!(found.reason.unwrap().contains("no trusted snapshot"));
        assert!(shop.is_empty());
    }

    #[tokio::test]
    async fn a_table_made_by_hand_is_found_and_no_event_is_written() {
        let shop = Shop::at_work().await;
        assert_eq!(drift(&shop).await.detected, Some(false));
        let events = shop.ask("SELECT COUNT(*) FROM audit_events");
        shop.by_hand("CREATE TABLE by_hand (id INTEGER); DROP TABLE orders;");
        let found = drift(&shop).await;
        assert_eq!(found.detected, Some(true));
        let names: Vec<_> = found
            .changes
            .iter()
            .filter(|change| change.kind == crate::schema::ObjectKind::Table)
            .map(|change| (change.change, change.name.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                (ChangeKind::Added, "by_hand"),
                (ChangeKind::Removed, "orders")
            ]
        );
        assert!(found.to.unwrap().live);
        assert_eq!(shop.ask("SELECT COUNT(*) FROM audit_events"), events);
    }

    #[tokio::test]
    async fn while_a_run_holds_the_database_nothing_is_claimed() {
        let shop = Shop::at_work().await;
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        shop.hold_lock(60);
        let found = drift(&shop).await;
        assert_eq!(found.detected, None);
        assert!(found.reason.unwrap().contains("a run holds the database"));
        shop.release_lock();
        assert_eq!(drift(&shop).await.detected, Some(true));
    }

    #[tokio::test]
    async fn snapshots_are_compared_with_each_other_and_with_the_live_schema() {
        let shop = Shop::at_work().await;
        let take = async |kind| {
            let request = SnapshotRequest {
                database_id: Shop::id(),
                environment: "dev".to_owned(),
                kind,
            };
            let header = shop.engine.take_snapshot(&Shop::caller(), request).await;
            header.unwrap().snapshot_id
        };
        let before = take(SnapshotType::Manual).await;
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        let after = take(SnapshotType::Manual).await;
        let id = Shop::id();
        let compare = async |from: Option<&str>, to: Option<&str>| {
            let drift = shop.engine.drift(&id, from, to).await.unwrap();
            (drift.detected, drift.changes.len())
        };
        assert_eq!(compare(Some(&before), Some(&after)).await, (Some(true), 1));
        assert_eq!(compare(None, Some(&after)).await, (Some(true), 1));
        assert_eq!(compare(None, Some(&before)).await, (Some(false), 0));
        assert_eq!(compare(Some(&after), None).await, (Some(false), 0));
        assert_eq!(compare(Some(&before), None).await, (Some(true), 1));
        // A baseline declares the present state to be right.
        take(SnapshotType::Baseline).await;
        assert_eq!(compare(None, None).await, (Some(false), 0));
        let unknown = shop.engine.drift(&id, Some("none"), None).await;
        assert!(matches!(unknown, Err(EngineError::UnknownSnapshot(_))));
    }

    #[tokio::test]
    async fn a_damaged_snapshot_is_not_compared_with() {
        let shop = Shop::at_work().await;
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        shop.by_hand_in_archive(
            "UPDATE \"schema-snapshots\" SET document = replace(document, 'customers', 'clients')",
        );
        let refused = shop.engine.drift(&Shop::id(), None, None).await;
        assert!(matches!(refused, Err(EngineError::SnapshotDamaged { .. })));
    }

    #[tokio::test]
    async fn the_timer_tells_a_finding_once() {
        let shop = Shop::at_work().await;
        assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        assert_eq!(
            shop.engine.check_drift().await,
            ["shop: drift detected; objects that differ: 1"]
        );
        assert_eq!(
            shop.engine.check_drift().await,
            ["shop: still the drift that was detected before; objects that differ: 1"]
        );
        let told = "SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'";
        assert_eq!(shop.ask(told), "1");
        shop.by_hand("CREATE TABLE by_hand_too (id INTEGER)");
        shop.engine.check_drift().await;
        assert_eq!(shop.ask(told), "2");
        shop.by_hand("DROP TABLE by_hand_too");
        shop.engine.check_drift().await;
        assert_eq!(shop.ask(told), "3");
        assert_eq!(
            shop.ask("SELECT COUNT(*) FROM schema_snapshots WHERE type = 'scheduled'"),
            "5"
        );
        shop.engine.settle().await;
    }

    #[tokio::test]
    async fn drift_that_was_gone_and_comes_back_is_a_new_finding() {
        let shop = Shop::at_work().await;
        let told = "SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'";
        for count in ["1", "2"] {
            shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
            for _ in 0..2 {
                shop.engine.check_drift().await;
                assert_eq!(shop.ask(told), count);
            }
            shop.by_hand("DROP TABLE by_hand");
            assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
        }
        shop.engine.settle().await;
    }

    #[tokio::test]
    async fn a_finding_needs_no_archive_but_its_changes_do() {
        let shop = Shop::at_work().await;
        std::fs::write(
            shop.file("_version-control.sqlite"),
            "no database, but long enough for one",
        )
        .unwrap();
        assert_eq!(drift(&shop).await.detected, Some(false));
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        let refused = shop.engine.drift(&Shop::id(), None, None).await;
        assert!(matches!(refused, Err(EngineError::Archive(_))));
        let lines = shop.engine.check_drift().await;
        assert!(
            lines[0].starts_with("shop: drift detected; the schema differs, but"),
            "{lines:?}"
        );
        assert_eq!(
            shop.ask("SELECT COUNT(*) FROM audit_events WHERE type = 'drift-detected'"),
            "1"
        );
        shop.engine.settle().await;
    }

    #[tokio::test]
    async fn a_trusted_snapshot_that_knows_less_is_no_drift_and_is_replaced() {
        let shop = Shop::at_work().await;
        // As if another version of dbvc had made the hash.
        shop.by_hand("UPDATE schema_snapshots SET schema_hash = 'sha256:other'");
        assert_eq!(drift(&shop).await.detected, Some(false));
        let lines = shop.engine.check_drift().await;
        assert!(lines[0].contains("the new baseline"), "{lines:?}");
        assert_eq!(shop.engine.check_drift().await, ["shop: no drift"]);
        let kinds = "SELECT group_concat(type, ' ') FROM (SELECT type FROM schema_snapshots ORDER BY covers)";
        assert_eq!(shop.ask(kinds), "post-migration baseline scheduled");
        shop.by_hand("CREATE TABLE by_hand (id INTEGER)");
        assert_eq!(drift(&shop).await.detected, Some(true));
        shop.engine.settle().await;
    }

    #[tokio::test]
    async fn the_timer_makes_nothing_and_disturbs_nobody() {
        let shop = Shop::new();
        let lines = shop.engine.check_drift().await;
        assert!(lines[0].starts_with("shop: skipped"), "{lines:?}");
        assert!(shop.is_empty());

        let shop = Shop::at_work().await;
        shop.hold_lock(60);
        let lines = shop.engine.check_drift().await;
        assert!(
            lines[0].starts_with("shop: skipped, another run holds"),
            "{lines:?}"
        );
        assert_eq!(
            shop.ask("SELECT COUNT(*) FROM schema_snapshots WHERE type = 'scheduled'"),
            "0"
        );
    }
}
