//! What happened: lines that the handler wrote, invocations and their outcome, and defects that a real host would
//! only show as calls that fail.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

#[derive(Debug)]
pub struct Journal {
    lines: Mutex<Vec<Line>>,
    invocations: Mutex<Vec<Invocation>>,
    defects: Mutex<Vec<String>>,
    starts: AtomicUsize,
    pings: AtomicUsize,
    changed: watch::Sender<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub stream: Stream,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Line {
    /// The level at which the host logs it.
    pub fn level(&self) -> &'static str {
        match self.stream {
            Stream::Stdout => "Information",
            Stream::Stderr if self.text.to_lowercase().contains("warn") => "Warning",
            Stream::Stderr => "Error",
        }
    }
}

/// One call of a function, as the host would record it.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub function: String,
    pub id: String,
    pub outcome: Outcome,
    /// `Logs` of a payload answer; the host throws them away when the call failed.
    pub logs: Vec<String>,
    /// The object that the handler answered in payload mode.
    pub answer: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed(String),
    /// The host would wait until functionTimeout and then kill the handler.
    WouldHang(String),
}

impl Invocation {
    /// Panics unless the host would record a success.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert_eq!(
            self.outcome,
            Outcome::Succeeded,
            "invocation of {}",
            self.function
        );
        self
    }

    /// The reason of a failure; panics if it is none.
    #[track_caller]
    pub fn expect_failure(&self) -> &str {
        match &self.outcome {
            Outcome::Failed(reason) => reason,
            other => panic!(
                "the invocation of {} should have failed, but {other:?}",
                self.function
            ),
        }
    }
}

impl Journal {
    pub fn new() -> Self {
        Self {
            lines: Mutex::default(),
            invocations: Mutex::default(),
            defects: Mutex::default(),
            starts: AtomicUsize::new(0),
            pings: AtomicUsize::new(0),
            changed: watch::Sender::new(()),
        }
    }

    pub fn write(&self, stream: Stream, text: String) {
        self.lines
            .lock()
            .expect("no holder panics")
            .push(Line { stream, text });
        self.changed.send_replace(());
    }

    pub fn record(&self, invocation: Invocation) {
        self.invocations
            .lock()
            .expect("no holder panics")
            .push(invocation);
        self.changed.send_replace(());
    }

    pub fn defect(&self, text: String) {
        self.defects.lock().expect("no holder panics").push(text);
        self.changed.send_replace(());
    }

    pub fn started(&self) {
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    pub fn pinged(&self) {
        self.pings.fetch_add(1, Ordering::SeqCst);
        self.changed.send_replace(());
    }

    pub fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    pub fn pings(&self) -> usize {
        self.pings.load(Ordering::SeqCst)
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("no holder panics").clone()
    }

    pub fn of(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines().into_iter();
        lines
            .filter(|line| line.stream == stream)
            .map(|line| line.text)
            .collect()
    }

    pub fn invocations(&self) -> Vec<Invocation> {
        self.invocations.lock().expect("no holder panics").clone()
    }

    pub fn defects(&self) -> Vec<String> {
        self.defects.lock().expect("no holder panics").clone()
    }

    /// Waits until `found` sees in the journal what it looks for, at most 30 seconds.
    pub async fn wait_for<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let search = async {
            loop {
                changed.borrow_and_update();
                if let Some(value) = found(self) {
                    return value;
                }
                changed
                    .changed()
                    .await
                    .expect("the journal holds the sender");
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), search).await {
            Ok(value) => value,
            Err(_) => panic!("waited 30 seconds for {what}"),
        }
    }
}
