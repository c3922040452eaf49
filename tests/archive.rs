//! What every archive must do, on every archive: the embedded one and the one in Cosmos DB, on an account in memory always and
//! on a real account when the environment names one. Then what only the one in Cosmos DB must do.

mod support;

#[path = "archive/harness.rs"]
#[macro_use]
mod harness;

#[path = "archive/containers.rs"]
mod containers;
#[path = "archive/documents.rs"]
mod documents;
#[path = "archive/events.rs"]
mod events;
#[path = "archive/faults.rs"]
mod faults;
#[path = "archive/migrations.rs"]
mod migrations;
#[path = "archive/snapshots.rs"]
mod snapshots;
#[path = "archive/streams.rs"]
mod streams;

fn main() {
    harness::run([
        events::tests(),
        snapshots::tests(),
        migrations::tests(),
        documents::tests(),
        containers::tests(),
        faults::tests(),
        streams::tests(),
    ]);
}
