//! The timer that looks for drift in every database of the environment.

use super::TimerFunction;

pub(super) const FUNCTION: TimerFunction = TimerFunction {
    name: "dbvc-drift-timer",
    schedule_setting: "DBVC_DRIFT_SCHEDULE",
    handle: |app| Box::pin(async move { app.engine.check_drift().await }),
};
