//! The definitions with their scripts, read once: against their checksums, and against the archive's copies.

use std::collections::{BTreeMap, HashSet};

use crate::audit::{Archive, ArchiveError, ArchivedMigration, copy_of};
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::migrations::{self, Definition};

use super::super::access::Managed;

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

/// Where the archive's copies differ from the registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Copies {
    /// The registry has it, the archive does not, or not so.
    pub wrong: BTreeMap<String, &'static str>,
    /// The archive has it, the registry does not.
    pub unknown: BTreeMap<String, &'static str>,
}

impl Copies {
    /// What both found: a definition may be delivered between the reading of registry and archive.
    fn and(mut self, other: &Self) -> Self {
        self.wrong.retain(|id, _| other.wrong.contains_key(id));
        self.unknown.retain(|id, _| other.unknown.contains_key(id));
        self
    }

    fn is_empty(&self) -> bool {
        self.wrong.is_empty() && self.unknown.is_empty()
    }
}

impl Texts {
    pub async fn read(
        mut connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archive: &dyn Archive,
    ) -> Result<Self, DatabaseError> {
        let first = Self::read_once(connection.as_deref_mut(), managed, archive).await?;
        if first.copies.as_ref().is_none_or(Copies::is_empty) {
            return Ok(first);
        }
        let second = Self::read_once(connection, managed, archive).await?;
        let copies = match (first.copies, &second.copies) {
            (Some(first), Some(second)) => Some(first.and(second)),
            _ => None,
        };
        Ok(Self { copies, ..second })
    }

    async fn read_once(
        connection: Option<&mut (dyn Connection + 'static)>,
        managed: &Managed,
        archive: &dyn Archive,
    ) -> Result<Self, DatabaseError> {
        let mut texts = Self {
            definitions: 0,
            tampered: Vec::new(),
            waiting: 0,
            copies: None,
        };
        let archived = archive.migrations(managed.id()).await;
        let mut comparison = Comparison::with(archived);
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
        Ok(texts)
    }

    /// Whether handing the definitions to the archive again would mend something.
    pub fn copies_can_be_mended(&self) -> bool {
        self.copies
            .as_ref()
            .is_some_and(|copies| !copies.wrong.is_empty())
    }
}

/// The archive's copies that have not met their definition yet; none when they could not be read.
struct Comparison {
    left: Option<BTreeMap<String, ArchivedMigration>>,
    wrong: BTreeMap<String, &'static str>,
}

impl Comparison {
    fn with(archived: Result<Vec<ArchivedMigration>, ArchiveError>) -> Self {
        let left = match archived {
            Ok(copies) => Some(
                copies
                    .into_iter()
                    .map(|copy| (copy.migration_id.clone(), copy))
                    .collect(),
            ),
            Err(error) => {
                tracing::warn!(%error, "the copies of migrations were not looked at");
                None
            }
        };
        Self {
            left,
            wrong: BTreeMap::new(),
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
            None => "the archive has no copy of it",
            Some(copy) => {
                // The revision only counts; what counts is the content.
                let copy = ArchivedMigration {
                    revision: right.revision,
                    ..copy
                };
                if copy == right {
                    return;
                }
                "the archive's copy differs from what is registered"
            }
        };
        self.wrong.insert(right.migration_id, fault);
    }

    fn finish(self) -> Option<Copies> {
        let wrong = self.wrong;
        self.left.map(|left| Copies {
            wrong,
            unknown: left
                .into_keys()
                .map(|id| {
                    (
                        id,
                        "the archive has a copy of it, the registry does not know it",
                    )
                })
                .collect(),
        })
    }
}
