//! A double of the Azure Functions host: it runs the real handler as the host does, and shows it to a test as a client
//! sees it.
//!
//! ```ignore
//! let data = tempfile::tempdir().unwrap();
//! let host = Host::builder().data_dir(data.path()).start().await;
//! let answer = host.get("/api/dbvc/health").await.expect_status(200);
//! assert_eq!(answer.body["status"], "healthy");
//! host.invoke_timer("dbvc-runs-timer", TimerShape::FirstRun).await.expect_success();
//! host.kill().await;
//! host.start_again().await;
//! host.expect_silent_stderr();
//! ```
//!
//! What it reproduces was read in the source of the host, version 4; the comments give the rule, not its source file.
//! When a test panics, dropping its host prints what the handler wrote.

pub mod app;
pub mod builder;
pub mod client;
pub mod double;
pub mod forwarding;
pub mod front_door;
pub mod handler;
pub mod journal;
pub mod keys;
pub mod payload;
pub mod proxying;
pub mod route;
pub mod timer;
pub mod wire;

pub use app::{App, AuthLevel, Function, Trigger};
pub use builder::{HostBuilder, Mode, Place};
pub use client::{Answer, Client, Interrupted, RequestBuilder};
pub use double::Host;
pub use handler::State;
pub use journal::{Invocation, Line, Outcome, Stream};
pub use payload::Framing;
pub use timer::TimerShape;

/// The version that the double claims to be.
pub const HOST_VERSION: &str = "4.1052.200.26180";

/// What the host appends to the User-Agent of a call.
pub const HOST_AGENT: &str = "Azure-Functions-Host/4.1052.200.26180";
