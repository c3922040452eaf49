//! Whether, and when, to try again to connect: decided without connecting.

use std::io;
use std::time::Duration;

/// The server, or Azure's gateway before it, is moving, starting or out of something. From SqlClient's list of transient
/// errors, as far as they can meet a login.
/// <https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues>
const TRANSIENT: [u32; 17] = [
    20, 64, 233, 615, 926, 4060, 4221, 10053, 10054, 10060, 10928, 10929, 40197, 40613, 49918,
    49919, 49920,
];

/// "The service is currently busy. Retry the request after 10 seconds."
const BUSY: u32 = 40501;

/// How long [`BUSY`] asks to wait at least.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// What a failed attempt to connect says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The next may succeed.
    Transient,
    /// The next may succeed, but not within [`BUSY_WAIT`].
    Busy,
    /// The next would fail in the same way.
    Lasting,
}

impl Failure {
    /// By the number of the server's error. A refused login (18456) is lasting: trying again could lock the account.
    pub fn of_number(number: u32) -> Self {
        if number == BUSY {
            Self::Busy
        } else if TRANSIENT.contains(&number) {
            Self::Transient
        } else {
            Self::Lasting
        }
    }

    /// By what became of the line. A line that broke is what a move looks like from outside. A refused connection, an
    /// unknown host and a failed TLS handshake are lasting: they are what a wrong address or certificate looks like, and
    /// who has one should be told at once; in Azure the gateway answers while a database moves.
    pub fn of_io(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof => Self::Transient,
            _ => Self::Lasting,
        }
    }
}

/// How long to wait between attempts to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Before the second attempt. Defaults to 5 seconds: sooner would only burden a database that moves. Doubles with
    /// every attempt.
    pub first: Duration,
    /// At most. Defaults to 60 seconds.
    pub most: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            most: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before trying again; none is to give up. `attempts` have failed, the last one with `failure`, in
    /// `elapsed` altogether. What would not begin within `patience` is not begun. Up to a quarter is added by `jitter`,
    /// from 0 to 1, so that those who failed together do not come back together.
    pub(super) fn next_wait(
        &self,
        failure: Failure,
        attempts: u32,
        elapsed: Duration,
        patience: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let least = match failure {
            Failure::Transient => Duration::ZERO,
            Failure::Busy => BUSY_WAIT,
            Failure::Lasting => return None,
        };
        let doublings = attempts.saturating_sub(1).min(16);
        let wait = self
            .first
            .saturating_mul(1 << doublings)
            .min(self.most)
            .mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
            .min(self.most)
            .max(least);
        (elapsed + wait < patience).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn wait(failure: Failure, attempts: u32, elapsed: u64) -> Option<Duration> {
        let elapsed = Duration::from_secs(elapsed);
        RetryPolicy::default().next_wait(failure, attempts, elapsed, PATIENCE, 0.0)
    }

    #[test]
    fn waits_begin_at_five_seconds_and_double_up_to_a_minute() {
        let waits: Vec<_> = (1..=6)
            .map(|attempts| wait(Failure::Transient, attempts, 0).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(
            wait(Failure::Transient, u32::MAX, 0),
            Some(Duration::from_secs(60))
        );
    }

    #[test]
    fn who_failed_together_does_not_come_back_together() {
        let wait = |attempts, jitter| {
            RetryPolicy::default()
                .next_wait(
                    Failure::Transient,
                    attempts,
                    Duration::ZERO,
                    PATIENCE,
                    jitter,
                )
                .unwrap()
        };
        assert_eq!(wait(1, 1.0), Duration::from_millis(6250));
        assert_eq!(wait(2, 0.5), Duration::from_millis(11_250));
        assert_eq!(wait(9, 1.0), Duration::from_secs(60));
        assert_eq!(wait(1, 7.0), wait(1, 1.0));
    }

    #[test]
    fn a_busy_server_gets_the_ten_seconds_that_it_asks_for() {
        assert_eq!(Failure::of_number(40501), Failure::Busy);
        assert_eq!(wait(Failure::Busy, 1, 0), Some(Duration::from_secs(10)));
        assert_eq!(wait(Failure::Busy, 3, 0), Some(Duration::from_secs(20)));
    }

    #[test]
    fn what_would_not_begin_in_time_is_not_begun() {
        assert_eq!(
            wait(Failure::Transient, 1, 294),
            Some(Duration::from_secs(5))
        );
        assert_eq!(wait(Failure::Transient, 1, 295), None);
        assert_eq!(wait(Failure::Transient, 1, 1000), None);
    }

    #[test]
    fn what_lasts_is_never_tried_again() {
        assert_eq!(wait(Failure::Lasting, 1, 0), None);
        // Login, firewall, syntax, constraint, a client's timeout.
        for number in [18456, 18488, 40615, 102, 2627, 1205, 0] {
            assert_eq!(Failure::of_number(number), Failure::Lasting, "{number}");
        }
        for kind in [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::NotFound,
            io::ErrorKind::InvalidData,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::Other,
        ] {
            assert_eq!(Failure::of_io(kind), Failure::Lasting, "{kind}");
        }
    }

    #[test]
    fn what_passes_is_tried_again() {
        for number in [
            4060, 40197, 40613, 49918, 49919, 49920, 4221, 615, 926, 10928, 10929, 10053, 10054,
            10060, 233, 64, 20,
        ] {
            assert_eq!(Failure::of_number(number), Failure::Transient, "{number}");
        }
        for kind in [
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::TimedOut,
            io::ErrorKind::UnexpectedEof,
        ] {
            assert_eq!(Failure::of_io(kind), Failure::Transient, "{kind}");
        }
    }

    #[test]
    fn no_policy_overflows() {
        let policy = RetryPolicy {
            first: Duration::MAX,
            most: Duration::from_secs(3600),
        };
        let wait = policy.next_wait(Failure::Transient, 9, Duration::ZERO, Duration::MAX, 1.0);
        assert_eq!(wait, Some(Duration::from_secs(3600)));
    }
}
