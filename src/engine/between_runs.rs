//! Writing to a database between two runs, and knowing whether one came in between.

use crate::audit::{self, Change};
use crate::database::SHORT_WAIT;
use crate::database::{ColumnError, Connection, DatabaseError};
use crate::registry::lock::{FencingToken, LockRow};
use crate::registry::state::DatabaseState;
use crate::registry::{executions, lock};

use super::Engine;
use super::access::{Managed, holder};
use super::error::EngineError;

/// What every run changes: as long as it is the same, no run has begun, ended or executed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    token: Option<FencingToken>,
    newest_execution: Option<i64>,
}

impl Moment {
    /// The moment at which this state was read.
    pub fn of(state: &DatabaseState) -> Self {
        Self {
            token: state.lock.as_ref().map(|lock| lock.token),
            newest_execution: state.newest_execution,
        }
    }
}

/// Why nothing was written between two runs.
#[derive(Debug)]
pub(super) enum NotBetween {
    /// A run came in between: what was read before is out of date, and can be read again.
    Overtaken,
    /// Another reason.
    Other(EngineError),
}

impl Engine {
    /// Writes a change that must not meet a run: refused while one holds the database, and when one came since `since`.
    ///
    /// The check comes after the change. By then the head of the trail is locked, and no execution commits without moving
    /// the head: what the check sees stays so until the commit.
    pub(super) async fn write_between_runs(
        &self,
        connection: &mut dyn Connection,
        managed: &Managed,
        change: Change<'_>,
        since: &Moment,
    ) -> Result<(), NotBetween> {
        if let Err(error) = connection.begin(SHORT_WAIT).await {
            let problem = managed.busy(connection, error).await;
            return Err(NotBetween::Other(problem));
        }
        let mut overtaken = false;
        let written = async {
            audit::append(connection, change, None)
                .await
                .map_err(|error| managed.append_problem(error))?;
            let (lock, now) = read_moment(connection, managed)
                .await
                .map_err(|error| managed.problem(error))?;
            if lock.as_ref().and_then(holder).is_some() {
                return Err(managed.locked(lock.as_ref()));
            }
            if now != *since {
                overtaken = true;
                return Err(managed.locked(None));
            }
            Ok(())
        };
        let written = written.await;
        match self.conclude(connection, managed, written).await {
            Ok(()) => {
                self.deliver_soon(managed);
                Ok(())
            }
            Err(_) if overtaken => Err(NotBetween::Overtaken),
            Err(error) => Err(NotBetween::Other(error)),
        }
    }
}

async fn read_moment(
    connection: &mut dyn Connection,
    managed: &Managed,
) -> Result<(Option<LockRow>, Moment), DatabaseError> {
    let replies = connection
        .exchange(&[
            lock::read(managed.id()),
            executions::newest_ordinal(managed.id()),
        ])
        .await?;
    let first = |index: usize| replies.get(index).and_then(|reply| reply.rows.first());
    let parse = || -> Result<_, ColumnError> {
        let lock = first(0).map(lock::parse).transpose()?;
        let newest_execution = first(1)
            .map(|row| row.optional_integer("ordinal"))
            .transpose()?
            .flatten();
        let moment = Moment {
            token: lock.as_ref().map(|lock| lock.token),
            newest_execution,
        };
        Ok((lock, moment))
    };
    Ok(parse()?)
}
