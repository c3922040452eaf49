//! How far the trail of a database was announced. What is announced, and to whom, is the business of `alert` and `engine`.

use crate::database::{ColumnError, Row, Statement};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::statements as sql;

/// How far a database's trail was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The number of the newest event that needs no announcing any more.
    pub announced: u64,
    /// The number of the newest event.
    pub head: u64,
    /// Whether nobody is announcing right now.
    pub is_free: bool,
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Begins with what comes after the newest event, where nothing was ever announced.
pub fn begin(database_id: &DatabaseId) -> Statement {
    sql::ANNOUNCEMENTS_BEGIN.bind([database_id.as_str().into()])
}

/// Reads how far the trail was announced; no row where that was never begun.
pub fn standing(database_id: &DatabaseId) -> Statement {
    sql::ANNOUNCEMENTS_STANDING.bind([database_id.as_str().into()])
}

/// The row that [`standing`] gives.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<Standing, ColumnError> {
    Ok(Standing {
        announced: row.count("announced")?,
        head: row.count("head")?,
        is_free: row.flag("is_free")?,
    })
}

/// Events that may have to be announced and were not, at most `limit`, oldest first.
pub fn waiting(database_id: &DatabaseId, limit: u32) -> Statement {
    sql::ANNOUNCEMENTS_WAITING.bind([database_id.as_str().into(), limit.into()])
}

/// Takes it upon `owner` to announce what comes after `announced`, for so many seconds: changes one row, if nobody else has
/// announced anything or is about to.
pub fn claim(database_id: &DatabaseId, announced: u64, owner: &str, seconds: u32) -> Statement {
    sql::ANNOUNCEMENTS_CLAIM.bind([
        database_id.as_str().into(),
        number(announced).into(),
        owner.into(),
        seconds.into(),
    ])
}

/// Steps over events of which none is to be announced.
pub fn skip(database_id: &DatabaseId, announced: u64, to: u64) -> Statement {
    sql::ANNOUNCEMENTS_SKIP.bind([
        database_id.as_str().into(),
        number(announced).into(),
        number(to).into(),
    ])
}

/// Notes that everything up to the event `to` was announced.
pub fn mark_taken(database_id: &DatabaseId, owner: &str, to: u64) -> Statement {
    sql::ANNOUNCEMENTS_TAKEN.bind([database_id.as_str().into(), owner.into(), number(to).into()])
}

/// Notes that what is up to the event `to` will not be announced any more.
pub fn mark_given_up(database_id: &DatabaseId, owner: &str, to: u64) -> Statement {
    sql::ANNOUNCEMENTS_GIVEN_UP.bind([database_id.as_str().into(), owner.into(), number(to).into()])
}

/// Steps over what comes after the last event that was announced, up to the event `to`.
pub fn mark_seen(database_id: &DatabaseId, owner: &str, to: u64) -> Statement {
    sql::ANNOUNCEMENTS_SEEN.bind([database_id.as_str().into(), owner.into(), number(to).into()])
}

/// Notes that the webhook took nothing.
pub fn mark_failed(database_id: &DatabaseId, owner: &str) -> Statement {
    sql::ANNOUNCEMENTS_FAILED.bind([database_id.as_str().into(), owner.into()])
}

/// Leaves announcing to whoever comes next.
pub fn release(database_id: &DatabaseId, owner: &str) -> Statement {
    sql::ANNOUNCEMENTS_RELEASE.bind([database_id.as_str().into(), owner.into()])
}

/// For how many databases of this registry the webhook takes nothing, or has refused something since a moment: `databases`.
pub fn count_unwell(since: Timestamp) -> Statement {
    sql::ANNOUNCEMENTS_UNWELL_COUNT.bind([since.into()])
}

#[cfg(test)]
mod tests {
    use super::super::testing::Registry;
    use super::*;

    const SECONDS: u32 = 60;

    #[tokio::test]
    async fn of_two_that_saw_the_same_events_waiting_one_announces_them() {
        let mut registry = Registry::new().await;
        let id = Registry::id();
        registry.by_hand(
            "INSERT INTO trail_heads (database_id, sequence, hash) VALUES ('shop', 4, 'h')",
        );
        assert_eq!(registry.changes(begin(&id)).await, 1);
        assert_eq!(registry.changes(begin(&id)).await, 0);
        registry.by_hand("UPDATE trail_heads SET sequence = 6");

        assert_eq!(registry.changes(claim(&id, 4, "a", SECONDS)).await, 1);
        assert_eq!(registry.changes(claim(&id, 4, "b", SECONDS)).await, 0);
        assert_eq!(registry.changes(skip(&id, 4, 6)).await, 0);
        assert_eq!(registry.changes(mark_taken(&id, "b", 6)).await, 0);
        assert_eq!(registry.changes(mark_taken(&id, "a", 6)).await, 1);
        assert_eq!(registry.changes(release(&id, "a")).await, 1);

        // It saw them before they were announced.
        assert_eq!(registry.changes(claim(&id, 4, "b", SECONDS)).await, 0);
        assert_eq!(registry.changes(claim(&id, 6, "b", SECONDS)).await, 1);
        // Of a process that died the claim ends by itself.
        registry.by_hand("UPDATE trail_announcements SET expires_at = '2025-11-27T14:30:00.000Z'");
        assert_eq!(registry.changes(claim(&id, 6, "c", SECONDS)).await, 1);
    }
}
