//! What every engine must do, on every engine: on SQLite always, and on a T-SQL server when the environment names one.

mod support;

#[path = "conformance/harness.rs"]
#[macro_use]
mod harness;

#[path = "conformance/adoption.rs"]
mod adoption;
#[path = "conformance/archives.rs"]
mod archives;
#[path = "conformance/cancelling.rs"]
mod cancelling;
#[path = "conformance/choosing.rs"]
mod choosing;
#[path = "conformance/concurrency.rs"]
mod concurrency;
#[path = "conformance/crashes.rs"]
mod crashes;
#[path = "conformance/first_run.rs"]
mod first_run;
#[path = "conformance/leftovers.rs"]
mod leftovers;
#[path = "conformance/lost_connection.rs"]
mod lost_connection;
#[path = "conformance/names.rs"]
mod names;
#[path = "conformance/readme.rs"]
mod readme;
#[path = "conformance/registering.rs"]
mod registering;
#[path = "conformance/rolling_back.rs"]
mod rolling_back;
#[path = "conformance/running.rs"]
mod running;
#[path = "conformance/sessions.rs"]
mod sessions;
#[path = "conformance/transactions.rs"]
mod transactions;
#[path = "conformance/trials.rs"]
mod trials;
#[path = "conformance/variables.rs"]
mod variables;
#[path = "conformance/without_transaction.rs"]
mod without_transaction;

fn main() {
    harness::run([
        adoption::tests(),
        archives::tests(),
        cancelling::tests(),
        choosing::tests(),
        concurrency::tests(),
        crashes::tests(),
        first_run::tests(),
        leftovers::tests(),
        lost_connection::tests(),
        names::tests(),
        readme::tests(),
        registering::tests(),
        rolling_back::tests(),
        running::tests(),
        sessions::tests(),
        transactions::tests(),
        trials::tests(),
        variables::tests(),
        without_transaction::tests(),
    ]);
}
