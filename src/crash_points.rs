//! Points at which a test stops the process to kill it: compiled in for tests only (feature `crash-points`).
//!
//! With `DBVC_STOP_AT=<name>` (or `<name>:<n>` for the nth time) and `DBVC_STOP_FILE=<path>` in the environment, the task
//! that reaches the point makes the file and goes no further; the test sees the file and kills the process.

/// Stops here for ever when a test asks for it; without the feature, nothing.
#[cfg(feature = "crash-points")]
pub async fn reached(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};

    static REACHED: AtomicU32 = AtomicU32::new(0);

    let Ok(wanted) = std::env::var("DBVC_STOP_AT") else {
        return;
    };
    let (wanted_name, nth) = match wanted.split_once(':') {
        Some((name, nth)) => (name, nth.parse().unwrap_or(1)),
        None => (wanted.as_str(), 1),
    };
    if wanted_name != name || REACHED.fetch_add(1, Ordering::SeqCst) + 1 != nth {
        return;
    }
    if let Ok(file) = std::env::var("DBVC_STOP_FILE") {
        let _ = std::fs::write(file, name);
    }
    std::future::pending::<()>().await;
}

/// Stops here for ever when a test asks for it; without the feature, nothing.
#[cfg(not(feature = "crash-points"))]
#[allow(clippy::unused_async, reason = "it is async where the feature is on")]
pub async fn reached(_name: &str) {}
