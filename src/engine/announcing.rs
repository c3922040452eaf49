//! Announcing drift and failures: what the trail tells of them and the webhook was not told yet.
//!
//! How far a trail was announced is kept in the registry beside it, and who sends has claimed that first, so that of several
//! instances one does. A process that dies between sending and noting it has its message sent a second time: once too often
//! is better than never.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::alert::{self, Finding, Message, NotTaken, Webhook};
use crate::audit::{self, Change};
use crate::database::{Access, DatabaseError, Statement, ask};
use crate::registry::{announcements, events};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, new_id};

/// How many events of a database are announced at once; what is left comes with the next tick.
const AT_ONCE: u32 = 200;

/// What is older is announced no more: who was not reached for so long reads the history.
const STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long a claim holds: longer than all messages of a round can take, so that nobody else sends meanwhile.
const CLAIM_SECONDS: u32 = 2 * alert::LONGEST_ROUND_SECONDS;

/// How long a process that ends of its own will waits for its last announcement. What is not sent by then, a timer sends.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The announcements of this process.
#[derive(Debug)]
pub(super) struct Announcements {
    webhook: Webhook,
    /// One round at a time: what is found meanwhile goes into the next.
    round: tokio::sync::Mutex<()>,
    /// What the next round is to look at.
    waiting: Mutex<HashMap<DatabaseId, Managed>>,
    /// Until when the receiver wants to be left alone.
    rests_until: Mutex<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
}

/// What waits to be announced of a database, claimed.
struct Claimed {
    managed: Managed,
    owner: String,
    /// Oldest first.
    findings: Vec<Finding>,
    /// How many were too old.
    left_out: usize,
    /// What is announced once all findings are.
    up_to: u64,
}

/// What a round did.
#[derive(Debug, Default)]
struct Round {
    findings: usize,
    refused: usize,
    left_out: usize,
    delayed: Option<String>,
}

impl Round {
    /// In words, for the host's log; none when there was nothing to do.
    fn told(&self) -> Option<String> {
        let mut words = Vec::new();
        if self.findings > 0 {
            words.push(format!("announced findings: {}", self.findings));
        }
        if self.refused > 0 {
            words.push(format!(
                "the webhook refused findings for good: {}",
                self.refused
            ));
        }
        if self.left_out > 0 {
            words.push(format!(
                "findings too old to be announced: {}",
                self.left_out
            ));
        }
        if let Some(why) = &self.delayed {
            words.push(format!("announcing is delayed: {why}"));
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl Announcements {
    pub fn to(webhook: Webhook) -> Self {
        Self {
            webhook,
            round: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            rests_until: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    fn is_resting(&self) -> bool {
        let until = self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    fn rest(&self, rest: Duration) {
        *self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + rest);
    }

    /// Puts a database down for the next round; says whether that was not planned yet.
    fn put_down(&self, managed: &Managed) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        waiting.insert(managed.id().clone(), managed.clone());
        is_first
    }

    fn take_waiting(&self) -> Vec<Managed> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut databases: Vec<Managed> = waiting.drain().map(|(_, managed)| managed).collect();
        databases.sort_by(|a, b| a.id().cmp(b.id()));
        databases
    }
}

impl Engine {
    /// Has announcing begin with what a change tells, where nothing was ever announced: a webhook that is set for the first
    /// time is not told the whole past. Belongs into every change that may hold the first event to announce.
    pub(super) fn begin_announcing(&self, change: &mut Change<'_>) {
        if self.inner.announcements.is_some() {
            change.loose.push(announcements::begin(change.database_id));
        }
    }

    /// Announces in the background what a database's trail tells. Nobody waits for it.
    pub(super) fn announce_soon(&self, managed: &Managed) {
        let Some(announcements) = &self.inner.announcements else {
            return;
        };
        if !announcements.put_down(managed) {
            return;
        }
        let engine = self.clone();
        let mut tasks = announcements
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let Some(announcements) = &engine.inner.announcements else {
                return;
            };
            let _alone = announcements.round.lock().await;
            let databases = announcements.take_waiting();
            engine.announce(announcements, databases).await;
        });
    }

    /// Announces what waits in all databases of the environment, by a task of its own: one that was broken off could not
    /// note what it had sent. The task gives a line, when there was something to do. None without a webhook.
    pub(super) fn announce_everywhere(&self) -> Option<JoinHandle<Option<String>>> {
        self.inner.announcements.as_ref()?;
        let engine = self.clone();
        Some(tokio::spawn(async move {
            let announcements = engine.inner.announcements.as_ref()?;
            // Without the inventory the tick has other things to tell.
            let rows = engine.rows_of_environment().await.ok()?;
            let databases = rows.into_iter().filter_map(|row| engine.reach(row).ok());
            let _alone = announcements.round.lock().await;
            engine
                .announce(announcements, databases.collect())
                .await
                .told()
        }))
    }

    /// Returns when no announcement is under way in this process, or after ten seconds.
    pub(super) async fn settle_announcements(&self) {
        let Some(announcements) = &self.inner.announcements else {
            return;
        };
        let mut tasks = std::mem::take(
            &mut *announcements
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let all = async { while tasks.join_next().await.is_some() {} };
        // Whoever does not get an answer by then is told by the next process, when the claim is over.
        let _ = tokio::time::timeout(LAST_WORDS, all).await;
    }

    async fn announce(&self, announcements: &Announcements, databases: Vec<Managed>) -> Round {
        let mut round = Round::default();
        if announcements.is_resting() {
            return round;
        }
        let wait = self.script_wait();
        let claimed: Vec<Claimed> = stream::iter(databases)
            .map(|managed| self.claim(managed))
            .buffered(self.options().max_parallel_databases.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        round.left_out = claimed.iter().map(|claim| claim.left_out).sum();
        let findings = claimed
            .iter()
            .flat_map(|claim| claim.findings.iter().cloned())
            .collect();
        for message in alert::messages(findings, round.left_out) {
            match announcements.webhook.send(&message).await {
                Ok(()) => {
                    crate::crash_points::reached("announced").await;
                    round.findings += message.findings.len();
                    mark(&claimed, &message, announcements::mark_taken, wait).await;
                }
                Err(refused @ NotTaken::Refused(_)) => {
                    tracing::warn!(findings = message.findings.len(), %refused, "findings are not announced");
                    round.refused += message.findings.len();
                    mark(&claimed, &message, announcements::mark_given_up, wait).await;
                }
                Err(later) => {
                    tracing::warn!(%later, "announcing is delayed");
                    if let NotTaken::Later {
                        rest: Some(rest), ..
                    } = later
                    {
                        announcements.rest(rest);
                    }
                    round.delayed = Some(later.to_string());
                    break;
                }
            }
        }
        for claim in &claimed {
            claim.end(round.delayed.is_some(), wait).await;
        }
        round
    }

    /// Claims what waits to be announced of a database. None when there is nothing, somebody else is at it, or the database
    /// cannot be asked now.
    async fn claim(&self, managed: Managed) -> Option<Claimed> {
        match self.try_claim(&managed).await {
            Ok(claimed) => claimed,
            // Nothing was ever written there, or a script holds the file.
            Err(
                DatabaseError::Absent
                | DatabaseError::NoRegistry { .. }
                | DatabaseError::Busy { .. },
            ) => None,
            Err(error) => {
                tracing::warn!(database = %managed.id(), %error, "nobody knows whether there is something to announce");
                None
            }
        }
    }

    async fn try_claim(&self, managed: &Managed) -> Result<Option<Claimed>, DatabaseError> {
        let id = managed.id();
        let mut reading = managed.database.open(Access::Read).await?;
        let replies = reading
            .exchange(&[
                announcements::standing(id),
                announcements::waiting(id, AT_ONCE),
            ])
            .await?;
        drop(reading);
        let rows = |index: usize| replies.get(index).into_iter().flat_map(|reply| &reply.rows);
        let Some(standing) = rows(0).next().map(announcements::parse).transpose()? else {
            return Ok(None);
        };
        if !standing.is_free || standing.head <= standing.announced {
            return Ok(None);
        }
        let mut up_to = standing.head;
        let mut found = Vec::new();
        for row in rows(1) {
            let event = events::parse(row)?;
            if event.sequence > standing.announced {
                // A row that is no event any more is for verifying to tell.
                found.extend(audit::from_row(&event).as_ref().and_then(Finding::of));
            }
        }
        if let Some(last) = rows(1).last() {
            let last = last.count("sequence")?;
            let is_all = rows(1).count() < AT_ONCE as usize;
            up_to = if is_all { up_to.max(last) } else { last };
        }
        let stale = Timestamp::from_millis(
            Timestamp::now().as_millis()
                - i64::try_from(STALE_AFTER.as_millis()).unwrap_or(i64::MAX),
        );
        let (findings, too_old): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|finding| finding.at >= stale);
        let mut connection = managed.database.open(Access::Write).await?;
        if findings.is_empty() {
            let skip = announcements::skip(id, standing.announced, up_to);
            ask(connection.as_mut(), skip).await?;
            if !too_old.is_empty() {
                tracing::warn!(database = %id, findings = too_old.len(), "findings over a day old are not announced");
            }
            return Ok(None);
        }
        let owner = new_id();
        let claim = announcements::claim(id, standing.announced, &owner, CLAIM_SECONDS);
        if ask(connection.as_mut(), claim).await?.affected != 1 {
            return Ok(None);
        }
        Ok(Some(Claimed {
            managed: managed.clone(),
            owner,
            findings,
            left_out: too_old.len(),
            up_to,
        }))
    }
}

impl Claimed {
    /// Waits for others to let go of the database as long as a script would: what cannot be noted is announced again when
    /// the claim is over.
    async fn note(&self, statements: &[Statement], wait: Duration) {
        let noted = async {
            let mut connection = self.managed.database.open(Access::Write).await?;
            connection.begin(wait).await?;
            connection.exchange(statements).await?;
            connection.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(database = %self.managed.id(), %error, "what was announced could not be noted");
        }
    }

    /// Gives the claim back.
    async fn end(&self, has_failed: bool, wait: Duration) {
        let id = self.managed.id().clone();
        let last = if has_failed {
            announcements::mark_failed(&id, &self.owner)
        } else {
            // What comes after the last finding is none to announce.
            announcements::mark_seen(&id, &self.owner, self.up_to)
        };
        let release = announcements::release(&id, &self.owner);
        self.note(&[last, release], wait).await;
    }
}

/// Notes for each database what became of the findings in a message.
async fn mark(
    claimed: &[Claimed],
    message: &Message,
    mark: fn(&DatabaseId, &str, u64) -> Statement,
    wait: Duration,
) {
    for claim in claimed {
        let id = claim.managed.id().clone();
        let last = message
            .findings
            .iter()
            .filter(|finding| finding.database_id == id)
            .map(|finding| finding.sequence)
            .max();
        if let Some(last) = last {
            let statement = mark(&id, &claim.owner, last);
            claim.note(&[statement], wait).await;
        }
    }
}
