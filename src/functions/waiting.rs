//! How long a call waits for its run, and how it is answered when the run takes longer.

use std::time::Duration;

use crate::engine::{Run, RunStatus, Wait};

use super::answer::{Answer, accepted, ok};
use super::problem::Problem;
use super::request::Call;

/// The platform cuts a caller off after 230 s; before that it must hear where to ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(200);

/// How a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// To the end: a dry run cannot be asked for later.
    ToTheEnd,
    /// As long as the platform lets it.
    AsLongAsPossible,
    /// Not at all, as the caller prefers.
    NotAtAll,
}

impl Waiting {
    /// How a call of a run or a rollback waits.
    pub fn of(call: &Call, is_dry_run: bool) -> Self {
        if is_dry_run {
            Self::ToTheEnd
        } else if call.prefers_async() {
            Self::NotAtAll
        } else {
            Self::AsLongAsPossible
        }
    }

    /// What to ask of the engine.
    pub fn wait(self) -> Wait {
        match self {
            Self::ToTheEnd => Wait::ToTheEnd,
            Self::AsLongAsPossible => Wait::AtMost(LONGEST_WAIT),
            Self::NotAtAll => Wait::AtMost(Duration::ZERO),
        }
    }

    /// The answer with the run as it stands after the waiting.
    pub fn answer(self, run: &Run) -> Result<Answer, Problem> {
        match self {
            Self::NotAtAll => Ok(accepted(run)?
                .with_header("location", location(run))
                .with_header("preference-applied", "respond-async")),
            _ if has_ended(run) => ok(run),
            _ => Ok(accepted(run)?.with_header("location", location(run))),
        }
    }
}

/// Where a run can be asked for.
pub fn location(run: &Run) -> String {
    format!("/api/dbvc/runs/{}", run.run_id)
}

/// Whether nothing more happens in a run.
pub fn has_ended(run: &Run) -> bool {
    !matches!(run.status, RunStatus::Queued | RunStatus::Running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DryRun, RunKind};

    fn run(status: RunStatus) -> Run {
        Run {
            run_id: "r1".to_owned(),
            kind: RunKind::Run,
            environment: "dev".to_owned(),
            database_id: "orders".to_owned(),
            executor: "me".to_owned(),
            dry_run: DryRun::No,
            status,
            started_at: "2025-11-27T14:30:00Z".parse().unwrap(),
            finished_at: None,
            duration_ms: None,
            cancel_requested: false,
            databases: Vec::new(),
        }
    }

    #[test]
    fn a_run_that_ended_in_time_is_answered_whole() {
        let answer = Waiting::AsLongAsPossible
            .answer(&run(RunStatus::Succeeded))
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("location"), None);
    }

    #[test]
    fn a_run_that_takes_longer_says_where_to_ask_again() {
        for status in [RunStatus::Queued, RunStatus::Running] {
            let answer = Waiting::AsLongAsPossible.answer(&run(status)).unwrap();
            assert_eq!(answer.status(), 202);
            assert_eq!(answer.header("location"), Some("/api/dbvc/runs/r1"));
            assert_eq!(answer.header("preference-applied"), None);
        }
    }

    #[test]
    fn who_prefers_not_to_wait_is_told_that_it_was_heard() {
        for status in [RunStatus::Running, RunStatus::NothingToDo] {
            let answer = Waiting::NotAtAll.answer(&run(status)).unwrap();
            assert_eq!(answer.status(), 202);
            assert_eq!(answer.header("location"), Some("/api/dbvc/runs/r1"));
            assert_eq!(answer.header("preference-applied"), Some("respond-async"));
        }
    }
}
