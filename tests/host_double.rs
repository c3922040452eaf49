//! Whether the double of the Functions host does what the host does. No test here starts dbvc.

mod support;

#[path = "host_double/discovery.rs"]
mod discovery;
#[path = "host_double/forwarding.rs"]
mod forwarding;
#[path = "host_double/keys.rs"]
mod keys;
#[path = "host_double/payload.rs"]
mod payload;
#[path = "host_double/process.rs"]
mod process;
#[path = "host_double/proxying.rs"]
mod proxying;
#[path = "host_double/recorder.rs"]
mod recorder;
#[path = "host_double/temporary_app.rs"]
mod temporary_app;
