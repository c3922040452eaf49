//! Whether the trail is whole: each chain in itself, registry against archive, and what waits for its delivery.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::chain::{ChainCheck, ChainFault, Link, complete_up_to};
use crate::audit::{Head, from_row};
use crate::database::{Connection, DatabaseError, Reply, Row};
use crate::registry::{events, migrations, snapshots};
use crate::time::Timestamp;

use super::super::access::Managed;
use super::super::view::Check;
use super::Title;
use super::archived::{Archived, Whereabouts};

pub(super) const CHAIN: Title = Title {
    code: "trail-chain",
    title: "The trail is whole, in registry and archive",
};

pub(super) const DELIVERY: Title = Title {
    code: "trail-delivery",
    title: "The archive has everything",
};

/// What the checks of an archive say where there is none.
pub(super) const NO_ARCHIVE: &str =
    "no archive is configured: trail and snapshots are kept in the database itself";

/// How many events of a chain are read at once.
const AT_ONCE: u32 = 500;

/// What the trail gave.
#[derive(Debug)]
pub(super) struct Trail {
    /// What there is of it in an archive.
    pub whereabouts: Whereabouts,
    /// Events that are on record as delivered, while the archive has nothing of this chain.
    pub delivered_elsewhere: usize,
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
    /// Where the two histories part, when that explains everything else.
    pub parting: Option<Parting>,
}

/// Two whole chains that have their beginning in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parting {
    /// The number of the last event that both have.
    pub after: u64,
    /// Whether the registry goes on in another way; else it has nothing after that event.
    pub differs: bool,
}

impl Parting {
    fn in_words(self, whereabouts: Whereabouts) -> String {
        let Self { after, differs } = self;
        let what = if after == 0 {
            "registry and archive tell different histories from the first event on: the database was replaced by another one, or \
             its trail was rewritten. Nothing is delivered there"
                .to_owned()
        } else if differs {
            format!(
                "registry and archive tell different histories after event {after}: one of two databases was restored from a \
                 copy of the other. Nothing more is delivered there"
            )
        } else {
            format!(
                "the archive has events after event {after}, with which the registry ends: the database was restored to an \
                 earlier state, or the end of its trail was removed"
            )
        };
        let remedy = match whereabouts {
            Whereabouts::Embedded => {
                "Keep the file _version-control.sqlite, but move it out of the data folder"
            }
            _ => "Set DBVC_COSMOS_DATABASE to an archive of this database's own",
        };
        format!("{what}. {remedy}: dbvc then fills a new archive from the registry")
    }
}

impl Trail {
    pub async fn read(
        mut connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archived: Archived<'_>,
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
        let mut delivered_elsewhere = 0;
        let undelivered = match archived {
            Archived::Nowhere => {
                refused.clear();
                0
            }
            // Whatever another archive has of it, this one is still to get everything.
            Archived::Nothing => {
                let events = std::mem::take(&mut comparison.delivered_up_to);
                let events = usize::try_from(events).unwrap_or(usize::MAX);
                delivered_elsewhere = events.saturating_sub(comparison.undelivered.len());
                events
            }
            Archived::Unreadable | Archived::At(..) => {
                comparison.undelivered.len() + snapshots_waiting
            }
        };
        let mut archive_answers = !matches!(archived, Archived::Nowhere | Archived::Unreadable);
        let mut after = 0;
        let mut count = 0;
        let newest = loop {
            // The archive first: whatever it has is in the registry by the time that is read.
            let links = match archived {
                Archived::At(archive, partition) if archive_answers => {
                    match archive.chain(partition, after, AT_ONCE).await {
                        Ok(links) => links,
                        Err(error) => {
                            tracing::warn!(%error, "the archive's trail was not looked at");
                            archive_answers = false;
                            Vec::new()
                        }
                    }
                }
                _ => Vec::new(),
            };
            let (registered, newest) = match &mut connection {
                None => (Vec::new(), None),
                Some(connection) => read_chain(*connection, managed, after).await?,
            };
            let upto = [&links, &registered]
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
            comparison.look_at(&registered, &within(links));
            match upto {
                None => break newest,
                Some(upto) => after = upto,
            }
        };
        let (registry, against) = comparison.finish(connection.is_some(), newest.as_ref());
        Ok(Self {
            whereabouts: archived.whereabouts(),
            delivered_elsewhere,
            events: count,
            undelivered,
            refused,
            registry,
            archive: archive_answers.then_some(against),
        })
    }

    /// Whether the archive has another history of this chain.
    pub fn is_parted(&self) -> bool {
        self.archive
            .as_ref()
            .is_some_and(|archive| archive.parting.is_some())
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
    if let Some(parting) = trail.archive.as_ref().and_then(|archive| archive.parting)
        && trail.registry.is_empty()
    {
        return CHAIN.fail(parting.in_words(trail.whereabouts), items);
    }
    if !items.is_empty() {
        return CHAIN.fail(
            "the trail was tampered with; whichever of registry and archive is whole tells what happened",
            items,
        );
    }
    match (&trail.archive, trail.events) {
        (_, 0) => CHAIN.pass("nothing has happened yet"),
        (None, events) if trail.whereabouts == Whereabouts::NoArchive => CHAIN.pass(format!(
            "{events} events are whole; there is no archive to compare them with"
        )),
        (Some(_), _) if trail.delivered_elsewhere > 0 => CHAIN.warn(
            format!(
                "{} events are on record as delivered, and this archive has none of them: the settings name another archive, \
                 or it was emptied. The next delivery brings everything",
                trail.delivered_elsewhere
            ),
            Vec::new(),
        ),
        (Some(_), events) if trail.whereabouts == Whereabouts::NothingYet => CHAIN.pass(format!(
            "{events} events are whole; the archive has none of them yet"
        )),
        (None, _) => CHAIN.warn(
            "the registry's trail is whole; the archive cannot be reached, so it was not compared",
            Vec::new(),
        ),
        (Some(_), events) => {
            CHAIN.pass(format!("{events} events are whole, and the archive agrees"))
        }
    }
}

pub(super) fn check_delivery(trail: &Trail) -> Check {
    if trail.whereabouts == Whereabouts::NoArchive {
        return DELIVERY.pass(NO_ARCHIVE);
    }
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

    /// The first number.
    fn first(&self) -> Option<u64> {
        self.0.first().map(|(first, _)| *first)
    }

    /// The first number, when the numbers are all that come after this head.
    fn all_after(&self, head: Option<&Head>) -> Option<u64> {
        match (self.0.as_slice(), head) {
            ([(first, _)], Some(head)) if *first == head.sequence + 1 => Some(*first),
            _ => None,
        }
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
        let faults: Vec<String> = faults
            .iter()
            // What the registry has is missing only if it was delivered, which is judged by itself.
            .filter(|fault| {
                !matches!(fault, ChainFault::Missing(from, to) if only_registry.contains(*from, *to))
            })
            .map(|fault| format!("archive: {fault}"))
            .collect();
        let differs = self.differing.first();
        let parts_at = differs.or_else(|| self.missing_in_registry.all_after(head));
        let against = Against {
            parting: parts_at
                .filter(|_| faults.is_empty() && self.missing_in_archive.first().is_none())
                .map(|at| Parting {
                    after: at.saturating_sub(1),
                    differs: differs.is_some(),
                }),
            faults,
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
