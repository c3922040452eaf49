//! Every statement that dbvc sends to its own tables, written once for all engines (see [`crate::database::dialect`]).

use crate::database::Sql;

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        $(pub(super) const $name: Sql = Sql($text);)*

        #[cfg(test)]
        const ALL: &[(&str, Sql)] = &[$((stringify!($name), $name)),*];
    };
}

statements! {
    INVENTORY_ALL = "SELECT database_id, type, engine, environment, server_name, database_name, folder, connection \
        FROM {own}db_inventory ORDER BY database_id";
    INVENTORY_UPDATE = "UPDATE {own}db_inventory SET type = @P2, engine = @P3, environment = @P4, server_name = @P5, \
        database_name = @P6, folder = @P7, connection = @P8, updated_at = @P9 WHERE database_id = @P1";
    INVENTORY_INSERT = "INSERT INTO {own}db_inventory (database_id, type, engine, environment, server_name, database_name, \
        folder, connection, created_at, updated_at) SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P9 \
        WHERE NOT EXISTS (SELECT 1 FROM {own}db_inventory {hold} WHERE database_id = @P1)";

    // State of all migrations, without their texts.
    MIGRATIONS_STATE = "SELECT r.migration_id, r.version, r.name, r.description, r.author, r.file_name, r.up_checksum, \
        r.down_checksum, r.created_at, r.updated_at, s.status, s.checksum, s.execution_id, s.ordinal, s.executor, \
        s.changed_at, s.duration_ms, r.withdrawn_at \
        FROM {own}migration_registry r LEFT JOIN {own}migration_applied_status s \
        ON s.database_id = r.database_id AND s.migration_id = r.migration_id WHERE r.database_id = @P1";
    MIGRATION_ONE = "SELECT migration_id, version, name, description, author, file_name, up_script, up_checksum, \
        down_script, down_checksum, created_at, withdrawn_at, revision \
        FROM {own}migration_registry WHERE database_id = @P1 AND migration_id = @P2";
    MIGRATIONS_TEXTS = "SELECT migration_id, version, name, description, author, file_name, up_script, up_checksum, \
        down_script, down_checksum, created_at, withdrawn_at, revision \
        FROM {own}migration_registry WHERE database_id = @P1 AND migration_id > @P2 ORDER BY migration_id {page @P3}";
    MIGRATIONS_UNARCHIVED = "SELECT migration_id, version, name, description, author, file_name, up_script, \
        up_checksum, down_script, down_checksum, created_at, withdrawn_at, revision \
        FROM {own}migration_registry WHERE database_id = @P1 AND archived_revision < revision \
        AND (refused_revision IS NULL OR refused_revision < revision OR refused_at < @P3) \
        ORDER BY migration_id {page @P2}";
    MIGRATIONS_UNARCHIVED_IDS = "SELECT migration_id FROM {own}migration_registry \
        WHERE database_id = @P1 AND archived_revision < revision ORDER BY migration_id";
    MIGRATION_REFUSED = "UPDATE {own}migration_registry SET refused_revision = @P3, refused_at = @P4, refusal = @P5 \
        WHERE database_id = @P1 AND migration_id = @P2 AND revision >= @P3";
    MIGRATIONS_REFUSED = "SELECT migration_id, refusal FROM {own}migration_registry WHERE database_id = @P1 \
        AND archived_revision < revision AND refused_revision = revision ORDER BY migration_id {page @P2}";
    MIGRATION_ARCHIVED = "UPDATE {own}migration_registry SET archived_revision = @P3 \
        WHERE database_id = @P1 AND migration_id = @P2 AND revision >= @P3";
    MIGRATIONS_TO_ARCHIVE_AGAIN = "UPDATE {own}migration_registry SET archived_revision = 0, refused_revision = NULL \
        WHERE database_id = @P1";
    MIGRATION_INSERT = "INSERT INTO {own}migration_registry (database_id, migration_id, version, version_key, name, \
        description, author, file_name, up_script, up_checksum, down_script, down_checksum, created_at, updated_at, \
        revision, archived_revision) SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P13, 1, 0 \
        WHERE NOT EXISTS (SELECT 1 FROM {own}migration_registry {hold} \
        WHERE database_id = @P1 AND migration_id = @P2)";
    // Puts another text in place, and takes a withdrawn migration up again.
    MIGRATION_REPLACE = "UPDATE {own}migration_registry SET version = @P3, version_key = @P4, description = @P5, author = @P6, \
        file_name = @P7, up_script = @P8, up_checksum = @P9, down_script = @P10, down_checksum = @P11, \
        updated_at = @P12, withdrawn_at = NULL, revision = revision + 1 WHERE database_id = @P1 AND migration_id = @P2";
    MIGRATION_RESTORE = "INSERT INTO {own}migration_registry (database_id, migration_id, version, version_key, name, \
        description, author, file_name, up_script, up_checksum, down_script, down_checksum, created_at, updated_at, \
        withdrawn_at, revision, archived_revision) \
        VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P13, @P14, @P15, @P15)";
    MIGRATION_WITHDRAW = "UPDATE {own}migration_registry SET withdrawn_at = @P3, updated_at = @P3, revision = revision + 1 \
        WHERE database_id = @P1 AND migration_id = @P2 AND withdrawn_at IS NULL";

    STATUS_SET = "UPDATE {own}migration_applied_status SET status = @P3, checksum = @P4, execution_id = @P5, \
        ordinal = (SELECT ordinal FROM {own}migration_execution_history WHERE execution_id = @P5), executor = @P6, \
        changed_at = @P7, duration_ms = @P8 WHERE database_id = @P1 AND migration_id = @P2";
    STATUS_ADD = "INSERT INTO {own}migration_applied_status (database_id, migration_id, status, checksum, execution_id, \
        ordinal, executor, changed_at, duration_ms) \
        SELECT @P1, @P2, @P3, @P4, @P5, h.ordinal, @P6, @P7, @P8 FROM {own}migration_execution_history h \
        WHERE h.execution_id = @P5 AND NOT EXISTS \
        (SELECT 1 FROM {own}migration_applied_status WHERE database_id = @P1 AND migration_id = @P2)";
    STATUS_CHECKSUM = "UPDATE {own}migration_applied_status SET checksum = @P3 WHERE database_id = @P1 AND migration_id = @P2";
    STATUS_REMOVE = "DELETE FROM {own}migration_applied_status WHERE database_id = @P1 AND migration_id = @P2";

    EXECUTION_INSERT = "INSERT INTO {own}migration_execution_history (execution_id, database_id, migration_id, run_id, ordinal, \
        direction, status, transactional, checksum, executor, principal, environment, started_at, finished_at, \
        duration_ms, batches, errors, note) \
        SELECT @P1, @P2, @P3, @P4, h.sequence + 1, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16, @P17 \
        FROM {own}trail_heads h WHERE h.database_id = @P2";
    EXECUTION_RESTORE = "INSERT INTO {own}migration_execution_history (execution_id, database_id, migration_id, run_id, ordinal, \
        direction, status, transactional, checksum, executor, principal, environment, started_at, finished_at, \
        duration_ms, batches, errors, note, resolved_as) \
        VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15, @P16, @P17, @P18, @P19)";
    EXECUTION_END = "UPDATE {own}migration_execution_history SET status = @P2, finished_at = @P3, duration_ms = @P4, \
        batches = @P5, errors = @P6, note = @P7 WHERE execution_id = @P1 AND status = 'running'";
    EXECUTION_RESOLVE = "UPDATE {own}migration_execution_history SET status = @P2, resolved_as = @P3 \
        WHERE execution_id = @P1 AND status = 'half-applied'";
    EXECUTION_ONE = "SELECT execution_id, migration_id, run_id, ordinal, direction, status, transactional, checksum, \
        executor, started_at, finished_at, duration_ms, batches, errors, note, resolved_as \
        FROM {own}migration_execution_history WHERE database_id = @P1 AND execution_id = @P2";
    EXECUTIONS_OF_MIGRATION = "SELECT execution_id, migration_id, run_id, ordinal, direction, status, transactional, \
        checksum, executor, started_at, finished_at, duration_ms, batches, errors, note, resolved_as \
        FROM {own}migration_execution_history WHERE database_id = @P1 AND migration_id = @P2 ORDER BY ordinal DESC";
    EXECUTIONS_OF_RUN = "SELECT execution_id, migration_id, run_id, ordinal, direction, status, transactional, checksum, \
        executor, started_at, finished_at, duration_ms, batches, errors, note, resolved_as \
        FROM {own}migration_execution_history WHERE database_id = @P1 AND run_id = @P2 ORDER BY ordinal";
    EXECUTIONS_LATEST = "SELECT h.execution_id, h.migration_id, h.run_id, h.ordinal, h.direction, h.status, \
        h.transactional, h.checksum, h.executor, h.started_at, h.finished_at, h.duration_ms, '[]' AS batches, \
        '[]' AS errors, h.note, h.resolved_as \
        FROM {own}migration_execution_history h JOIN (SELECT migration_id, MAX(ordinal) AS ordinal \
        FROM {own}migration_execution_history WHERE database_id = @P1 AND status <> 'interrupted' GROUP BY migration_id) n \
        ON n.migration_id = h.migration_id AND n.ordinal = h.ordinal WHERE h.database_id = @P1";
    EXECUTIONS_INTERRUPTED = "SELECT execution_id, migration_id FROM {own}migration_execution_history \
        WHERE database_id = @P1 AND status = 'interrupted' ORDER BY ordinal DESC {page @P2}";
    EXECUTIONS_RUNNING = "SELECT execution_id, migration_id FROM {own}migration_execution_history \
        WHERE database_id = @P1 AND status = 'running' ORDER BY ordinal";

    // Dbvc's own tables are made outside of runs, and no snapshot shows them.
    // `known`: whether a run changed the database, or may have: an attempt that failed within its transaction left nothing.
    EXECUTION_NEWEST_ORDINAL = "SELECT MAX(ordinal) AS ordinal, \
        MAX(CASE WHEN status IN ('applied', 'rolled-back', 'half-applied', 'running') OR transactional = 0 THEN 1 ELSE 0 END) \
        AS known FROM {own}migration_execution_history \
        WHERE database_id = @P1 AND run_id IS NOT NULL";

    BATCHES_OF_EXECUTION = "SELECT batch_index, sha256, rounds, rounds_begun, rounds_ended, failed, left_nothing \
        FROM {own}migration_execution_batches WHERE execution_id = @P1 ORDER BY batch_index";
    BATCH_BEGIN = "INSERT INTO {own}migration_execution_batches (execution_id, batch_index, sha256, rounds, rounds_begun, \
        rounds_ended, failed, left_nothing) VALUES (@P1, @P2, @P3, @P4, @P5, @P6, 0, 0)";
    BATCH_ROUND = "UPDATE {own}migration_execution_batches SET rounds_begun = @P3, rounds_ended = @P4 \
        WHERE execution_id = @P1 AND batch_index = @P2";
    BATCH_FAIL = "UPDATE {own}migration_execution_batches SET failed = 1, left_nothing = @P3 \
        WHERE execution_id = @P1 AND batch_index = @P2";
    BATCHES_INHERIT = "INSERT INTO {own}migration_execution_batches (execution_id, batch_index, sha256, rounds, rounds_begun, \
        rounds_ended, failed, left_nothing) SELECT @P1, batch_index, sha256, rounds, rounds_begun, rounds_ended, failed, left_nothing \
        FROM {own}migration_execution_batches WHERE execution_id = @P2 AND batch_index < @P3";

    SNAPSHOT_INSERT = "INSERT INTO {own}schema_snapshots (snapshot_id, database_id, type, captured_at, captured_by, run_id, \
        engine, schema_hash, content_hash, object_counts, size_bytes, parts, expires_at, covers) \
        SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, h.sequence FROM {own}trail_heads h \
        WHERE h.database_id = @P2";
    SNAPSHOT_RESTORE = "INSERT INTO {own}schema_snapshots (snapshot_id, database_id, type, captured_at, captured_by, run_id, \
        engine, schema_hash, content_hash, object_counts, size_bytes, parts, expires_at, covers, archived_at) \
        VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14, @P15)";
    SNAPSHOT_PART_INSERT = "INSERT INTO {own}schema_snapshot_parts (snapshot_id, part, content) VALUES (@P1, @P2, @P3)";
    SNAPSHOT_NEWEST = "SELECT snapshot_id, database_id, type, captured_at, captured_by, run_id, schema_hash, content_hash, \
        object_counts, size_bytes, parts, covers, archived_at, engine, expires_at FROM {own}schema_snapshots WHERE database_id = @P1 \
        ORDER BY covers DESC, captured_at DESC {page @P2}";
    SNAPSHOT_NEWEST_TRUSTED = "SELECT snapshot_id, database_id, type, captured_at, captured_by, run_id, schema_hash, content_hash, \
        object_counts, size_bytes, parts, covers, archived_at, engine, expires_at FROM {own}schema_snapshots WHERE database_id = @P1 \
        AND type IN ('baseline', 'post-migration') ORDER BY covers DESC, captured_at DESC {page @P2}";
    SNAPSHOT_ONE = "SELECT snapshot_id, database_id, type, captured_at, captured_by, run_id, schema_hash, content_hash, object_counts, \
        size_bytes, parts, covers, archived_at, engine, expires_at FROM {own}schema_snapshots WHERE database_id = @P1 AND snapshot_id = @P2 \
        AND (expires_at IS NULL OR expires_at > {now})";
    // Newest first by time and id: pages of several databases are merged by the caller.
    SNAPSHOTS_PAGE = "SELECT snapshot_id, database_id, type, captured_at, captured_by, run_id, schema_hash, content_hash, object_counts, \
        size_bytes, parts, covers, archived_at, engine, expires_at FROM {own}schema_snapshots WHERE database_id = @P1 \
        AND (captured_at < @P2 OR (captured_at = @P2 AND snapshot_id < @P3)) AND (expires_at IS NULL OR expires_at > {now}) \
        ORDER BY captured_at DESC, snapshot_id DESC {page @P4}";
    SNAPSHOTS_UNARCHIVED = "SELECT snapshot_id, database_id, type, captured_at, captured_by, run_id, schema_hash, content_hash, \
        object_counts, size_bytes, parts, covers, archived_at, engine, expires_at FROM {own}schema_snapshots WHERE database_id = @P1 \
        AND archived_at IS NULL AND (refused_at IS NULL OR refused_at < @P3) ORDER BY covers {page @P2}";
    // Neither the registry has their content nor, where there is none that could have it, an archive.
    SNAPSHOTS_WITHOUT_CONTENT = "SELECT snapshot_id, content_hash FROM {own}schema_snapshots WHERE database_id = @P1 AND archived_at IS NOT NULL \
        AND (expires_at IS NULL OR expires_at > {now}) AND NOT EXISTS (SELECT 1 FROM {own}schema_snapshot_parts \
        WHERE schema_snapshot_parts.snapshot_id = schema_snapshots.snapshot_id)";
    // Another archive than the one that is asked now has their content.
    SNAPSHOTS_ELSEWHERE = "UPDATE {own}schema_snapshots SET refusal = @P2 WHERE database_id = @P1 AND archived_at IS NOT NULL \
        AND NOT EXISTS (SELECT 1 FROM {own}schema_snapshot_parts \
        WHERE schema_snapshot_parts.snapshot_id = schema_snapshots.snapshot_id)";
    SNAPSHOTS_MARKED_ELSEWHERE = "SELECT snapshot_id, content_hash FROM {own}schema_snapshots WHERE database_id = @P1 \
        AND archived_at IS NOT NULL AND refusal = @P2 AND (expires_at IS NULL OR expires_at > {now})";
    SNAPSHOT_IS_ELSEWHERE = "SELECT snapshot_id FROM {own}schema_snapshots WHERE snapshot_id = @P1 AND archived_at IS NOT NULL \
        AND refusal = @P2";
    SNAPSHOT_STAGE_AGAIN = "UPDATE {own}schema_snapshots SET archived_at = NULL, refused_at = NULL, refusal = NULL \
        WHERE snapshot_id = @P1 AND archived_at IS NOT NULL";
    SNAPSHOT_REFUSED = "UPDATE {own}schema_snapshots SET refused_at = @P2, refusal = @P3 WHERE snapshot_id = @P1";
    SNAPSHOTS_REFUSED = "SELECT snapshot_id, refusal FROM {own}schema_snapshots WHERE database_id = @P1 \
        AND archived_at IS NULL AND refused_at IS NOT NULL ORDER BY covers {page @P2}";
    SNAPSHOT_PARTS_EXPIRED_REMOVE = "DELETE FROM {own}schema_snapshot_parts WHERE snapshot_id IN \
        (SELECT snapshot_id FROM {own}schema_snapshots WHERE database_id = @P1 AND expires_at <= {now})";
    SNAPSHOTS_EXPIRED_REMOVE = "DELETE FROM {own}schema_snapshots WHERE database_id = @P1 AND expires_at <= {now} \
        AND NOT EXISTS (SELECT 1 FROM {own}schema_snapshot_parts WHERE schema_snapshot_parts.snapshot_id = schema_snapshots.snapshot_id)";
    // Whether the schema was another one since the event of a number, as far as snapshots tell.
    SNAPSHOTS_OTHER_SINCE = "SELECT COUNT(*) AS snapshots FROM {own}schema_snapshots WHERE database_id = @P1 AND covers >= @P2 \
        AND schema_hash <> @P3";
    // Databases of which the newest snapshot is not what the newest trusted one says, and no execution is newer than that.
    SNAPSHOTS_DRIFTED_COUNT = "SELECT COUNT(*) AS databases FROM \
        (SELECT database_id, schema_hash, ROW_NUMBER() OVER (PARTITION BY database_id \
        ORDER BY covers DESC, captured_at DESC) AS place FROM {own}schema_snapshots) n JOIN \
        (SELECT database_id, schema_hash, covers, ROW_NUMBER() OVER (PARTITION BY database_id \
        ORDER BY covers DESC, captured_at DESC) AS place FROM {own}schema_snapshots \
        WHERE type IN ('baseline', 'post-migration')) t ON t.database_id = n.database_id \
        WHERE n.place = 1 AND t.place = 1 AND n.schema_hash <> t.schema_hash AND NOT EXISTS \
        (SELECT 1 FROM {own}migration_execution_history h WHERE h.database_id = t.database_id AND h.run_id IS NOT NULL \
        AND h.ordinal > t.covers)";
    SNAPSHOT_PARTS = "SELECT content FROM {own}schema_snapshot_parts WHERE snapshot_id = @P1 ORDER BY part";
    SNAPSHOT_PARTS_REMOVE = "DELETE FROM {own}schema_snapshot_parts WHERE snapshot_id = @P1";
    SNAPSHOT_ARCHIVED = "UPDATE {own}schema_snapshots SET archived_at = @P2 WHERE snapshot_id = @P1";

    LOCK_ADD = "INSERT INTO {own}migration_locks (database_id, token) SELECT @P1, 0 \
        WHERE NOT EXISTS (SELECT 1 FROM {own}migration_locks {hold} WHERE database_id = @P1)";
    // A lease is at most an hour: one that ends later was taken by a clock that has been set back since.
    LOCK_READ = "SELECT token, owner, run_id, acquired_at, expires_at, \
        CASE WHEN expires_at <= {now} OR expires_at > {now+3660} THEN 1 ELSE 0 END AS expired FROM {own}migration_locks WHERE database_id = @P1";
    LOCK_TAKE = "UPDATE {own}migration_locks SET token = @P2 + 1, owner = @P3, session_id = {session}, run_id = @P4, acquired_at = {now}, \
        heartbeat_at = {now}, expires_at = {now+@P5} \
        WHERE database_id = @P1 AND token = @P2 \
        AND (owner IS NULL OR expires_at <= {now} OR expires_at > {now+3660})";
    // Whoever still writes under the old token is fenced off; on a server this waits until its open transaction has ended.
    LOCK_RAISE = "UPDATE {own}migration_locks SET token = @P2 + 1, session_id = {session}, heartbeat_at = {now}, \
        expires_at = {now+@P4} WHERE database_id = @P1 AND token = @P2 AND owner = @P3";
    LOCK_RENEW = "UPDATE {own}migration_locks SET heartbeat_at = {now}, expires_at = {now+@P4} \
        WHERE database_id = @P1 AND token = @P2 AND owner = @P3";
    // Another token, so that what was read of the database while somebody held the lock is no ground for taking it.
    LOCK_RELEASE = "UPDATE {own}migration_locks SET token = @P2 + 1, owner = NULL, session_id = NULL, run_id = NULL, \
        heartbeat_at = {now}, expires_at = NULL \
        WHERE database_id = @P1 AND token = @P2 AND owner = @P3";

    PLAN_INSERT = "INSERT INTO {own}migration_run_plans (database_id, token, run_id, steps, created_at) \
        VALUES (@P1, @P2, @P3, @P4, @P5)";
    PLAN_CLOSE = "UPDATE {own}migration_run_plans SET closed_at = @P3 WHERE database_id = @P1 AND token = @P2";
    PLANS_OPEN = "SELECT token, run_id, steps FROM {own}migration_run_plans WHERE database_id = @P1 AND closed_at IS NULL \
        ORDER BY token";

    RUN_INSERT = "INSERT INTO {own}migration_runs (run_id, kind, database_id, environment, executor, principal, request, \
        status, owner, expires_at, started_at, finished_at, progress) SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, \
        @P9, {now+@P10}, @P11, @P12, @P13 WHERE NOT EXISTS (SELECT 1 FROM {own}migration_runs {hold} WHERE run_id = @P1)";
    RUN_PROGRESS = "UPDATE {own}migration_runs SET progress = @P3, expires_at = {now+@P4} \
        WHERE run_id = @P1 AND owner = @P2 AND status IN ('queued', 'running')";
    RUN_RENEW = "UPDATE {own}migration_runs SET expires_at = {now+@P3} WHERE run_id = @P1 AND owner = @P2";
    RUN_END = "UPDATE {own}migration_runs SET status = @P3, finished_at = @P4, progress = @P5, owner = NULL, expires_at = NULL \
        WHERE run_id = @P1 AND owner = @P2 AND status IN ('queued', 'running')";
    RUN_END_OF_DEAD = "UPDATE {own}migration_runs SET status = @P2, finished_at = @P3, progress = @P4, owner = NULL, \
        expires_at = NULL WHERE run_id = @P1 AND status IN ('queued', 'running')";
    RUN_ADOPT = "UPDATE {own}migration_runs SET owner = @P2, expires_at = {now+@P3} \
        WHERE run_id = @P1 AND status IN ('queued', 'running') AND expires_at <= {now}";
    RUN_CANCEL = "UPDATE {own}migration_runs SET cancel_requested_by = @P2 \
        WHERE run_id = @P1 AND status IN ('queued', 'running') AND cancel_requested_by IS NULL";
    RUN_ONE = "SELECT run_id, kind, database_id, environment, executor, principal, request, status, owner, started_at, \
        cancel_requested_by, progress FROM {own}migration_runs WHERE run_id = @P1";
    RUNS_LATEST = "SELECT run_id, kind, database_id, environment, executor, principal, request, status, owner, \
        started_at, cancel_requested_by, progress FROM {own}migration_runs WHERE environment = @P1 \
        ORDER BY started_at DESC, run_id DESC {page @P2}";
    RUNS_LATEST_OF = "SELECT run_id, kind, database_id, environment, executor, principal, request, status, owner, \
        started_at, cancel_requested_by, progress FROM {own}migration_runs WHERE environment = @P1 \
        AND database_id IN (@P2, 'all') ORDER BY started_at DESC, run_id DESC {page @P3}";
    // How a run over all databases went on one of them is in its progress; that of other runs, which can be long, is left.
    RUNS_RECENT_OF = "SELECT run_id, status, finished_at, CASE WHEN database_id = 'all' THEN progress END AS progress \
        FROM {own}migration_runs WHERE environment = @P1 \
        AND ((database_id = @P2 AND status <> 'locked') OR database_id = 'all') \
        ORDER BY started_at DESC, run_id DESC {page @P3}";
    RUNS_DEAD = "SELECT run_id, kind, database_id, environment, executor, principal, request, status, owner, started_at, \
        cancel_requested_by, progress FROM {own}migration_runs WHERE environment = @P1 \
        AND finished_at IS NULL AND expires_at <= {now} ORDER BY started_at, run_id";

    HEAD_ADD = "INSERT INTO {own}trail_heads (database_id, sequence, hash) SELECT @P1, 0, '' \
        WHERE NOT EXISTS (SELECT 1 FROM {own}trail_heads {hold} WHERE database_id = @P1)";
    HEAD_READ = "SELECT sequence, hash FROM {own}trail_heads WHERE database_id = @P1";
    HEADS_OF_OTHERS = "SELECT database_id FROM {own}trail_heads WHERE database_id <> @P1 AND sequence > 0 ORDER BY database_id";
    // Nobody else moves a head that was read so before this transaction ends.
    HEAD_HOLD = "SELECT sequence, hash FROM {own}trail_heads {hold} WHERE database_id = @P1";
    HEAD_ADVANCE = "UPDATE {own}trail_heads SET sequence = @P4, hash = @P5 \
        WHERE database_id = @P1 AND sequence = @P2 AND hash = @P3";
    // Guarded by the head: when somebody else was faster nothing is inserted, and nothing can collide.
    EVENT_INSERT = "INSERT INTO {own}audit_events (event_id, database_id, sequence, migration_id, run_id, execution_id, type, \
        at, executor, principal, environment, data, previous_hash, hash) \
        SELECT @P1, @P2, @P3, @P4, @P5, @P6, @P7, @P8, @P9, @P10, @P11, @P12, @P13, @P14 FROM {own}trail_heads \
        WHERE database_id = @P2 AND sequence = @P15 AND hash = @P16";
    EVENTS_PAGE = "SELECT event_id, database_id, sequence, migration_id, run_id, execution_id, type, at, executor, \
        principal, environment, data, previous_hash, hash FROM {own}audit_events WHERE database_id = @P1 AND sequence < @P2 \
        AND (@P3 = '' OR migration_id = @P3) AND (@P4 = '' OR type = @P4) AND at >= @P5 \
        ORDER BY sequence DESC {page @P6}";
    EVENTS_CHAIN = "SELECT event_id, database_id, sequence, migration_id, run_id, execution_id, type, at, executor, \
        principal, environment, data, previous_hash, hash FROM {own}audit_events WHERE database_id = @P1 AND sequence > @P2 \
        ORDER BY sequence {page @P3}";
    EVENT_OLDEST = "SELECT event_id, sequence FROM {own}audit_events WHERE database_id = @P1 ORDER BY sequence {page @P2}";
    EVENT_AT = "SELECT event_id FROM {own}audit_events WHERE database_id = @P1 AND sequence = @P2";
    EVENT_BY_ID = "SELECT sequence FROM {own}audit_events WHERE event_id = @P2 AND database_id = @P1";
    EVENTS_UNDELIVERED = "SELECT event_id, database_id, sequence, migration_id, run_id, execution_id, type, at, executor, \
        principal, environment, data, previous_hash, hash FROM {own}audit_events WHERE database_id = @P1 \
        AND delivered_at IS NULL AND (refused_at IS NULL OR refused_at < @P3) ORDER BY sequence {page @P2}";
    EVENT_REFUSED = "UPDATE {own}audit_events SET refused_at = @P3, refusal = @P4 WHERE database_id = @P1 AND sequence = @P2 \
        AND delivered_at IS NULL";
    EVENTS_REFUSED = "SELECT sequence, refusal FROM {own}audit_events WHERE database_id = @P1 AND delivered_at IS NULL \
        AND refused_at IS NOT NULL ORDER BY sequence {page @P2}";
    EVENTS_UNDELIVERED_COUNT = "SELECT COUNT(*) AS events FROM {own}audit_events WHERE delivered_at IS NULL";
    EVENTS_UNDELIVERED_NUMBERS = "SELECT sequence FROM {own}audit_events WHERE database_id = @P1 AND delivered_at IS NULL \
        ORDER BY sequence";
    EVENTS_DELIVERED = "UPDATE {own}audit_events SET delivered_at = @P4, refused_at = NULL, refusal = NULL \
        WHERE database_id = @P1 AND sequence >= @P2 AND sequence <= @P3 AND delivered_at IS NULL";
    EVENTS_TO_DELIVER_AGAIN = "UPDATE {own}audit_events SET delivered_at = NULL, refused_at = NULL WHERE database_id = @P1";
    DELIVERED_COUNT = "SELECT (SELECT COUNT(*) FROM {own}audit_events WHERE database_id = @P1 AND delivered_at IS NOT NULL) AS events, \
        (SELECT COUNT(*) FROM {own}migration_registry WHERE database_id = @P1 AND archived_revision > 0) AS migrations";
    EVENT_LAST_OF_TYPE = "SELECT event_id, database_id, sequence, migration_id, run_id, execution_id, type, at, executor, \
        principal, environment, data, previous_hash, hash FROM {own}audit_events WHERE database_id = @P1 AND type = @P2 \
        ORDER BY sequence DESC {page @P3}";

    // In the change that may hold the first event to announce, before the head moves on: what was before is no news.
    ANNOUNCEMENTS_BEGIN = "INSERT INTO {own}trail_announcements (database_id, announced) SELECT h.database_id, h.sequence \
        FROM {own}trail_heads h WHERE h.database_id = @P1 \
        AND NOT EXISTS (SELECT 1 FROM {own}trail_announcements {hold} WHERE database_id = @P1)";
    ANNOUNCEMENTS_STANDING = "SELECT a.announced, h.sequence AS head, \
        CASE WHEN a.owner IS NULL OR a.expires_at <= {now} OR a.expires_at > {now+3660} THEN 1 ELSE 0 END AS is_free \
        FROM {own}trail_announcements a JOIN {own}trail_heads h ON h.database_id = a.database_id WHERE a.database_id = @P1";
    ANNOUNCEMENTS_WAITING = "SELECT event_id, database_id, sequence, migration_id, run_id, execution_id, type, at, executor, \
        principal, environment, data, previous_hash, hash FROM {own}audit_events WHERE database_id = @P1 \
        AND sequence > (SELECT announced FROM {own}trail_announcements WHERE database_id = @P1) \
        AND type IN ('drift-detected', 'failed', 'interrupted') ORDER BY sequence {page @P2}";
    ANNOUNCEMENTS_CLAIM = "UPDATE {own}trail_announcements SET owner = @P3, expires_at = {now+@P4} \
        WHERE database_id = @P1 AND announced = @P2 \
        AND (owner IS NULL OR expires_at <= {now} OR expires_at > {now+3660})";
    ANNOUNCEMENTS_SKIP = "UPDATE {own}trail_announcements SET announced = @P3 WHERE database_id = @P1 AND announced = @P2 \
        AND (owner IS NULL OR expires_at <= {now} OR expires_at > {now+3660})";
    ANNOUNCEMENTS_TAKEN = "UPDATE {own}trail_announcements SET announced = @P3, failing_since = NULL, given_up_at = NULL \
        WHERE database_id = @P1 AND owner = @P2 AND announced < @P3";
    ANNOUNCEMENTS_GIVEN_UP = "UPDATE {own}trail_announcements SET announced = @P3, failing_since = NULL, given_up_at = {now} \
        WHERE database_id = @P1 AND owner = @P2 AND announced < @P3";
    ANNOUNCEMENTS_SEEN = "UPDATE {own}trail_announcements SET announced = @P3 \
        WHERE database_id = @P1 AND owner = @P2 AND announced < @P3";
    ANNOUNCEMENTS_FAILED = "UPDATE {own}trail_announcements SET failing_since = COALESCE(failing_since, {now}) \
        WHERE database_id = @P1 AND owner = @P2";
    ANNOUNCEMENTS_RELEASE = "UPDATE {own}trail_announcements SET owner = NULL, expires_at = NULL \
        WHERE database_id = @P1 AND owner = @P2";
    ANNOUNCEMENTS_UNWELL_COUNT = "SELECT COUNT(*) AS databases FROM {own}trail_announcements \
        WHERE failing_since IS NOT NULL OR given_up_at > @P1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Dialect, RegistrySchema};
    use crate::registry::definition::OWN_TABLES;

    /// The parser takes nothing but a number behind FETCH NEXT; the server takes a parameter.
    fn literal_page(text: &str) -> String {
        match text.split_once("FETCH NEXT @P") {
            Some((before, after)) => format!("{before}FETCH NEXT {after}"),
            None => text.to_owned(),
        }
    }

    #[test]
    fn every_statement_is_sql_servers_as_well() {
        let dialect = sqlparser::dialect::MsSqlDialect {};
        for (name, sql) in ALL {
            let text = Dialect::TransactSql(&RegistrySchema::default()).render(sql.0);
            assert!(
                !text.contains('{'),
                "{name} has an unknown placeholder: {text}"
            );
            let parsed = sqlparser::parser::Parser::parse_sql(&dialect, &literal_page(&text));
            assert!(parsed.is_ok(), "{name}: {} in {text}", parsed.unwrap_err());
        }
    }

    /// A table that is not qualified is another one for a user whose default schema has one of that name, and in a
    /// connection that has a temporary one.
    #[test]
    fn every_statement_names_own_tables_with_their_schema() {
        use sqlparser::tokenizer::{Token, Tokenizer};
        let schema = RegistrySchema::parse("dbvc").unwrap();
        let dialect = sqlparser::dialect::MsSqlDialect {};
        for (name, sql) in ALL {
            let text = Dialect::TransactSql(&schema).render(sql.0);
            let tokens: Vec<Token> = Tokenizer::new(&dialect, &text)
                .tokenize()
                .unwrap()
                .into_iter()
                .filter(|token| !matches!(token, Token::Whitespace(_)))
                .collect();
            let word = |index: Option<usize>| match index.and_then(|index| tokens.get(index)) {
                Some(Token::Word(word)) => word.value.as_str(),
                _ => "",
            };
            let is_period = |index: Option<usize>| {
                index.and_then(|index| tokens.get(index)) == Some(&Token::Period)
            };
            let mut tables = 0;
            for index in 0..tokens.len() {
                if !OWN_TABLES.contains(&word(Some(index))) {
                    continue;
                }
                if is_period(index.checked_sub(1)) {
                    assert_eq!(word(index.checked_sub(2)), "dbvc", "{name}: {text}");
                    tables += 1;
                } else {
                    // The qualifier of a column.
                    assert!(is_period(Some(index + 1)), "{name}: {text}");
                }
            }
            assert!(tables > 0, "{name} names no table: {text}");
        }
    }

    #[test]
    fn a_temporary_table_of_a_script_is_not_mistaken_for_an_own_one() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for own in crate::registry::definition::OWN_VERSIONS {
            connection.execute_batch(own.sqlite).unwrap();
        }
        for table in OWN_TABLES {
            let temporary = format!("CREATE TEMP TABLE {table} (x INTEGER)");
            connection.execute_batch(&temporary).unwrap();
        }
        for (name, sql) in ALL {
            let text = Dialect::Sqlite.render(sql.0);
            let prepared = connection.prepare(&text);
            assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
        }
    }

    #[test]
    fn every_statement_compiles_on_the_tables_of_sqlite() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for own in crate::registry::definition::OWN_VERSIONS {
            connection.execute_batch(own.sqlite).unwrap();
        }
        for (name, sql) in ALL {
            let text = Dialect::Sqlite.render(sql.0);
            let prepared = connection.prepare(&text);
            assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
        }
    }

    #[test]
    fn parameters_are_numbered_without_a_gap() {
        for (name, sql) in ALL {
            let highest = (1..=20).rev().find(|n| {
                let text = sql.0;
                text.match_indices(&format!("@P{n}")).any(|(at, found)| {
                    !text[at + found.len()..].starts_with(|c: char| c.is_ascii_digit())
                })
            });
            for n in 1..=highest.unwrap_or(0) {
                assert!(sql.0.contains(&format!("@P{n}")), "{name} lacks @P{n}");
            }
        }
    }
}
