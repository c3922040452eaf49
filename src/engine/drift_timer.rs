//! The drift timer: looks at every database of the environment and writes down what nobody has been told yet.

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::audit::Change;
use crate::registry::inventory::InventoryRow;
use crate::registry::snapshots;

use super::Engine;
use super::access::{Writing, holder};
use super::between_runs::{Moment, NotBetween};
use super::drift::{is_new_finding, judge};
use super::error::EngineError;
use super::request::Caller;
use super::snapshots::{Capture, live_schema};
use super::view::SnapshotType;

impl Engine {
    /// Takes a `scheduled` snapshot of each database of the environment and compares it with the last trusted one; a new
    /// finding is an event. Gives a line for each database. One that cannot be reached does not stop the others.
    pub async fn check_drift(&self) -> Vec<String> {
        let rows = match self.rows_of_environment().await {
            Ok(rows) => rows,
            Err(error) => return vec![format!("drift was not looked for: {error}")],
        };
        stream::iter(rows.into_iter().map(|row| {
            let engine = self.clone();
            async move {
                let id = row.database_id.clone();
                match engine.check_drift_of(row).await {
                    Ok(line) => format!("{id}: {line}"),
                    Err(error @ EngineError::Locked { .. }) => format!("{id}: skipped, {error}"),
                    Err(error) => {
                        tracing::warn!(database = %id, error = &error as &dyn std::error::Error, "looking for drift failed");
                        format!("{id}: failed, {error}")
                    }
                }
            }
        }))
        .buffered(self.options().max_parallel_databases.max(1))
        .collect()
        .await
    }

    async fn check_drift_of(&self, row: InventoryRow) -> Result<String, EngineError> {
        let managed = self.reach(row)?;
        // Looked at before it is opened for writing, which would make what is not there.
        let (_, state) = self.read_state(&managed).await?;
        let Some(lock) = &state.lock else {
            return Ok("skipped, nothing was ever run or captured there".to_owned());
        };
        if holder(lock).is_some() {
            return Err(managed.locked(Some(lock)));
        }
        let Writing {
            mut connection,
            state,
        } = self.open_for_writing(&managed).await?;
        let live = live_schema(connection.as_mut(), &managed).await?;
        let caller = Caller::timer();
        let mut findings = Vec::new();
        let mut kind = SnapshotType::Scheduled;
        let line = match judge(&state) {
            Err(hindrance) => format!("drift not judged: {hindrance}"),
            Ok(trusted) => match self
                .drift_found(connection.as_mut(), &managed, &state, &live)
                .await?
            {
                None if trusted.schema_hash == live.hash() => "no drift".to_owned(),
                None => {
                    // The trusted one was read with less knowledge, by an older dbvc or where a view was missing. What it
                    // did not know would never be guarded if it stayed the measure.
                    kind = SnapshotType::Baseline;
                    "no drift; more is known of the schema now than of the last trusted snapshot, so that this one is the \
                     new baseline"
                        .to_owned()
                }
                Some(drift) => {
                    let what = match &drift.reason {
                        None => format!("objects that differ: {}", drift.changes.len()),
                        Some(reason) => reason.clone(),
                    };
                    if is_new_finding(connection.as_mut(), &managed, &drift).await? {
                        findings.push(self.drift_event(&caller, &drift));
                        format!("drift detected; {what}")
                    } else {
                        format!("still the drift that was detected before; {what}")
                    }
                }
            },
        };
        let mut capture = Capture::of(&live, &managed, kind, &caller, None);
        if kind == SnapshotType::Scheduled {
            capture = capture.kept_for(self.options().snapshot_retention_days);
        }
        let mut change = Change::of(managed.id());
        change.records = capture.statements();
        change.loose = snapshots::remove_expired(managed.id()).to_vec();
        self.begin_announcing(&mut change);
        change.events = vec![capture.event(self, &caller)];
        change.events.extend(findings);
        match self
            .write_between_runs(connection.as_mut(), &managed, change, &Moment::of(&state))
            .await
        {
            Ok(()) => {
                self.announce_soon(&managed);
                Ok(line)
            }
            Err(NotBetween::Overtaken) => Err(managed.locked(None)),
            Err(NotBetween::Other(error)) => Err(error),
        }
    }
}
