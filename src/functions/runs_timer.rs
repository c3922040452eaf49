//! The timer that adopts runs whose instance died and delivers events that are still to be delivered.

use std::time::Duration;

use super::TimerFunction;

/// How long one tick may work: below the shortest `functionTimeout` of any plan (5 minutes), past which the host kills the
/// process and every run in it. What is left over, the next tick goes on with.
const BUDGET: Duration = Duration::from_secs(4 * 60);

pub(super) const FUNCTION: TimerFunction = TimerFunction {
    name: "dbvc-runs-timer",
    schedule_setting: "DBVC_RUNS_SCHEDULE",
    handle: |app| Box::pin(async move { app.engine.tend_runs(BUDGET).await }),
};
