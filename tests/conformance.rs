//! What every engine must do, on every engine: on SQLite always, and on a T-SQL server when the environment names one.

mod support;

#[path = "conformance/harness.rs"]
#[macro_use]
mod harness;

#[path = "conformance/adoption.rs"]
mod adoption;
#[path = "conformance/cancelling.rs"]
mod cancelling;
#[path = "conformance/choosing.rs"]
mod choosing;
#[path = "conformance/concurrency.rs"]
mod concurrency;
#[path = "conformance/crashes.rs"]
mod crashes;
#[path = "conformance/lost_connection.rs"]
mod lost_connection;
#[path = "conformance/rolling_back.rs"]
mod rolling_back;
#[path = "conformance/sessions.rs"]
mod sessions;
#[path = "conformance/without_transaction.rs"]
mod without_transaction;

fn main() {
    harness::run([
        adoption::tests(),
        cancelling::tests(),
        choosing::tests(),
        concurrency::tests(),
        crashes::tests(),
        lost_connection::tests(),
        rolling_back::tests(),
        sessions::tests(),
        without_transaction::tests(),
    ]);
}
