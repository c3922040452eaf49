//! What a server knows besides the lease: the session that runs scripts holds an application lock as long as it lasts, so
//! that nobody begins before the server has ended what a former holder was doing.

use crate::harness::Test;
use crate::support::host::Host;
use crate::support::scene::*;
use crate::support::stage::Stage;

pub fn tests() -> Vec<Test> {
    on_t_sql![
        whoever_takes_over_waits_for_the_session_before,
        a_fenced_run_applies_nothing_and_says_so,
        a_run_that_stands_still_is_adopted_only_when_its_session_has_ended,
        an_open_script_transaction_holds_up_neither_readers_nor_other_writers,
    ]
}

/// A process that the system stops in the middle of a run, without ending its sessions.
struct Frozen {
    host: Host,
    process: String,
}

impl Frozen {
    async fn at(scene: &Scene, keeper: &Host, point: &str) -> Self {
        let host = scene.host_stopping_at(point).start().await;
        begin_run(&host, HOME).await;
        scene.stopped().await;
        let process = process_of_holder(keeper, HOME).await;
        signal("-STOP", &process);
        Self { host, process }
    }

    fn goes_on(&self, scene: &Scene) {
        scene.go_on();
        signal("-CONT", &self.process);
    }
}
