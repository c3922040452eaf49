-- dbvc's own tables, for SQLite. The T-SQL variant, V100__version_control_schema.sql, has the same tables and columns;
-- dbvc's statements are written once for both, so the two are changed together.
--
-- Times are RFC 3339 texts of fixed length in UTC, flags are 0 and 1, ids are made by dbvc. Tables that a script's record
-- touches have no rowid: each b-tree less is a page less to write with every commit.

-- The databases that dbvc manages. Only the home database's copy is used.
CREATE TABLE db_inventory (
    database_id    TEXT NOT NULL PRIMARY KEY,
    type           TEXT NOT NULL CHECK (type IN ('sql', 'cosmos')),
    engine         TEXT NOT NULL CHECK (engine IN ('sql-server', 'sqlite', 'cosmos')),
    environment    TEXT NOT NULL,
    server_name    TEXT,
    database_name  TEXT,
    folder         TEXT NOT NULL,
    connection     TEXT,
    created_at     TEXT NOT NULL,
    updated_at     TEXT NOT NULL
);

-- The definitions of migrations. A withdrawn one stays; its version is free again.
-- revision grows with every change, archived_revision follows when the copy in the archive does. refused_revision: the
-- archive did not accept the copy of this revision, when it last said so, and why.
CREATE TABLE migration_registry (
    database_id        TEXT NOT NULL,
    migration_id       TEXT NOT NULL,
    version            TEXT,
    version_key        TEXT,
    name               TEXT NOT NULL,
    description        TEXT,
    author             TEXT NOT NULL,
    file_name          TEXT,
    up_script          TEXT NOT NULL,
    up_checksum        TEXT NOT NULL,
    down_script        TEXT,
    down_checksum      TEXT,
    created_at         TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    withdrawn_at       TEXT,
    revision           INTEGER NOT NULL,
    archived_revision  INTEGER NOT NULL,
    refused_revision   INTEGER,
    refused_at         TEXT,
    refusal            TEXT,
    PRIMARY KEY (database_id, migration_id)
);

CREATE UNIQUE INDEX ux_migration_registry_version
    ON migration_registry (database_id, version_key)
    WHERE version_key IS NOT NULL AND withdrawn_at IS NULL;

-- Every attempt to apply or roll back a migration. ordinal orders the attempts of one database.
CREATE TABLE migration_execution_history (
    execution_id   TEXT NOT NULL PRIMARY KEY,
    database_id    TEXT NOT NULL,
    migration_id   TEXT NOT NULL,
    run_id         TEXT,
    ordinal        INTEGER NOT NULL,
    direction      TEXT NOT NULL CHECK (direction IN ('up', 'down', 'baseline')),
    status         TEXT NOT NULL
                   CHECK (status IN ('running', 'applied', 'rolled-back', 'failed', 'interrupted', 'half-applied')),
    transactional  INTEGER NOT NULL,
    checksum       TEXT NOT NULL,
    executor       TEXT NOT NULL,
    principal      TEXT,
    environment    TEXT NOT NULL,
    started_at     TEXT NOT NULL,
    finished_at    TEXT,
    duration_ms    INTEGER,
    batches        TEXT NOT NULL,
    errors         TEXT NOT NULL,
    note           TEXT,
    resolved_as    TEXT CHECK (resolved_as IN ('applied', 'failed'))
) WITHOUT ROWID;

CREATE INDEX ix_migration_execution_history_migration
    ON migration_execution_history (database_id, migration_id, ordinal);
CREATE INDEX ix_migration_execution_history_ordinal
    ON migration_execution_history (database_id, ordinal);
CREATE INDEX ix_migration_execution_history_running
    ON migration_execution_history (database_id, ordinal)
    WHERE status = 'running';

-- Progress of scripts that run without a transaction: begun is written before a round of a batch is sent, ended after it.
CREATE TABLE migration_execution_batches (
    execution_id   TEXT NOT NULL REFERENCES migration_execution_history (execution_id),
    batch_index    INTEGER NOT NULL,
    sha256         TEXT NOT NULL,
    rounds         INTEGER NOT NULL,
    rounds_begun   INTEGER NOT NULL,
    rounds_ended   INTEGER NOT NULL,
    failed         INTEGER NOT NULL,
    left_nothing   INTEGER NOT NULL,
    PRIMARY KEY (execution_id, batch_index)
) WITHOUT ROWID;

-- What a migration's state is now. No row means: never attempted.
CREATE TABLE migration_applied_status (
    database_id   TEXT NOT NULL,
    migration_id  TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('applied', 'failed', 'half-applied', 'rolled-back', 'interrupted')),
    checksum      TEXT NOT NULL,
    execution_id  TEXT NOT NULL,
    ordinal       INTEGER NOT NULL,
    executor      TEXT NOT NULL,
    changed_at    TEXT NOT NULL,
    duration_ms   INTEGER NOT NULL,
    PRIMARY KEY (database_id, migration_id),
    FOREIGN KEY (database_id, migration_id) REFERENCES migration_registry (database_id, migration_id)
) WITHOUT ROWID;

-- Headers of snapshots; their content is in the archive. schema_hash is that of the normalised schema, content_hash that of
-- the content as stored. covers: every execution up to this ordinal is in the snapshot. expires_at: empty for those that
-- stay. refused_at: when the archive last did not accept it, and why.
CREATE TABLE schema_snapshots (
    snapshot_id    TEXT NOT NULL PRIMARY KEY,
    database_id    TEXT NOT NULL,
    type           TEXT NOT NULL CHECK (type IN ('baseline', 'manual', 'post-migration', 'scheduled')),
    captured_at    TEXT NOT NULL,
    captured_by    TEXT NOT NULL,
    run_id         TEXT,
    engine         TEXT NOT NULL,
    schema_hash    TEXT NOT NULL,
    content_hash   TEXT NOT NULL,
    object_counts  TEXT NOT NULL,
    size_bytes     INTEGER NOT NULL,
    parts          INTEGER NOT NULL,
    covers         INTEGER NOT NULL,
    archived_at    TEXT,
    expires_at     TEXT,
    refused_at     TEXT,
    refusal        TEXT
);

CREATE INDEX ix_schema_snapshots_database
    ON schema_snapshots (database_id, covers);

-- Content of snapshots that the archive does not have yet.
CREATE TABLE schema_snapshot_parts (
    snapshot_id  TEXT NOT NULL REFERENCES schema_snapshots (snapshot_id),
    part         INTEGER NOT NULL,
    content      TEXT NOT NULL,
    PRIMARY KEY (snapshot_id, part)
);

-- Who may change a database. token grows with every taking and every giving back, and fences whoever held the lock before.
CREATE TABLE migration_locks (
    database_id   TEXT NOT NULL PRIMARY KEY,
    token         INTEGER NOT NULL,
    owner         TEXT,
    session_id    TEXT,
    run_id        TEXT,
    acquired_at   TEXT,
    heartbeat_at  TEXT,
    expires_at    TEXT
) WITHOUT ROWID;

-- What a run is going to execute on this database, committed before the first script. token is that of its lock.
CREATE TABLE migration_run_plans (
    database_id  TEXT NOT NULL,
    token        INTEGER NOT NULL,
    run_id       TEXT NOT NULL,
    steps        TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    closed_at    TEXT,
    PRIMARY KEY (database_id, token)
) WITHOUT ROWID;

CREATE INDEX ix_migration_run_plans_open
    ON migration_run_plans (database_id, token)
    WHERE closed_at IS NULL;

-- The runs. Only the home database's copy is used.
CREATE TABLE migration_runs (
    run_id               TEXT NOT NULL PRIMARY KEY,
    kind                 TEXT NOT NULL CHECK (kind IN ('run', 'rollback')),
    database_id          TEXT NOT NULL,
    environment          TEXT NOT NULL,
    executor             TEXT NOT NULL,
    principal            TEXT,
    request              TEXT NOT NULL,
    status               TEXT NOT NULL
                         CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'locked', 'cancelled',
                                           'nothing-to-do')),
    owner                TEXT,
    expires_at           TEXT,
    started_at           TEXT NOT NULL,
    finished_at          TEXT,
    cancel_requested_by  TEXT,
    progress             TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX ix_migration_runs_started
    ON migration_runs (started_at, run_id);
CREATE INDEX ix_migration_runs_unfinished
    ON migration_runs (started_at, run_id)
    WHERE finished_at IS NULL;

-- The audit trail, and the outbox of its delivery: delivered_at is empty until the archive has the event.
-- refused_at: when the archive last did not accept it, and why; those behind it are delivered without it.
CREATE TABLE audit_events (
    event_id       TEXT NOT NULL UNIQUE,
    database_id    TEXT NOT NULL,
    sequence       INTEGER NOT NULL,
    migration_id   TEXT,
    run_id         TEXT,
    execution_id   TEXT,
    type           TEXT NOT NULL,
    at             TEXT NOT NULL,
    executor       TEXT NOT NULL,
    principal      TEXT,
    environment    TEXT NOT NULL,
    data           TEXT NOT NULL,
    previous_hash  TEXT,
    hash           TEXT NOT NULL,
    delivered_at   TEXT,
    refused_at     TEXT,
    refusal        TEXT,
    PRIMARY KEY (database_id, sequence)
) WITHOUT ROWID;

CREATE INDEX ix_audit_events_undelivered
    ON audit_events (database_id, sequence)
    WHERE delivered_at IS NULL;

-- How far the trail was announced to the webhook: every event up to this number, or it is none to announce. No row means: no
-- webhook was ever set. owner: who is announcing right now. failing_since: since when the webhook takes nothing. given_up_at:
-- when it last refused an announcement for good.
CREATE TABLE trail_announcements (
    database_id    TEXT NOT NULL PRIMARY KEY,
    announced      INTEGER NOT NULL,
    owner          TEXT,
    expires_at     TEXT,
    failing_since  TEXT,
    given_up_at    TEXT
) WITHOUT ROWID;

-- The newest event of each database.
CREATE TABLE trail_heads (
    database_id  TEXT NOT NULL PRIMARY KEY,
    sequence     INTEGER NOT NULL,
    hash         TEXT NOT NULL
) WITHOUT ROWID;
