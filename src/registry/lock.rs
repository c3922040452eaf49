//! The lease row of a database: who may change it, until when, with which fencing token.

use crate::database::{ColumnError, Row, Statement, Value};
use crate::script::DatabaseId;
use crate::time::Timestamp;

use super::statements as sql;

/// Grows with every taking and every giving back of a lock. Whoever holds an older one is fenced off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken(pub i64);

/// A lock that this instance took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The database.
    pub database_id: DatabaseId,
    /// This instance.
    pub owner: String,
    /// The token of this taking.
    pub token: FencingToken,
    /// Seconds until it expires without a renewal, by the server's clock.
    pub seconds: u32,
}

/// The lease row as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow {
    /// The token of the last taking or giving back.
    pub token: FencingToken,
    /// Who holds the lock; none when it is free.
    pub held: Option<Holding>,
}

/// A lock that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The instance.
    pub owner: String,
    /// The run for which it was taken.
    pub run_id: Option<String>,
    /// Since when.
    pub acquired_at: Timestamp,
    /// Until when, without a renewal.
    pub expires_at: Timestamp,
    /// Whether that moment has passed, by the server's clock.
    pub expired: bool,
}

/// Makes the lease row, free, when there is none.
pub fn add(database_id: &DatabaseId) -> Statement {
    sql::LOCK_ADD.bind([database_id.as_str().into()])
}

/// Reads the lease row.
pub fn read(database_id: &DatabaseId) -> Statement {
    sql::LOCK_READ.bind([database_id.as_str().into()])
}

/// The row that [`read`] gives.
///
/// # Errors
///
/// When the row is not of dbvc's making.
pub fn parse(row: &Row) -> Result<LockRow, ColumnError> {
    let held = match row.optional_text("owner")? {
        None => None,
        Some(owner) => Some(Holding {
            owner: owner.to_owned(),
            run_id: row.optional_text("run_id")?.map(str::to_owned),
            acquired_at: row.parsed("acquired_at", "a time")?,
            expires_at: row.parsed("expires_at", "a time")?,
            expired: row.flag("expired")?,
        }),
    };
    Ok(LockRow {
        token: FencingToken(row.integer("token")?),
        held,
    })
}

impl Lease {
    /// The lease that taking the lock after `seen` gives.
    pub fn after(database_id: &DatabaseId, seen: FencingToken, owner: &str, seconds: u32) -> Self {
        Self {
            database_id: database_id.clone(),
            owner: owner.to_owned(),
            token: FencingToken(seen.0 + 1),
            seconds,
        }
    }

    /// Takes the lock: changes one row if it is free or expired and nobody has taken it since it was read.
    pub fn take(&self, run_id: Option<&str>) -> Statement {
        sql::LOCK_TAKE.bind([
            self.database_id.as_str().into(),
            (self.token.0 - 1).into(),
            self.owner.as_str().into(),
            run_id.into(),
            self.seconds.into(),
        ])
    }

    /// Renews the lease: changes one row as long as nobody has taken the lock since. It is the heartbeat, and as the last
    /// statement before COMMIT it is the fence. It looks at the token and never at the expiry: a lease that expired
    /// unnoticed has harmed nobody.
    pub fn renew(&self) -> Statement {
        sql::LOCK_RENEW.bind([
            self.database_id.as_str().into(),
            self.token.0.into(),
            self.owner.as_str().into(),
            self.seconds.into(),
        ])
    }

    /// The lease that [`Lease::raise`] gives.
    pub fn raised(&self) -> Self {
        Self {
            token: FencingToken(self.token.0 + 1),
            ..self.clone()
        }
    }

    /// Takes this lock anew after its connection was lost: fences off what may still be under way on that connection, and
    /// changes one row as long as nobody else has taken the lock.
    pub fn raise(&self) -> Statement {
        sql::LOCK_RAISE.bind([
            self.database_id.as_str().into(),
            self.token.0.into(),
            self.owner.as_str().into(),
            self.seconds.into(),
        ])
    }

    /// Gives the lock back.
    pub fn release(&self) -> Statement {
        sql::LOCK_RELEASE.bind([
            self.database_id.as_str().into(),
            self.token.0.into(),
            self.owner.as_str().into(),
        ])
    }
}

impl From<FencingToken> for Value {
    fn from(token: FencingToken) -> Self {
        Self::Integer(token.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Registry;
    use super::*;

    const SECONDS: u32 = 60;

    fn lease(seen: i64, owner: &str) -> Lease {
        Lease::after(&Registry::id(), FencingToken(seen), owner, SECONDS)
    }

    /// Held by `a` under token 1.
    async fn held() -> (Registry, Lease) {
        let mut registry = Registry::new().await;
        registry.changes(add(&Registry::id())).await;
        let first = lease(0, "a");
        assert_eq!(registry.changes(first.take(None)).await, 1);
        (registry, first)
    }

    fn expire(registry: &Registry) {
        registry.by_hand("UPDATE migration_locks SET expires_at = '2025-11-27T14:30:00.000Z'");
    }

    #[tokio::test]
    async fn of_two_that_saw_the_lock_free_one_takes_it() {
        let (mut registry, _) = held().await;
        assert_eq!(registry.changes(lease(0, "b").take(None)).await, 0);
    }

    #[tokio::test]
    async fn a_lease_that_was_renewed_since_it_was_seen_expired_is_not_taken() {
        let (mut registry, first) = held().await;
        expire(&registry);
        // Whoever reads now sees token 1, and that its time is over.
        assert_eq!(registry.changes(first.renew()).await, 1);
        let second = lease(first.token.0, "b");
        assert_eq!(registry.changes(second.take(None)).await, 0);
        expire(&registry);
        assert_eq!(registry.changes(second.take(None)).await, 1);
    }

    #[tokio::test]
    async fn whoever_lost_the_lock_neither_renews_nor_raises_nor_releases_it() {
        let (mut registry, first) = held().await;
        expire(&registry);
        let second = lease(first.token.0, "b");
        assert_eq!(registry.changes(second.take(None)).await, 1);
        for statement in [first.renew(), first.raise(), first.release()] {
            assert_eq!(registry.changes(statement).await, 0);
        }
        assert_eq!(registry.changes(second.renew()).await, 1);
    }

    #[tokio::test]
    async fn what_was_seen_before_the_lock_was_given_back_is_no_ground_for_taking_it() {
        let (mut registry, first) = held().await;
        assert_eq!(registry.changes(first.release()).await, 1);
        assert_eq!(
            registry.changes(lease(first.token.0, "b").take(None)).await,
            0
        );
        assert_eq!(
            registry
                .changes(lease(first.token.0 + 1, "b").take(None))
                .await,
            1
        );
    }
}
