-- dbvc's own tables, in T-SQL. The SQLite variant, V100__version_control_schema.sqlite.sql, has the same tables and columns;
-- dbvc's statements are written once for both, so the two are changed together.
--
-- They stand in dbo whoever makes them: in another user's default schema a second registry would be made beside them.
-- Times are UTC with milliseconds, ids are made by dbvc. Key columns compare by code point, as SQLite does.

-- The databases that dbvc manages. Only the home database's copy is used.
CREATE TABLE dbo.db_inventory (
    database_id    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    type           NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (type IN ('sql', 'cosmos')),
    engine         NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (engine IN ('sql-server', 'sqlite', 'cosmos')),
    environment    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    server_name    NVARCHAR(255) NULL,
    database_name  NVARCHAR(128) NULL,
    folder         NVARCHAR(400) NOT NULL,
    connection     NVARCHAR(1000) NULL,
    created_at     DATETIMEOFFSET(3) NOT NULL,
    updated_at     DATETIMEOFFSET(3) NOT NULL
);

-- The definitions of migrations. A withdrawn one stays; its version is free again.
-- revision grows with every change, archived_revision follows when the copy in the archive does. refused_revision: the
-- archive did not accept the copy of this revision, when it last said so, and why.
CREATE TABLE dbo.migration_registry (
    database_id        NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    migration_id       NVARCHAR(300) COLLATE Latin1_General_100_BIN2 NOT NULL,
    version            NVARCHAR(304) NULL,
    version_key        NVARCHAR(304) COLLATE Latin1_General_100_BIN2 NULL,
    name               NVARCHAR(200) NOT NULL,
    description        NVARCHAR(MAX) NULL,
    author             NVARCHAR(400) NOT NULL,
    file_name          NVARCHAR(400) NULL,
    up_script          NVARCHAR(MAX) NOT NULL,
    up_checksum        NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    down_script        NVARCHAR(MAX) NULL,
    down_checksum      NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NULL,
    created_at         DATETIMEOFFSET(3) NOT NULL,
    updated_at         DATETIMEOFFSET(3) NOT NULL,
    withdrawn_at       DATETIMEOFFSET(3) NULL,
    revision           BIGINT NOT NULL,
    archived_revision  BIGINT NOT NULL,
    refused_revision   BIGINT NULL,
    refused_at         DATETIMEOFFSET(3) NULL,
    refusal            NVARCHAR(1000) NULL,
    PRIMARY KEY (database_id, migration_id)
);

CREATE UNIQUE INDEX ux_migration_registry_version
    ON dbo.migration_registry (database_id, version_key)
    WHERE version_key IS NOT NULL AND withdrawn_at IS NULL;

-- Every attempt to apply or roll back a migration. ordinal orders the attempts of one database.
CREATE TABLE dbo.migration_execution_history (
    execution_id   NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    database_id    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    migration_id   NVARCHAR(300) COLLATE Latin1_General_100_BIN2 NOT NULL,
    run_id         NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NULL,
    ordinal        BIGINT NOT NULL,
    direction      NVARCHAR(10) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (direction IN ('up', 'down', 'baseline')),
    status         NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL
                   CHECK (status IN ('running', 'applied', 'rolled-back', 'failed', 'interrupted', 'half-applied')),
    transactional  BIT NOT NULL,
    checksum       NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    executor       NVARCHAR(400) NOT NULL,
    principal      NVARCHAR(400) NULL,
    environment    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    started_at     DATETIMEOFFSET(3) NOT NULL,
    finished_at    DATETIMEOFFSET(3) NULL,
    duration_ms    BIGINT NULL,
    batches        NVARCHAR(MAX) NOT NULL,
    errors         NVARCHAR(MAX) NOT NULL,
    note           NVARCHAR(MAX) NULL,
    resolved_as    NVARCHAR(10) COLLATE Latin1_General_100_BIN2 NULL CHECK (resolved_as IN ('applied', 'failed'))
);

CREATE INDEX ix_migration_execution_history_migration
    ON dbo.migration_execution_history (database_id, migration_id, ordinal);
CREATE INDEX ix_migration_execution_history_ordinal
    ON dbo.migration_execution_history (database_id, ordinal);
CREATE INDEX ix_migration_execution_history_running
    ON dbo.migration_execution_history (database_id, ordinal)
    WHERE status = 'running';

-- Progress of scripts that run without a transaction: begun is written before a round of a batch is sent, ended after it.
CREATE TABLE dbo.migration_execution_batches (
    execution_id   NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL REFERENCES dbo.migration_execution_history (execution_id),
    batch_index    INT NOT NULL,
    sha256         NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    rounds         INT NOT NULL,
    rounds_begun   INT NOT NULL,
    rounds_ended   INT NOT NULL,
    failed         BIT NOT NULL,
    left_nothing   BIT NOT NULL,
    PRIMARY KEY (execution_id, batch_index)
);

-- What a migration's state is now. No row means: never attempted.
CREATE TABLE dbo.migration_applied_status (
    database_id   NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    migration_id  NVARCHAR(300) COLLATE Latin1_General_100_BIN2 NOT NULL,
    status        NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (status IN ('applied', 'failed', 'half-applied', 'rolled-back', 'interrupted')),
    checksum      NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    execution_id  NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL,
    ordinal       BIGINT NOT NULL,
    executor      NVARCHAR(400) NOT NULL,
    changed_at    DATETIMEOFFSET(3) NOT NULL,
    duration_ms   BIGINT NOT NULL,
    PRIMARY KEY (database_id, migration_id),
    FOREIGN KEY (database_id, migration_id) REFERENCES dbo.migration_registry (database_id, migration_id)
);

-- Headers of snapshots; their content is in the archive. schema_hash is that of the normalised schema, content_hash that of
-- the content as stored. covers: every execution up to this ordinal is in the snapshot. expires_at: empty for those that
-- stay. refused_at: when the archive last did not accept it, and why.
CREATE TABLE dbo.schema_snapshots (
    snapshot_id    NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    database_id    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    type           NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (type IN ('baseline', 'manual', 'post-migration', 'scheduled')),
    captured_at    DATETIMEOFFSET(3) NOT NULL,
    captured_by    NVARCHAR(400) NOT NULL,
    run_id         NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NULL,
    engine         NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    schema_hash    NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    content_hash   NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    object_counts  NVARCHAR(1000) NOT NULL,
    size_bytes     BIGINT NOT NULL,
    parts          INT NOT NULL,
    covers         BIGINT NOT NULL,
    archived_at    DATETIMEOFFSET(3) NULL,
    expires_at     DATETIMEOFFSET(3) NULL,
    refused_at     DATETIMEOFFSET(3) NULL,
    refusal        NVARCHAR(1000) NULL
);

CREATE INDEX ix_schema_snapshots_database
    ON dbo.schema_snapshots (database_id, covers);

-- Content of snapshots that the archive does not have yet.
CREATE TABLE dbo.schema_snapshot_parts (
    snapshot_id  NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL REFERENCES dbo.schema_snapshots (snapshot_id),
    part         INT NOT NULL,
    content      NVARCHAR(MAX) NOT NULL,
    PRIMARY KEY (snapshot_id, part)
);

-- Who may change a database. token grows with every taking and every giving back, and fences whoever held the lock before.
CREATE TABLE dbo.migration_locks (
    database_id   NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    token         BIGINT NOT NULL,
    owner         NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    session_id    NVARCHAR(60) NULL,
    run_id        NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NULL,
    acquired_at   DATETIMEOFFSET(3) NULL,
    heartbeat_at  DATETIMEOFFSET(3) NULL,
    expires_at    DATETIMEOFFSET(3) NULL
);

-- What a run is going to execute on this database, committed before the first script. token is that of its lock.
CREATE TABLE dbo.migration_run_plans (
    database_id  NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    token        BIGINT NOT NULL,
    run_id       NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL,
    steps        NVARCHAR(MAX) NOT NULL,
    created_at   DATETIMEOFFSET(3) NOT NULL,
    closed_at    DATETIMEOFFSET(3) NULL,
    PRIMARY KEY (database_id, token)
);

CREATE INDEX ix_migration_run_plans_open
    ON dbo.migration_run_plans (database_id, token)
    WHERE closed_at IS NULL;

-- The runs. Only the home database's copy is used.
CREATE TABLE dbo.migration_runs (
    run_id               NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    kind                 NVARCHAR(10) COLLATE Latin1_General_100_BIN2 NOT NULL CHECK (kind IN ('run', 'rollback')),
    database_id          NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    environment          NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    executor             NVARCHAR(400) NOT NULL,
    principal            NVARCHAR(400) NULL,
    request              NVARCHAR(MAX) NOT NULL,
    status               NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL
                         CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'locked', 'cancelled',
                                           'nothing-to-do')),
    owner                NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    expires_at           DATETIMEOFFSET(3) NULL,
    started_at           DATETIMEOFFSET(3) NOT NULL,
    finished_at          DATETIMEOFFSET(3) NULL,
    cancel_requested_by  NVARCHAR(400) NULL,
    progress             NVARCHAR(MAX) NOT NULL
);

CREATE INDEX ix_migration_runs_started
    ON dbo.migration_runs (started_at, run_id);
CREATE INDEX ix_migration_runs_unfinished
    ON dbo.migration_runs (started_at, run_id)
    WHERE finished_at IS NULL;

-- The audit trail, and the outbox of its delivery: delivered_at is empty until the archive has the event.
-- refused_at: when the archive last did not accept it, and why; those behind it are delivered without it.
CREATE TABLE dbo.audit_events (
    event_id       NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY NONCLUSTERED,
    database_id    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    sequence       BIGINT NOT NULL,
    migration_id   NVARCHAR(300) COLLATE Latin1_General_100_BIN2 NULL,
    run_id         NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NULL,
    execution_id   NVARCHAR(36) COLLATE Latin1_General_100_BIN2 NULL,
    type           NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    at             DATETIMEOFFSET(3) NOT NULL,
    executor       NVARCHAR(400) NOT NULL,
    principal      NVARCHAR(400) NULL,
    environment    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL,
    data           NVARCHAR(MAX) NOT NULL,
    previous_hash  NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NULL,
    hash           NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL,
    delivered_at   DATETIMEOFFSET(3) NULL,
    refused_at     DATETIMEOFFSET(3) NULL,
    refusal        NVARCHAR(1000) NULL
);

-- The trail is always read in this order, with its data.
CREATE UNIQUE CLUSTERED INDEX ux_audit_events_sequence
    ON dbo.audit_events (database_id, sequence);
CREATE INDEX ix_audit_events_undelivered
    ON dbo.audit_events (database_id, sequence)
    WHERE delivered_at IS NULL;

-- How far the trail was announced to the webhook: every event up to this number, or it is none to announce. No row means: no
-- webhook was ever set. owner: who is announcing right now. failing_since: since when the webhook takes nothing. given_up_at:
-- when it last refused an announcement for good.
CREATE TABLE dbo.trail_announcements (
    database_id    NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    announced      BIGINT NOT NULL,
    owner          NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    expires_at     DATETIMEOFFSET(3) NULL,
    failing_since  DATETIMEOFFSET(3) NULL,
    given_up_at    DATETIMEOFFSET(3) NULL
);

-- The newest event of each database.
CREATE TABLE dbo.trail_heads (
    database_id  NVARCHAR(63) COLLATE Latin1_General_100_BIN2 NOT NULL PRIMARY KEY,
    sequence     BIGINT NOT NULL,
    hash         NVARCHAR(80) COLLATE Latin1_General_100_BIN2 NOT NULL
);
