//! Where a script without a transaction goes on after an earlier attempt: pure decisions over its progress.

use crate::registry::executions::BatchProgress;

/// Where a script without a transaction goes on after an earlier attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Resume {
    /// The attempt whose progress is taken over.
    pub from_execution: String,
    /// Number of the batch to go on with.
    pub batch: u32,
    /// How many of its rounds are done.
    pub rounds_done: u32,
}

/// Decides where a script without a transaction goes on. `None`: from its beginning. An error: a person must decide.
/// `said_failed`: a person has said that the batch of which nobody knows was not applied; what is known stays.
/// `may_repeat`: such a batch can be sent again as it was.
pub(in crate::engine) fn resume_point(
    from_execution: &str,
    progress: &[BatchProgress],
    batches: &[(u32, String, u32)],
    transactional_now: bool,
    said_failed: bool,
    may_repeat: bool,
) -> Result<Option<Resume>, &'static str> {
    let any_done = progress.iter().any(|batch| batch.ended > 0);
    if transactional_now {
        return if any_done {
            Err(
                "earlier batches were applied one by one, and the script now asks for a transaction",
            )
        } else {
            Ok(None)
        };
    }
    for done in progress {
        let is_unknown = done.begun > done.ended && !(done.failed && done.left_nothing);
        if is_unknown && !said_failed && !may_repeat {
            return Err("it is not known whether a batch was applied");
        }
        let complete = done.ended == done.rounds;
        let same = batches.iter().any(|(index, sha256, rounds)| {
            *index == done.index && *sha256 == done.sha256 && *rounds == done.rounds
        });
        if is_unknown && !said_failed && !same {
            return Err(
                "it is not known whether an operation was applied, and its text has changed",
            );
        }
        // A batch of which no round is done may have been mended.
        if !same && done.ended > 0 {
            return Err("a batch that was applied has another text now");
        }
        if !complete {
            return Ok(any_done.then(|| Resume {
                from_execution: from_execution.to_owned(),
                batch: done.index,
                rounds_done: done.ended,
            }));
        }
    }
    let Some(last) = progress.last() else {
        return Ok(None);
    };
    Ok(Some(Resume {
        from_execution: from_execution.to_owned(),
        batch: last.index + 1,
        rounds_done: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(index: u32, sha256: &str) -> BatchProgress {
        BatchProgress {
            index,
            sha256: sha256.to_owned(),
            rounds: 1,
            begun: 1,
            ended: 1,
            failed: false,
            left_nothing: false,
        }
    }

    fn batches(texts: &[&str]) -> Vec<(u32, String, u32)> {
        (1..)
            .zip(texts)
            .map(|(index, text)| (index, (*text).to_owned(), 1))
            .collect()
    }

    fn at(batch: u32) -> Option<Resume> {
        Some(Resume {
            from_execution: "e".to_owned(),
            batch,
            rounds_done: 0,
        })
    }

    #[test]
    fn goes_on_at_the_first_batch_without_an_intent() {
        let progress = [done(1, "a"), done(2, "b")];
        assert_eq!(
            resume_point(
                "e",
                &progress,
                &batches(&["a", "b", "c"]),
                false,
                false,
                false
            ),
            Ok(at(3))
        );
    }

    #[test]
    fn goes_on_at_a_batch_that_the_server_refused_even_when_it_was_mended() {
        let mut failed = done(2, "b");
        failed.ended = 0;
        failed.failed = true;
        failed.left_nothing = true;
        let progress = [done(1, "a"), failed];
        assert_eq!(
            resume_point(
                "e",
                &progress,
                &batches(&["a", "mended", "c"]),
                false,
                false,
                false
            ),
            Ok(at(2))
        );
    }

    #[test]
    fn an_intent_without_an_end_is_for_a_person_to_decide() {
        let mut unknown = done(2, "b");
        unknown.ended = 0;
        assert!(
            resume_point(
                "e",
                &[done(1, "a"), unknown],
                &batches(&["a", "b"]),
                false,
                false,
                false
            )
            .is_err()
        );
    }

    #[test]
    fn a_refused_batch_of_several_statements_is_for_a_person_to_decide() {
        let mut failed = done(1, "a");
        failed.ended = 0;
        failed.failed = true;
        assert!(resume_point("e", &[failed], &batches(&["a"]), false, false, false).is_err());
    }

    #[test]
    fn what_can_be_repeated_is_sent_again_as_it_was() {
        let mut unknown = done(2, "b");
        unknown.ended = 0;
        let progress = [done(1, "a"), unknown.clone()];
        let resumed =
            |texts: &[&str]| resume_point("e", &progress, &batches(texts), false, false, true);
        assert_eq!(resumed(&["a", "b", "c"]), Ok(at(2)));
        assert!(resumed(&["a", "other", "c"]).is_err());
        unknown.index = 1;
        assert_eq!(
            resume_point("e", &[unknown], &batches(&["b"]), false, false, true),
            Ok(None)
        );
    }

    #[test]
    fn an_applied_batch_may_not_change() {
        let progress = [done(1, "a")];
        assert!(
            resume_point(
                "e",
                &progress,
                &batches(&["other", "b"]),
                false,
                false,
                false
            )
            .is_err()
        );
    }

    #[test]
    fn goes_on_within_the_rounds_of_a_batch() {
        let mut rounds = done(1, "a");
        rounds.rounds = 5;
        rounds.begun = 3;
        rounds.ended = 3;
        let script = vec![(1, "a".to_owned(), 5)];
        assert_eq!(
            resume_point("e", &[rounds], &script, false, false, false),
            Ok(Some(Resume {
                from_execution: "e".to_owned(),
                batch: 1,
                rounds_done: 3
            }))
        );
    }

    #[test]
    fn a_script_that_now_asks_for_a_transaction_starts_anew_only_when_nothing_was_applied() {
        let mut failed = done(1, "a");
        failed.ended = 0;
        failed.failed = true;
        failed.left_nothing = true;
        assert_eq!(
            resume_point("e", &[failed], &batches(&["a"]), true, false, false),
            Ok(None)
        );
        assert!(resume_point("e", &[done(1, "a")], &batches(&["a"]), true, false, false).is_err());
    }

    #[test]
    fn a_persons_word_settles_the_batch_that_nobody_knows_of_and_no_other() {
        let mut unknown = done(2, "b");
        unknown.ended = 0;
        let progress = [done(1, "a"), unknown];
        assert_eq!(
            resume_point("e", &progress, &batches(&["a", "b"]), false, true, false),
            Ok(at(2))
        );
        assert!(
            resume_point(
                "e",
                &progress,
                &batches(&["other", "b"]),
                false,
                true,
                false
            )
            .is_err()
        );
    }
}
