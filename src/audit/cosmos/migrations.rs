//! Copies of migrations: a document each; scripts that are too long for it are in parts of their own.
//!
//! A part belongs to one revision of one migration, so that removing those of a former revision can never take one from a
//! copy that another instance is writing.

use std::collections::HashMap;

use azure_data_cosmos::ContainerClient;
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::archive::ArchivedMigration;
use super::super::stream::Partition;
use super::batches::{self, Outcome, Write, document_of};
use super::documents::{self, Document, as_written, asked, placed, query, taken_out, text};
use super::pieces;

/// Up to so many bytes of JSON text both scripts stand in the document itself.
const INLINE_BYTES: usize = 1_000_000;

/// How often a copy is read again because another instance changed it.
const ATTEMPTS: u32 = 10;

/// How many copies are looked up at once.
const LOOKED_UP: usize = 100;

/// A copy as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MigrationDocument {
    id: String,
    kind: Kind,
    #[serde(flatten)]
    migration: ArchivedMigration,
    /// The ids of the up script's parts, in order; empty when it stands in `upScript`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    up_parts: Vec<String>,
    /// The ids of the down script's parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    down_parts: Vec<String>,
}

/// A part as it is stored.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartDocument<'a> {
    id: &'a str,
    kind: Kind,
    database_id: &'a str,
    migration_id: &'a str,
    revision: u64,
    content: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Migration,
    Part,
    Stream,
}

/// What is to be stored of a migration.
#[derive(Debug)]
struct Copy<'a> {
    partition: &'a Partition,
    migration: &'a ArchivedMigration,
    document: Document,
    /// Id and content of each part.
    parts: Vec<(String, &'a str)>,
}

impl<'a> Copy<'a> {
    fn of(partition: &'a Partition, migration: &'a ArchivedMigration) -> Self {
        let down = migration.down_script.as_deref().unwrap_or_default();
        let size = pieces::size_as_json(&migration.up_script) + pieces::size_as_json(down);
        let mut stored = MigrationDocument {
            id: migration.migration_id.clone(),
            kind: Kind::Migration,
            migration: migration.clone(),
            up_parts: Vec::new(),
            down_parts: Vec::new(),
        };
        let mut parts = Vec::new();
        if size > INLINE_BYTES {
            let mut part = |script: &'a str| -> Vec<String> {
                let named = pieces::cut(script).into_iter().map(|piece| {
                    let id = format!(
                        "part-{}-{}-{}",
                        migration.revision,
                        pieces::name(piece),
                        migration.migration_id
                    );
                    (id, piece)
                });
                let named: Vec<_> = named.collect();
                let ids = named.iter().map(|(id, _)| id.clone()).collect();
                parts.extend(named);
                ids
            };
            stored.up_parts = part(&migration.up_script);
            stored.migration.up_script.clear();
            if !down.is_empty() {
                stored.down_parts = part(down);
                stored.migration.down_script = Some(String::new());
            }
        }
        Self {
            partition,
            migration,
            document: placed(document_of(&stored), partition),
            parts,
        }
    }

    fn id(&self) -> &str {
        &self.migration.migration_id
    }

    /// The write that puts it in place of what was read; none when that is newer.
    fn write(&self, read: Option<&Document>) -> Option<Write> {
        if read.is_some_and(|read| revision(read) > self.migration.revision) {
            return None;
        }
        Some(Write {
            id: self.id().to_owned(),
            document: self.document.clone(),
            replaces: read.cloned(),
        })
    }
}

/// The revision of a copy. One that cannot be read is older than any.
fn revision(document: &Document) -> u64 {
    let number = document.get("revision");
    number
        .and_then(Value::as_u64)
        .or_else(|| number.and_then(Value::as_f64).map(|number| number as u64))
        .unwrap_or_default()
}

/// Puts copies in place of those of the same or an older revision, in their order. How many, and why not more.
pub(super) async fn put(
    container: &ContainerClient,
    partition: &Partition,
    migrations: &[ArchivedMigration],
) -> (usize, Option<CosmosFault>) {
    let mut count = 0;
    while count < migrations.len() {
        let many: Vec<Copy> = migrations[count..]
            .iter()
            .take(LOOKED_UP)
            .map(|migration| Copy::of(partition, migration))
            .collect();
        let (put, fault) = put_many(container, partition, &many).await;
        count += put;
        if fault.is_some() {
            return (count, fault);
        }
    }
    (count, None)
}

/// Puts those at once that fit into a batch, as long as nothing stands in the way of it.
async fn put_many(
    container: &ContainerClient,
    partition: &Partition,
    copies: &[Copy<'_>],
) -> (usize, Option<CosmosFault>) {
    let known = match versions(container, partition, copies).await {
        Ok(known) => known,
        Err(fault) => return (0, Some(fault)),
    };
    let has_parts =
        |copy: &Copy<'_>| !copy.parts.is_empty() || known.get(copy.id()).is_some_and(names_parts);
    let mut count = 0;
    while count < copies.len() {
        let small: Vec<&Copy> = copies[count..]
            .iter()
            .take_while(|copy| !has_parts(copy))
            .collect();
        let fitting = batches::fitting(small.iter().map(|copy| &copy.document));
        if fitting > 1 {
            let writes: Vec<Write> = small[..fitting]
                .iter()
                .filter_map(|copy| copy.write(known.get(copy.id())))
                .collect();
            let written = match writes.is_empty() {
                true => Ok(Outcome::Written),
                false => batches::write(container, partition, &writes).await,
            };
            match written {
                Ok(Outcome::Written) => {
                    count += fitting;
                    continue;
                }
                Ok(Outcome::Apart) => {}
                Err(fault) => return (count, Some(fault)),
            }
        }
        // One after the other, up to the end of what was tried at once.
        for copy in &copies[count..count + fitting] {
            if let Err(fault) = put_one(container, copy, known.get(copy.id()).cloned()).await {
                return (count, Some(fault));
            }
            count += 1;
        }
    }
    (count, None)
}

fn names_parts(document: &Document) -> bool {
    ["upParts", "downParts"]
        .iter()
        .any(|field| document.contains_key(*field))
}

/// What is known of the copies without their scripts.
async fn versions(
    container: &ContainerClient,
    partition: &Partition,
    copies: &[Copy<'_>],
) -> Result<HashMap<String, Document>, CosmosFault> {
    let ids: Vec<&str> = copies.iter().map(Copy::id).collect();
    let asked = asked(
        "SELECT c.id, c.revision, c.upParts, c.downParts, c._etag FROM c \
         WHERE c.databaseId = @database AND ARRAY_CONTAINS(@ids, c.id)",
        &[("@database", json!(partition.key())), ("@ids", json!(ids))],
    )?;
    let found = query(container, partition, asked, 0).await?;
    found
        .map_ok(|document| {
            let id = text(&document, "id").unwrap_or_default().to_owned();
            (id, document)
        })
        .try_collect()
        .await
}

/// Puts one copy: its parts first, then the document, and then the parts of former revisions go.
async fn put_one(
    container: &ContainerClient,
    copy: &Copy<'_>,
    known: Option<Document>,
) -> Result<(), CosmosFault> {
    let partition = copy.partition;
    let mut known = known;
    for attempt in 0..ATTEMPTS {
        let Some(write) = copy.write(known.as_ref()) else {
            return Ok(());
        };
        if attempt == 0 {
            add_parts(container, copy).await?;
        }
        match batches::one(container, partition, &write).await {
            Ok(()) => {
                let had_parts = known.as_ref().is_some_and(names_parts);
                if had_parts {
                    remove_former_parts(container, copy).await;
                }
                return Ok(());
            }
            // Another instance was faster.
            Err(fault)
                if matches!(
                    fault.kind,
                    FaultKind::Conflict | FaultKind::Changed | FaultKind::NotFound
                ) =>
            {
                known = documents::read(container, partition.key(), copy.id()).await?;
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(CosmosFault {
        kind: FaultKind::Unavailable,
        status: "412".to_owned(),
        message: format!("the copy of {} is being changed all the time", copy.id()),
    })
}

async fn add_parts(container: &ContainerClient, copy: &Copy<'_>) -> Result<(), CosmosFault> {
    let partition = copy.partition;
    for (id, content) in &copy.parts {
        let part = document_of(&PartDocument {
            id,
            kind: Kind::Part,
            database_id: partition.key(),
            migration_id: copy.id(),
            revision: copy.migration.revision,
            content,
        });
        match documents::create(container, partition, id, &part).await {
            // Its id says what it holds.
            Err(fault) if fault.kind != FaultKind::Conflict => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Parts that nothing names any more only take room, so failing to remove them is no failure.
async fn remove_former_parts(container: &ContainerClient, copy: &Copy<'_>) {
    let removed = async {
        let asked = asked(
            "SELECT c.id FROM c WHERE c.databaseId = @database AND c.kind = 'part' AND c.migrationId = @migration \
             AND c.revision < @revision",
            &[
                ("@database", json!(copy.partition.key())),
                ("@migration", json!(copy.id())),
                ("@revision", json!(copy.migration.revision)),
            ],
        )?;
        let found: Vec<Document> = query(container, copy.partition, asked, 0)
            .await?
            .try_collect()
            .await?;
        for part in found {
            let id = text(&part, "id").unwrap_or_default();
            documents::remove(container, copy.partition, id).await?;
        }
        Ok::<_, CosmosFault>(())
    };
    if let Err(fault) = removed.await {
        tracing::warn!(migration = copy.id(), %fault, "parts of a former revision stay in the archive");
    }
}

/// All copies, by id. What is no copy any more is left out: for verifying it is missing.
pub(super) async fn all(
    container: &ContainerClient,
    partition: &Partition,
) -> Result<Vec<ArchivedMigration>, CosmosFault> {
    let asked = asked(
        "SELECT * FROM c WHERE c.databaseId = @database AND c.kind = 'migration'",
        &[("@database", json!(partition.key()))],
    )?;
    let found: Vec<Document> = query(container, partition, asked, 0)
        .await?
        .try_collect()
        .await?;
    let mut migrations = Vec::with_capacity(found.len());
    for document in found {
        let id = text(&document, "id").unwrap_or_default().to_owned();
        match whole(container, partition, document).await? {
            Some(migration) => migrations.push(migration),
            None => {
                tracing::warn!(%partition, migration = id, "a copy of the archive cannot be read");
            }
        }
    }
    migrations.sort_by(|a, b| a.migration_id.cmp(&b.migration_id));
    Ok(migrations)
}

/// A copy with its scripts. When a part is not there, another instance may have put a newer copy in place since.
async fn whole(
    container: &ContainerClient,
    partition: &Partition,
    document: Document,
) -> Result<Option<ArchivedMigration>, CosmosFault> {
    let mut document = document;
    for _ in 0..ATTEMPTS {
        let read_version = documents::version(&document);
        let id = text(&document, "id").unwrap_or_default().to_owned();
        let stored: Result<MigrationDocument, _> =
            serde_json::from_value(Value::Object(taken_out(as_written(document), partition)));
        let Ok(stored) = stored else {
            return Ok(None);
        };
        let up = joined(container, partition, &stored.up_parts).await?;
        let down = joined(container, partition, &stored.down_parts).await?;
        if let (Some(up), Some(down)) = (up, down) {
            let mut migration = stored.migration;
            if !stored.up_parts.is_empty() {
                migration.up_script = up;
            }
            if !stored.down_parts.is_empty() {
                migration.down_script = Some(down);
            }
            return Ok((migration.migration_id == id).then_some(migration));
        }
        document = match documents::read(container, partition.key(), &id).await? {
            Some(newer) if documents::version(&newer) != read_version => newer,
            _ => return Ok(None),
        };
    }
    Ok(None)
}

async fn joined(
    container: &ContainerClient,
    partition: &Partition,
    parts: &[String],
) -> Result<Option<String>, CosmosFault> {
    let mut script = String::new();
    for id in parts {
        let part = documents::read(container, partition.key(), id).await?;
        match part.as_ref().and_then(|part| text(part, "content")) {
            Some(content) => script.push_str(content),
            None => return Ok(None),
        }
    }
    Ok(Some(script))
}
