//! Whether the lock of the database is held by somebody who lives.

use super::super::view::Check;
use super::Title;
use super::examination::Records;

pub(super) const TITLE: Title = Title {
    code: "locks",
    title: "No lock is left by a dead owner",
};

pub(super) fn check(records: &Records) -> Check {
    let held = records
        .state
        .lock
        .as_ref()
        .and_then(|lock| lock.held.as_ref());
    match held {
        None => TITLE.pass("the database is free"),
        Some(held) if held.expired => TITLE.warn(
            "a lock has expired; fix: true takes it back, and so does the next run",
            vec![format!(
                "held by {} since {}, expired at {}",
                held.owner, held.acquired_at, held.expires_at
            )],
        ),
        Some(held) => TITLE.pass(format!(
            "a run holds the database: {} since {}, until {} without a sign of life",
            held.owner, held.acquired_at, held.expires_at
        )),
    }
}
