//! What every engine must do, on every engine: on SQLite always, and on a T-SQL server when the environment names one.

mod support;

#[path = "conformance/harness.rs"]
#[macro_use]
mod harness;

#[path = "conformance/crashes.rs"]
mod crashes;
#[path = "conformance/lost_connection.rs"]
mod lost_connection;

fn main() {
    harness::run([crashes::tests(), lost_connection::tests()]);
}
