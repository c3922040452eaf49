//! The scripts of the pipeline, and the package of the app, against the real binary.

// The scripts are bash.
#![cfg(unix)]

mod support;

#[path = "pipeline/failing.rs"]
mod failing;
#[path = "pipeline/github.rs"]
mod github;
#[path = "pipeline/harness.rs"]
mod harness;
#[path = "pipeline/packaging.rs"]
mod packaging;
#[path = "pipeline/passing.rs"]
mod passing;
#[path = "pipeline/previewing.rs"]
mod previewing;
#[path = "pipeline/reaching.rs"]
mod reaching;
#[path = "host_double/recorder.rs"]
#[allow(dead_code, reason = "the tests of the double use more of it")]
mod recorder;
#[path = "pipeline/second_pass.rs"]
mod second_pass;
