//! The timer's part of a payload: the shapes that a schedule status takes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerShape {
    /// A status with the last and the next time.
    Regular,
    /// No status: `useMonitor` is off, the schedule is too frequent, or a manual run came first.
    NoStatus,
    /// The very first run: the last time is the first instant of the calendar, without an offset.
    FirstRun,
    /// The time was missed while no host ran.
    PastDue,
}

impl TimerShape {
    pub const ALL: [Self; 4] = [Self::Regular, Self::NoStatus, Self::FirstRun, Self::PastDue];

    /// The value of `Data.<binding>`: a real object, unlike what queues send.
    pub fn data(self) -> Value {
        let now = Timestamp::now();
        let last = now - SignedDuration::from_mins(1);
        let next = now + SignedDuration::from_mins(1);
        let status = match self {
            Self::NoStatus => Value::Null,
            Self::FirstRun => json!({
                "Last": "0001-01-01T00:00:00",
                "Next": offset(next),
                "LastUpdated": "0001-01-01T00:00:00",
            }),
            Self::Regular | Self::PastDue => json!({
                "Last": offset(last),
                "Next": offset(next),
                "LastUpdated": offset(last),
            }),
        };
        json!({
            "Schedule": { "AdjustForDST": true },
            "ScheduleStatus": status,
            "IsPastDue": self == Self::PastDue,
        })
    }
}

/// .NET writes the offset of a local time, never `Z`.
fn offset(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}
