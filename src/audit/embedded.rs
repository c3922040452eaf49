//! The archive of the embedded mode: a SQLite file beside the embedded databases.

use std::ffi::OsStr;
use std::path::Path;

use async_trait::async_trait;

use crate::database::SHORT_WAIT;
use crate::database::sqlite::SqliteDatabase;
use crate::database::{Access, Database, DatabaseError, Place, Reply, Row, Sql, Statement, Value};
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::archive::{
    Added, Archive, ArchiveError, ArchiveErrorKind, ArchivedMigration, ArchivedSnapshot,
    EventFilter, SnapshotHeader,
};
use super::event::Event;
use super::stream::{self, Partition, Stream, StreamRecord};

/// The file's name. No database can have it: ids begin with a letter or a digit.
const FILE: &str = "_version-control.sqlite";

/// The tables carry the names of the containers that they stand for; a document is kept whole, as JSON text. `database_id` is
/// the partition.
const TABLES: [Sql; 5] = [
    Sql(
        "CREATE TABLE IF NOT EXISTS \"change-events\" (id TEXT NOT NULL PRIMARY KEY, database_id TEXT NOT NULL, \
         sequence INTEGER NOT NULL, migration_id TEXT, type TEXT NOT NULL, at TEXT NOT NULL, document TEXT NOT NULL)",
    ),
    Sql("CREATE INDEX IF NOT EXISTS ix_change_events ON \"change-events\" (database_id, sequence)"),
    Sql(
        "CREATE TABLE IF NOT EXISTS \"schema-snapshots\" (id TEXT NOT NULL PRIMARY KEY, database_id TEXT NOT NULL, \
         document TEXT NOT NULL)",
    ),
    Sql(
        "CREATE TABLE IF NOT EXISTS migrations (database_id TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, \
         document TEXT NOT NULL, PRIMARY KEY (database_id, id))",
    ),
    Sql(
        "CREATE TABLE IF NOT EXISTS streams (database_id TEXT NOT NULL, id TEXT NOT NULL, chain TEXT NOT NULL, \
         document TEXT NOT NULL, PRIMARY KEY (database_id, id))",
    ),
];
const STREAMS_ALL: Sql = Sql("SELECT document FROM streams WHERE database_id = @P1 ORDER BY id");
const STREAM_REMOVE: Sql =
    Sql("DELETE FROM streams WHERE database_id = @P1 AND id = @P2 AND chain = @P3");
const STREAM_ADD: Sql = Sql(
    "INSERT INTO streams (database_id, id, chain, document) SELECT @P1, @P2, @P3, @P4 \
     WHERE NOT EXISTS (SELECT 1 FROM streams WHERE database_id = @P1 AND id = @P2)",
);
const EVENT_ADD: Sql = Sql(
    "INSERT INTO \"change-events\" (id, database_id, sequence, migration_id, type, at, document) \
     SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7 WHERE NOT EXISTS (SELECT 1 FROM \"change-events\" WHERE id = @P1)",
);
const EVENTS_PAGE: Sql = Sql(
    "SELECT sequence, document FROM \"change-events\" WHERE database_id = @P1 AND sequence < @P2 \
     AND (@P3 = '' OR migration_id = @P3) AND (@P4 = '' OR type = @P4) AND at >= @P5 ORDER BY sequence DESC {page @P6}",
);
const EVENTS_CHAIN: Sql = Sql(
    "SELECT sequence, document FROM \"change-events\" WHERE database_id = @P1 AND sequence > @P2 \
     ORDER BY sequence {page @P3}",
);
const SNAPSHOT_ADD: Sql = Sql(
    "INSERT INTO \"schema-snapshots\" (id, database_id, document) SELECT @P1, @P2, @P3 \
     WHERE NOT EXISTS (SELECT 1 FROM \"schema-snapshots\" WHERE id = @P1)",
);
const SNAPSHOT_ONE: Sql =
    Sql("SELECT document FROM \"schema-snapshots\" WHERE database_id = @P1 AND id = @P2");
const SNAPSHOTS_EXPIRED_REMOVE: Sql = Sql(
    "DELETE FROM \"schema-snapshots\" WHERE database_id = @P1 AND json_extract(document, '$.expiresAt') <= @P2",
);
const SNAPSHOTS_ALL: Sql = Sql("SELECT document FROM \"schema-snapshots\" WHERE database_id = @P1");
const MIGRATION_REMOVE: Sql =
    Sql("DELETE FROM migrations WHERE database_id = @P1 AND id = @P2 AND revision <= @P3");
const MIGRATION_ADD: Sql = Sql(
    "INSERT INTO migrations (database_id, id, revision, document) SELECT @P1, @P2, @P3, @P4 \
     WHERE NOT EXISTS (SELECT 1 FROM migrations WHERE database_id = @P1 AND id = @P2)",
);
const MIGRATIONS_ALL: Sql =
    Sql("SELECT document FROM migrations WHERE database_id = @P1 ORDER BY id");

/// The archive of the embedded mode.
#[derive(Debug, Clone)]
pub struct EmbeddedArchive {
    file: SqliteDatabase,
}

fn failed(phase: &'static str) -> impl Fn(DatabaseError) -> ArchiveError {
    move |error| ArchiveError {
        kind: ArchiveErrorKind::Unavailable,
        phase,
        message: error.to_string(),
    }
}

fn document<T: serde::de::DeserializeOwned>(
    row: &Row,
    phase: &'static str,
) -> Result<T, ArchiveError> {
    row.json("document", "a document of the archive")
        .map_err(|error| failed(phase)(error.into()))
}

fn sequence(row: &Row, phase: &'static str) -> Result<u64, ArchiveError> {
    row.count("sequence")
        .map_err(|error| failed(phase)(error.into()))
}

/// The event that a row holds, if it is one.
fn event(row: &Row) -> Option<Event> {
    row.json("document", "an event")
        .ok()
        .and_then(Event::from_document)
}

fn has_expired(header: &SnapshotHeader) -> bool {
    header.expires_at.is_some_and(|end| end <= Timestamp::now())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl EmbeddedArchive {
    /// The archive in a folder; nothing is made before something is written.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            file: SqliteDatabase::new(folder.join(FILE), None),
        }
    }

    /// Whether a folder has an archive.
    pub fn is_in_folder(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    async fn write(
        &self,
        statements: Vec<Statement>,
        phase: &'static str,
    ) -> Result<Vec<Reply>, ArchiveError> {
        let work = async {
            let mut connection = self.file.open(Access::Write).await?;
            connection.begin(SHORT_WAIT).await?;
            let tables: Vec<Statement> = TABLES.iter().map(|sql| sql.bind([])).collect();
            let written = match connection.exchange(&tables).await {
                Ok(_) => connection.exchange(&statements).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(replies) => connection.commit().await.map(|()| replies),
                Err(error) => {
                    connection.rollback().await?;
                    Err(error)
                }
            }
        };
        work.await.map_err(failed(phase))
    }

    /// All or nothing, as one transaction does.
    async fn write_all(
        &self,
        statements: Vec<Statement>,
        count: usize,
        phase: &'static str,
    ) -> Added {
        match self.write(statements, phase).await {
            Ok(_) => Added {
                count,
                stopped: None,
            },
            Err(error) => Added {
                count: 0,
                stopped: Some(error),
            },
        }
    }

    async fn read(
        &self,
        statement: Statement,
        phase: &'static str,
    ) -> Result<Vec<Row>, ArchiveError> {
        let work = async {
            let mut connection = self.file.open(Access::Read).await?;
            crate::database::ask(connection.as_mut(), statement).await
        };
        match work.await {
            Ok(Reply { rows, .. }) => Ok(rows),
            // Nothing was ever archived.
            Err(DatabaseError::Absent | DatabaseError::NoRegistry { .. }) => Ok(Vec::new()),
            Err(error) => Err(failed(phase)(error)),
        }
    }
}

#[async_trait]
impl Archive for EmbeddedArchive {
    fn source(&self) -> &'static str {
        "embedded"
    }

    async fn ping(&self) -> Result<(), ArchiveError> {
        self.read(
            Sql("SELECT 1 AS one").bind([]),
            "looking whether the archive answers",
        )
        .await
        .map(|_| ())
    }

    async fn streams(&self, database: &DatabaseId) -> Result<Vec<Stream>, ArchiveError> {
        const PHASE: &str = "reading whose histories it holds";
        let records = self
            .read(STREAMS_ALL.bind([database.as_str().into()]), PHASE)
            .await?
            .iter()
            .map(|row| document(row, PHASE))
            .collect::<Result<_, _>>()?;
        stream::with_unrecorded(self, database, records).await
    }

    async fn record_stream(&self, stream: &Stream, place: &Place) -> Result<bool, ArchiveError> {
        let record = StreamRecord::of(stream, place);
        let key = || {
            (
                Value::from(stream.partition.database().as_str()),
                Value::from(record.id()),
                Value::from(record.chain.as_str()),
            )
        };
        let (database, id, chain) = key();
        let remove = STREAM_REMOVE.bind([database, id, chain]);
        let (database, id, chain) = key();
        // Plain data always serialises.
        let text = serde_json::to_string(&record).unwrap_or_default();
        let add = STREAM_ADD.bind([database, id, chain, text.into()]);
        let replies = self
            .write(vec![remove, add], "recording whose history it holds")
            .await?;
        Ok(replies.last().is_some_and(|added| added.affected == 1))
    }

    fn is_stream_of(&self, stream: &Stream, place: &Place) -> bool {
        let name = |place: &Place| Path::new(&place.database).file_name().map(OsStr::to_owned);
        match &stream.place {
            Some(known) if place.engine == EngineKind::Sqlite => {
                known.engine == place.engine && name(known) == name(place)
            }
            Some(known) => known.is(place),
            None => stream.engine.is_none_or(|engine| engine == place.engine),
        }
    }

    async fn add_events(&self, partition: &Partition, events: &[Event]) -> Added {
        let statements = events
            .iter()
            .map(|event| {
                EVENT_ADD.bind([
                    event.id.as_str().into(),
                    partition.key().into(),
                    number(event.sequence).into(),
                    event.migration_id.as_ref().map(|id| id.as_str()).into(),
                    event.kind.as_str().into(),
                    event.at.into(),
                    // Plain data always serialises.
                    serde_json::to_string(event).unwrap_or_default().into(),
                ])
            })
            .collect();
        self.write_all(statements, events.len(), "adding events")
            .await
    }

    async fn events(
        &self,
        partition: &Partition,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, ArchiveError> {
        const PHASE: &str = "reading events";
        let since = filter.since.map_or_else(
            || "0001-01-01T00:00:00.000Z".to_owned(),
            |since: Timestamp| since.to_string(),
        );
        let mut before = filter.before.unwrap_or(u64::MAX);
        let mut events = Vec::new();
        loop {
            let statement = EVENTS_PAGE.bind([
                partition.key().into(),
                number(before).into(),
                filter.migration_id.as_deref().unwrap_or_default().into(),
                filter.kind.map_or("", |kind| kind.as_str()).into(),
                since.as_str().into(),
                limit.into(),
            ]);
            let rows = self.read(statement, PHASE).await?;
            for row in &rows {
                before = sequence(row, PHASE)?;
                // What is no event any more is for verifying to name.
                events.extend(event(row));
            }
            if rows.len() < limit as usize || events.len() >= limit as usize {
                break;
            }
        }
        events.truncate(limit as usize);
        Ok(events)
    }

    async fn chain(
        &self,
        partition: &Partition,
        after: u64,
        limit: u32,
    ) -> Result<Vec<super::chain::Link>, ArchiveError> {
        const PHASE: &str = "reading the chain of events";
        let statement =
            EVENTS_CHAIN.bind([partition.key().into(), number(after).into(), limit.into()]);
        self.read(statement, PHASE)
            .await?
            .iter()
            .map(|row| {
                Ok(super::chain::Link {
                    sequence: sequence(row, PHASE)?,
                    event: event(row),
                })
            })
            .collect()
    }

    async fn add_snapshot(
        &self,
        partition: &Partition,
        snapshot: &ArchivedSnapshot,
    ) -> Result<(), ArchiveError> {
        let mut statements = Vec::new();
        if snapshot.header.expires_at.is_some() {
            statements.push(
                SNAPSHOTS_EXPIRED_REMOVE
                    .bind([partition.key().into(), Timestamp::now().to_string().into()]),
            );
        }
        if !has_expired(&snapshot.header) {
            statements.push(SNAPSHOT_ADD.bind([
                snapshot.header.snapshot_id.as_str().into(),
                partition.key().into(),
                serde_json::to_string(snapshot).unwrap_or_default().into(),
            ]));
        }
        self.write(statements, "adding a snapshot")
            .await
            .map(|_| ())
    }

    async fn snapshot_headers(
        &self,
        partition: &Partition,
    ) -> Result<Vec<SnapshotHeader>, ArchiveError> {
        const PHASE: &str = "reading the headers of snapshots";
        let mut headers: Vec<SnapshotHeader> = self
            .read(SNAPSHOTS_ALL.bind([partition.key().into()]), PHASE)
            .await?
            .iter()
            .map(|row| document(row, PHASE))
            .collect::<Result<_, _>>()?;
        headers.retain(|header| !has_expired(header));
        headers.sort_by_key(|header| (header.captured_at, header.snapshot_id.clone()));
        Ok(headers)
    }

    async fn snapshot(
        &self,
        partition: &Partition,
        snapshot_id: &str,
    ) -> Result<Option<ArchivedSnapshot>, ArchiveError> {
        const PHASE: &str = "reading a snapshot";
        let statement = SNAPSHOT_ONE.bind([partition.key().into(), snapshot_id.into()]);
        let found: Option<ArchivedSnapshot> = self
            .read(statement, PHASE)
            .await?
            .first()
            .map(|row| document(row, PHASE))
            .transpose()?;
        Ok(found.filter(|snapshot| !has_expired(&snapshot.header)))
    }

    async fn put_migrations(
        &self,
        partition: &Partition,
        migrations: &[ArchivedMigration],
    ) -> Added {
        let statements = migrations
            .iter()
            .flat_map(|migration| {
                let key = || {
                    (
                        partition.key().into(),
                        migration.migration_id.as_str().into(),
                        number(migration.revision).into(),
                    )
                };
                let (database, id, revision) = key();
                let remove = MIGRATION_REMOVE.bind([database, id, revision]);
                let (database, id, revision) = key();
                let text = serde_json::to_string(migration).unwrap_or_default();
                [
                    remove,
                    MIGRATION_ADD.bind([database, id, revision, text.into()]),
                ]
            })
            .collect();
        self.write_all(statements, migrations.len(), "copying migrations")
            .await
    }

    async fn migrations(
        &self,
        partition: &Partition,
    ) -> Result<Vec<ArchivedMigration>, ArchiveError> {
        const PHASE: &str = "reading the copies of migrations";
        self.read(MIGRATIONS_ALL.bind([partition.key().into()]), PHASE)
            .await?
            .iter()
            .map(|row| document(row, PHASE))
            .collect()
    }
}
