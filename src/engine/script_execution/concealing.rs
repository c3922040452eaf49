//! Sending a script's batches without letting the values of its variables come back: they may be secrets, and a server repeats
//! in errors and messages what it was sent.

use std::sync::Arc;

use crate::database::{
    BatchObserver, BatchReport, BatchText, Connection, ScriptEnd, ScriptMode, ScriptReport,
    ServerError,
};
use crate::script::Variables;

/// Runs batches as [`Connection::run_batches`] does; what the server said shows variables by their names.
pub(in crate::engine) async fn run_batches(
    connection: &mut dyn Connection,
    batches: Arc<[BatchText]>,
    mode: ScriptMode,
    observer: Arc<dyn BatchObserver>,
    variables: &Variables,
) -> ScriptReport {
    if variables.is_empty() {
        return connection.run_batches(batches, mode, observer).await;
    }
    let observer = Arc::new(Concealing {
        observer,
        variables: variables.clone(),
    });
    let mut report = connection.run_batches(batches, mode, observer).await;
    for batch in &mut report.batches {
        conceal_messages(batch, variables);
    }
    if let ScriptEnd::Failed { errors, .. } | ScriptEnd::Left { errors, .. } = &mut report.end {
        conceal_errors(errors, variables);
    }
    report
}

fn conceal_messages(batch: &mut BatchReport, variables: &Variables) {
    for message in &mut batch.messages {
        message.text = variables.conceal(&message.text);
    }
}

fn conceal_errors(errors: &mut [ServerError], variables: &Variables) {
    for error in errors {
        error.message = variables.conceal(&error.message);
        error.procedure = error
            .procedure
            .as_deref()
            .map(|procedure| variables.conceal(procedure));
    }
}

struct Concealing {
    observer: Arc<dyn BatchObserver>,
    variables: Variables,
}

impl BatchObserver for Concealing {
    fn ended(&self, report: &BatchReport) {
        let mut report = report.clone();
        conceal_messages(&mut report, &self.variables);
        self.observer.ended(&report);
    }

    fn stop_requested(&self) -> bool {
        self.observer.stop_requested()
    }
}
