//! Points at which a test stops the process, to kill it or to let it go on: compiled in for tests only (feature
//! `crash-points`).
//!
//! With `DBVC_STOP_AT=<name>` (or `<name>:<n>` for the nth time) and `DBVC_STOP_FILE=<path>` in the environment, the task
//! that reaches the point makes the file and waits until somebody removes it; the test sees the file and kills the process,
//! or removes the file.

#[cfg(feature = "crash-points")]
mod stopping {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// Pause between two looks at the file.
    pub const PAUSE: Duration = Duration::from_millis(5);

    static REACHED: AtomicU32 = AtomicU32::new(0);

    /// The file to make, when this is the place to stop at.
    fn file(name: &str) -> Option<PathBuf> {
        let wanted = std::env::var("DBVC_STOP_AT").ok()?;
        let (wanted_name, nth) = match wanted.split_once(':') {
            Some((name, nth)) => (name, nth.parse().unwrap_or(1)),
            None => (wanted.as_str(), 1),
        };
        if wanted_name != name || REACHED.fetch_add(1, Ordering::SeqCst) + 1 != nth {
            return None;
        }
        std::env::var_os("DBVC_STOP_FILE").map(PathBuf::from)
    }

    /// Makes the file, when this is the place to stop at; gives it once it is there.
    pub fn stop(name: &str) -> Option<PathBuf> {
        file(name).filter(|file| std::fs::write(file, name).is_ok())
    }
}

/// Stops here when a test asks for it; without the feature, nothing.
#[cfg(feature = "crash-points")]
pub async fn reached(name: &str) {
    if let Some(file) = stopping::stop(name) {
        while file.exists() {
            tokio::time::sleep(stopping::PAUSE).await;
        }
    }
}

/// Stops here when a test asks for it; without the feature, nothing.
#[cfg(not(feature = "crash-points"))]
#[allow(clippy::unused_async, reason = "it is async where the feature is on")]
pub async fn reached(_name: &str) {}

/// The same where nothing can be awaited. Whatever else the thread was to do goes on elsewhere.
#[cfg(feature = "crash-points")]
pub fn reached_on_thread(name: &str) {
    if let Some(file) = stopping::stop(name) {
        tokio::task::block_in_place(|| {
            while file.exists() {
                std::thread::sleep(stopping::PAUSE);
            }
        });
    }
}

/// The same where nothing can be awaited.
#[cfg(not(feature = "crash-points"))]
pub fn reached_on_thread(_name: &str) {}
