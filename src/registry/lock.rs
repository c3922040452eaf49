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
