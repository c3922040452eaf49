//! Whether the trail is whole: each chain in itself, registry against archive, and what waits for its delivery.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::chain::{ChainCheck, ChainFault, Link, complete_up_to};
use crate::audit::{Archive, Head, from_row};
use crate::database::{Connection, DatabaseError, Reply, Row};
use crate::registry::{events, migrations, snapshots};
use crate::time::Timestamp;

use super::super::access::Managed;
use super::super::view::Check;
use super::Title;

pub(super) const CHAIN: Title = Title {
    code: "trail-chain",
    title: "The trail is whole, in registry and archive",
};

pub(super) const DELIVERY: Title = Title {
    code: "trail-delivery",
    title: "The archive has everything",
};

/// How many events of a chain are read at once.
const AT_ONCE: u32 = 500;

/// What the trail gave.
#[derive(Debug)]
pub(super) struct Trail {
    /// How many events the registry has.
    pub events: u64,
    /// Events and snapshots that the archive does not have yet.
    pub undelivered: usize,
    /// What the archive does not accept, and why.
    pub refused: Vec<String>,
    /// What is wrong with the registry's chain.
    pub registry: Vec<String>,
    /// What the archive says otherwise; none when it could not be read.
    pub archive: Option<Against>,
}

/// What is wrong with the archive's chain, and between the two.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Against {
    /// What is wrong with the archive's chain itself.
    pub faults: Vec<String>,
    /// Events that differ.
    pub differing: Vec<String>,
    /// Events that were delivered, and that the archive does not have.
    pub missing_in_archive: Vec<String>,
    /// Events that the archive has and the registry does not.
    pub missing_in_registry: Vec<String>,
}

impl Trail {
    pub async fn read(
        mut connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archive: &dyn Archive,
    ) -> Result<Self, DatabaseError> {
        let mut comparison = Comparison::default();
        let mut snapshots_waiting = 0;
        let mut refused = Vec::new();
        if let Some(connection) = &mut connection {
            // Before anything else: what is delivered by now must be in the archive when that is read.
            let replies = connection
                .exchange(&[
                    events::undelivered_numbers(managed.id()),
                    events::read_head(managed.id()),
                    snapshots::unarchived(managed.id(), AT_ONCE, Timestamp::LAST),
                    events::refused(managed.id(), AT_ONCE),
                    snapshots::refused(managed.id(), AT_ONCE),
                    migrations::refused(managed.id(), AT_ONCE),
                ])
                .await?;
            for row in rows(&replies, 0) {
                comparison.undelivered.insert(row.count("sequence")?);
            }
            comparison.delivered_up_to = head(&replies, 1)?.map_or(0, |head| head.sequence);
            snapshots_waiting = rows(&replies, 2).len();
            let why = |row: &Row| -> Result<String, DatabaseError> {
                Ok(row
                    .optional_text("refusal")?
                    .unwrap_or("no reason is known")
                    .to_owned())
            };
            for row in rows(&replies, 3) {
                refused.push(format!("event {}: {}", row.count("sequence")?, why(row)?));
            }
            for row in rows(&replies, 4) {
                let id = row.text("snapshot_id")?;
                refused.push(format!("snapshot {id}: {}", why(row)?));
            }
            for row in rows(&replies, 5) {
                let id = row.text("migration_id")?;
                refused.push(format!("definition of {id}: {}", why(row)?));
            }
        }
        let undelivered = comparison.undelivered.len() + snapshots_waiting;
        let mut archive_answers = true;
        let mut after = 0;
        let mut count = 0;
        let newest = loop {
            // The archive first: whatever it has is in the registry by the time that is read.
            let archived = if archive_answers {
                match archive.chain(managed.id(), after, AT_ONCE).await {
                    Ok(links) => links,
                    Err(error) => {
                        tracing::warn!(%error, "the archive's trail was not looked at");
                        archive_answers = false;
                        Vec::new()
                    }
                }
            } else {
                Vec::new()
            };
            let (registered, newest) = match &mut connection {
                None => (Vec::new(), None),
                Some(connection) => read_chain(*connection, managed, after).await?,
            };
            let upto = [&archived, &registered]
                .into_iter()
                .filter_map(|links| complete_up_to(links, after, AT_ONCE))
                .min();
            let within = |links: Vec<Link>| {
                let mut links = links;
                links.retain(|link| upto.is_none_or(|upto| link.sequence <= upto));
                links
            };
            let registered = within(registered);
            count += registered.len() as u64;
            comparison.look_at(&registered, &within(archived));
            match upto {
                None => break newest,
                Some(upto) => after = upto,
            }
        };
        let (registry, against) = comparison.finish(connection.is_some(), newest.as_ref());
        Ok(Self {
            events: count,
            undelivered,
            refused,
            registry,
            archive: archive_answers.then_some(against),
        })
    }

    /// Whether handing all events to the archive again mends all that is wrong: the registry's chain must be whole, and the
    /// archive must have nothing that contradicts it.
    pub fn archive_can_be_mended(&self) -> bool {
        self.registry.is_empty()
            && self.archive.as_ref().is_some_and(|archive| {
                !archive.missing_in_archive.is_empty()
                    && archive.faults.is_empty()
                    && archive.differing.is_empty()
                    && archive.missing_in_registry.is_empty()
            })
    }
}

pub(super) fn check_chain(trail: &Trail) -> Check {
    let mut items = trail.registry.clone();
    if let Some(archive) = &trail.archive {
        items.extend(archive.faults.iter().cloned());
        items.extend(archive.differing.iter().cloned());
        items.extend(archive.missing_in_archive.iter().cloned());
        items.extend(archive.missing_in_registry.iter().cloned());
    }
    if trail.archive_can_be_mended() {
        return CHAIN.fail(
            "the archive lacks events that the registry has whole; fix: true delivers them again",
            items,
        );
    }
    if !items.is_empty() {
        return CHAIN.fail(
            "the trail was tampered with; whichever of registry and archive is whole tells what happened",
            items,
        );
    }
    match (&trail.archive, trail.events) {
        (None, _) => CHAIN.warn(
            "the registry's trail is whole; the archive cannot be reached, so it was not compared",
            Vec::new(),
        ),
        (Some(_), 0) => CHAIN.pass("nothing has happened yet"),
        (Some(_), events) => {
            CHAIN.pass(format!("{events} events are whole, and the archive agrees"))
        }
    }
}

pub(super) fn check_delivery(trail: &Trail) -> Check {
    if !trail.refused.is_empty() {
        return DELIVERY.warn(
            format!(
                "the archive does not accept {} of what it should get; the others do not wait for them, and they are tried \
                 again every hour, and by fix: true",
                trail.refused.len()
            ),
            trail.refused.clone(),
        );
    }
    match trail.undelivered {
        0 => DELIVERY.pass("nothing waits for its delivery"),
        waiting => DELIVERY.warn(
            format!("{waiting} events and snapshots wait for their delivery; fix: true delivers them now"),
            Vec::new(),
        ),
    }
}

async fn read_chain(
    connection: &mut dyn Connection,
    managed: &Managed,
    after: u64,
) -> Result<(Vec<Link>, Option<Head>), DatabaseError> {
    let replies = connection
        .exchange(&[
            events::chain(managed.id(), after, AT_ONCE),
            events::read_head(managed.id()),
        ])
        .await?;
    let mut links = Vec::new();
    for row in rows(&replies, 0) {
        let row = events::parse(row)?;
        links.push(Link {
            sequence: row.sequence,
            event: from_row(&row),
        });
    }
    Ok((links, head(&replies, 1)?))
}

fn rows(replies: &[Reply], index: usize) -> &[Row] {
    replies.get(index).map_or(&[], |reply| &reply.rows)
}

fn head(replies: &[Reply], index: usize) -> Result<Option<Head>, DatabaseError> {
    let Some(row) = rows(replies, index).first() else {
        return Ok(None);
    };
    Ok(Some(Head {
        sequence: row.count("sequence")?,
        hash: row.text("hash")?.to_owned(),
    }))
}

/// Numbers, told as ranges.
#[derive(Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn add(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => self.0.push((number, number)),
        }
    }

    fn contains(&self, from: u64, to: u64) -> bool {
        self.0
            .iter()
            .any(|(first, last)| *first <= from && to <= *last)
    }

    fn told(&self, singular: &str, plural: &str) -> Vec<String> {
        self.0
            .iter()
            .map(|(first, last)| {
                if first == last {
                    format!("event {first} {singular}")
                } else {
                    format!("events {first} to {last} {plural}")
                }
            })
            .collect()
    }
}

/// Compares two chains piece by piece, oldest first.
#[derive(Debug, Default)]
struct Comparison {
    /// What the registry says is not delivered.
    undelivered: BTreeSet<u64>,
    /// The head when that was read; what came later may be delivered or not.
    delivered_up_to: u64,
    registry: ChainCheck,
    archive: ChainCheck,
    only_registry: Ranges,
    missing_in_archive: Ranges,
    missing_in_registry: Ranges,
    differing: Ranges,
}

impl Comparison {
    /// Looks at the same stretch of both chains.
    fn look_at(&mut self, registered: &[Link], archived: &[Link]) {
        for link in registered {
            self.registry.push(link);
        }
        for link in archived {
            self.archive.push(link);
        }
        let mut both: BTreeMap<u64, (Option<&Link>, Vec<&Link>)> = BTreeMap::new();
        for link in registered {
            both.entry(link.sequence).or_default().0 = Some(link);
        }
        for link in archived {
            both.entry(link.sequence).or_default().1.push(link);
        }
        for (sequence, (registered, archived)) in both {
            match registered {
                None => self.missing_in_registry.add(sequence),
                Some(_) if archived.is_empty() => {
                    self.only_registry.add(sequence);
                    if sequence <= self.delivered_up_to && !self.undelivered.contains(&sequence) {
                        self.missing_in_archive.add(sequence);
                    }
                }
                // Should one of them be no event any more, its own chain says so.
                Some(Link { event: None, .. }) => {}
                Some(Link {
                    event: Some(event), ..
                }) => {
                    let mut readable = archived.iter().filter_map(|link| link.event.as_ref());
                    let same = |other: &crate::audit::Event| {
                        other.hash == event.hash && other.id == event.id
                    };
                    if readable.clone().next().is_some() && !readable.any(same) {
                        self.differing.add(sequence);
                    }
                }
            }
        }
    }

    /// `has_registry`: there is one, so it must have a head. What is wrong in the registry, and what the archive says.
    fn finish(self, has_registry: bool, head: Option<&Head>) -> (Vec<String>, Against) {
        let mut registry: Vec<String> = self
            .registry
            .finish(head)
            .iter()
            .map(|fault| format!("registry: {fault}"))
            .collect();
        if has_registry && head.is_none() {
            registry.push("registry: the head of the trail was removed".to_owned());
        }
        let only_registry = self.only_registry;
        let faults = self.archive.finish(None);
        let against = Against {
            faults: faults
                .iter()
                // What the registry has is missing only if it was delivered, which is judged by itself.
                .filter(|fault| {
                    !matches!(fault, ChainFault::Missing(from, to) if only_registry.contains(*from, *to))
                })
                .map(|fault| format!("archive: {fault}"))
                .collect(),
            differing: self.differing.told(
                "differs between registry and archive",
                "differ between registry and archive",
            ),
            missing_in_archive: self.missing_in_archive.told(
                "is missing from the archive, though it was delivered",
                "are missing from the archive, though they were delivered",
            ),
            missing_in_registry: self.missing_in_registry.told(
                "is missing from the registry, but the archive has it",
                "are missing from the registry, but the archive has them",
            ),
        };
        (registry, against)
    }
}
