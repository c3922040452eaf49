//! The definitions with their scripts, read once: against their checksums, and against the archive's copies.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use crate::audit::{ArchiveError, ArchivedMigration, copy_of};
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::migrations::{self, Definition};
use crate::script::Checksum;

use super::super::access::Managed;
use super::archived::Archived;

/// How many definitions are read at once; a script may have megabytes.
const AT_ONCE: u32 = 50;

/// What the definitions gave.
#[derive(Debug)]
pub(super) struct Texts {
    /// How many there are.
    pub definitions: usize,
    /// Texts that do not have their checksum.
    pub tampered: Vec<String>,
    /// How many wait for their delivery to the archive.
    pub waiting: usize,
    /// Where the archive differs; none when it could not be read.
    pub copies: Option<Copies>,
}

/// What is wrong with the archive's copy of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyFault {
    /// There is none.
    Missing,
    /// There is none, and what is registered is damaged.
    MissingOfDamaged,
    /// It is older than what is registered, or does not have its own checksums, while what is registered does.
    Inferior,
    /// It says something else, and nobody can tell from here which of the two is right.
    Contradicts,
    /// The registry does not know the migration.
    Unregistered,
}

impl CopyFault {
    /// Whether the registry's text can replace it without guessing.
    fn is_mendable(self) -> bool {
        matches!(self, Self::Missing | Self::Inferior)
    }

    /// Whether replacing all copies could lose the only true text that is left.
    pub fn forbids_mending(self) -> bool {
        matches!(self, Self::MissingOfDamaged | Self::Contradicts)
    }
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the archive has no copy of it",
            Self::MissingOfDamaged => {
                "the archive has no copy of it, and what is registered is damaged"
            }
            Self::Inferior => "the archive's copy is out of date or damaged",
            Self::Contradicts => "the archive's copy differs from what is registered",
            Self::Unregistered => "the archive has a copy of it, the registry does not know it",
        })
    }
}

/// Where the archive's copies differ from the registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Copies {
    pub faults: BTreeMap<String, CopyFault>,
}

impl Copies {
    /// What both found: a definition may be delivered between the reading of registry and archive.
    fn and(mut self, other: &Self) -> Self {
        self.faults
            .retain(|id, fault| other.faults.get(id) == Some(fault));
        self
    }

    /// Whether copying the registry to the archive again mends something. It copies everything, so it must not be done
    /// while a copy may be the only true text that is left.
    pub fn can_be_mended(&self) -> bool {
        let faults = || self.faults.values();
        faults().any(|fault| fault.is_mendable()) && !faults().any(|fault| fault.forbids_mending())
    }
}

impl Texts {
    pub async fn read(
        mut connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archived: Archived<'_>,
    ) -> Result<Self, DatabaseError> {
        let first = Self::read_once(connection.as_deref_mut(), managed, archived).await?;
        if first
            .copies
            .as_ref()
            .is_none_or(|copies| copies.faults.is_empty())
        {
            return Ok(first);
        }
        let second = Self::read_once(connection, managed, archived).await?;
        let copies = match (first.copies, &second.copies) {
            (Some(first), Some(second)) => Some(first.and(second)),
            _ => None,
        };
        Ok(Self { copies, ..second })
    }

    async fn read_once(
        connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archived: Archived<'_>,
    ) -> Result<Self, DatabaseError> {
        let mut texts = Self {
            definitions: 0,
            tampered: Vec::new(),
            waiting: 0,
            copies: None,
        };
        let copies = match archived {
            Archived::Nowhere | Archived::Unreadable | Archived::Nothing => None,
            Archived::At(archive, partition) => Some(archive.migrations(partition).await),
        };
        let mut comparison = Comparison::with(copies);
        if let Some(connection) = connection {
            let reply = ask(connection, migrations::unarchived_ids(managed.id())).await?;
            let mut waiting = HashSet::new();
            for row in &reply.rows {
                waiting.insert(row.text("migration_id")?.to_owned());
            }
            texts.waiting = waiting.len();
            let mut after = String::new();
            loop {
                let page = migrations::definitions(managed.id(), &after, AT_ONCE);
                let rows = ask(connection, page).await?.rows;
                let count = rows.len();
                for row in &rows {
                    let definition = migrations::parse_definition(row)?;
                    definition.migration_id.as_str().clone_into(&mut after);
                    texts.definitions += 1;
                    if !definition.is_intact() {
                        texts.tampered.push(format!(
                            "{}: its registered text does not have the checksum recorded for it",
                            definition.migration_id
                        ));
                    }
                    let waits = waiting.contains(&after);
                    comparison.look_at(managed, &definition, waits);
                }
                if count < AT_ONCE as usize {
                    break;
                }
            }
        }
        texts.copies = comparison.finish();
        match archived {
            Archived::Nowhere => texts.waiting = 0,
            // Whatever another archive has of it, this one is still to get everything.
            Archived::Nothing => {
                texts.waiting = texts.definitions;
                texts.copies = Some(Copies::default());
            }
            Archived::Unreadable | Archived::At(..) => {}
        }
        Ok(texts)
    }
}

/// The archive's copies that have not met their definition yet; none when they could not be read.
struct Comparison {
    left: Option<BTreeMap<String, ArchivedMigration>>,
    faults: BTreeMap<String, CopyFault>,
}

impl Comparison {
    /// `copies`: none where nobody could look, or nothing is archived.
    fn with(copies: Option<Result<Vec<ArchivedMigration>, ArchiveError>>) -> Self {
        let left = match copies {
            None => None,
            Some(Ok(copies)) => Some(
                copies
                    .into_iter()
                    .map(|copy| (copy.migration_id.clone(), copy))
                    .collect(),
            ),
            Some(Err(error)) => {
                tracing::warn!(%error, "the copies of migrations were not looked at");
                None
            }
        };
        Self {
            left,
            faults: BTreeMap::new(),
        }
    }

    /// `waits`: the archive need not have its present form yet.
    fn look_at(&mut self, managed: &Managed, definition: &Definition, waits: bool) {
        let Some(left) = &mut self.left else {
            return;
        };
        let right = copy_of(managed.id(), definition);
        let fault = match left.remove(&right.migration_id) {
            _ if waits => return,
            None if definition.is_intact() => CopyFault::Missing,
            None => CopyFault::MissingOfDamaged,
            Some(copy) => {
                let older = copy.revision < right.revision || !is_intact(&copy);
                // The revision only counts; what is compared is the content.
                let copy = ArchivedMigration {
                    revision: right.revision,
                    ..copy
                };
                if copy == right {
                    return;
                }
                if older && definition.is_intact() {
                    CopyFault::Inferior
                } else {
                    CopyFault::Contradicts
                }
            }
        };
        self.faults.insert(right.migration_id, fault);
    }

    fn finish(self) -> Option<Copies> {
        let mut faults = self.faults;
        self.left.map(|left| {
            faults.extend(left.into_keys().map(|id| (id, CopyFault::Unregistered)));
            Copies { faults }
        })
    }
}

/// Whether a copy's texts have the checksums that it names.
fn is_intact(copy: &ArchivedMigration) -> bool {
    let checksum = |text: &str| Checksum::of_text(text).to_string();
    checksum(&copy.up_script) == copy.up_checksum
        && copy.down_script.as_deref().map(checksum) == copy.down_checksum
}
