//! The host as a test holds it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

use super::app::{App, Trigger};
use super::builder::{HostBuilder, Mode, Place};
use super::client::{AbortOnDrop, Answer, Answering, Client, RequestBuilder};
use super::handler::{self, Handler, Launch, State};
use super::journal::{Invocation, Journal, Line, Outcome, Stream};
use super::payload::{self, Framing};
use super::timer::TimerShape;
use super::{front_door, wire};

/// A running double. Dropping it ends the handler, at the latest together with the test's runtime, and prints what the
/// handler wrote if the test is panicking.
pub struct Host {
    inner: Arc<Inner>,
    client: Client,
    direct: Client,
    _tasks: Vec<AbortOnDrop>,
}

pub struct Inner {
    pub app: App,
    pub mode: Mode,
    pub place: Place,
    pub framing: Framing,
    pub function_timeout: Option<Duration>,
    pub handler: Handler,
    pub journal: Arc<Journal>,
    pub caller: wire::Caller,
}

impl Host {
    pub fn builder() -> HostBuilder {
        HostBuilder::new()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the builder is the only caller, and names them all"
    )]
    pub(super) async fn new(
        app: App,
        launch: Option<Launch>,
        port: u16,
        mode: Mode,
        place: Place,
        framing: Framing,
        function_timeout: Option<Duration>,
        ping_every: Duration,
    ) -> Self {
        let journal = Arc::new(Journal::new());
        let mut tasks = Vec::new();
        let is_dbvc = launch
            .as_ref()
            .is_some_and(|launch| launch.program == Path::new(env!("CARGO_BIN_EXE_dbvc")));
        let (behind_host, past_host) = if is_dbvc {
            (Answering::HostAndDbvc, Answering::Dbvc)
        } else {
            (Answering::Anybody, Answering::Anybody)
        };
        let handler = match launch {
            None => Handler::attached(port),
            Some(launch) => {
                let (handler, task) = Handler::launch(launch, Arc::clone(&journal));
                tasks.push(task);
                handler
            }
        };
        let inner = Arc::new(Inner {
            app,
            mode,
            place,
            framing,
            function_timeout,
            handler,
            journal,
            caller: wire::caller(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        tasks.push(AbortOnDrop(tokio::spawn(front_door::serve(
            listener,
            Arc::clone(&inner),
        ))));
        tasks.push(AbortOnDrop(tokio::spawn(keep_pinging(
            Arc::clone(&inner),
            ping_every,
        ))));
        Self {
            client: Client::new(address, behind_host),
            direct: Client::new(([127, 0, 0, 1], inner.handler.port).into(), past_host),
            inner,
            _tasks: tasks,
        }
    }

    /// Through the host, as every caller of the real app comes.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Past the host, straight to the handler: for what the host never lets through, such as a method that
    /// function.json does not list.
    pub fn direct(&self) -> &Client {
        &self.direct
    }

    /// `http://127.0.0.1:<port>`, for a program that is given an address.
    pub fn url(&self) -> String {
        format!("http://{}", self.client.address())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.client.get(path).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.client.delete(path).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.client.post(path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.client.put(path, body).await
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method, path)
    }

    /// Runs a timer function once, framed as the host is set up.
    pub async fn invoke_timer(&self, name: &str, shape: TimerShape) -> Invocation {
        self.invoke_timer_framed(name, shape, self.inner.framing)
            .await
    }

    /// Runs a timer function once and returns when the handler has answered. Panics if there is no such timer.
    pub async fn invoke_timer_framed(
        &self,
        name: &str,
        shape: TimerShape,
        framing: Framing,
    ) -> Invocation {
        let app = &self.inner.app;
        let function = app.function(name).unwrap_or_else(|| {
            panic!("no function `{name}` was indexed; errors: {:?}", app.errors);
        });
        let Trigger::Timer { binding, .. } = &function.trigger else {
            panic!("`{name}` is not a timer function");
        };
        let id = uuid::Uuid::new_v4().to_string();
        let invocation = match self.inner.handler.ready().await {
            Ok(()) => {
                let envelope = payload::timer_envelope(&function.name, binding, shape);
                self.inner
                    .post(&function.name, &id, &envelope, framing)
                    .await
            }
            Err(reason) => Invocation {
                function: function.name.clone(),
                id,
                outcome: Outcome::Failed(reason),
                logs: Vec::new(),
                answer: Value::Null,
            },
        };
        self.inner.journal.record(invocation.clone());
        invocation
    }

    /// Panics with what the handler wrote if it does not become ready.
    pub async fn wait_ready(&self) {
        if let Err(reason) = self.inner.handler.ready().await {
            panic!("the handler does not become ready: {reason}");
        }
    }

    /// Waits until the host has given the handler up, and says why.
    pub async fn wait_stopped(&self) -> String {
        let stopped = tokio::time::timeout(Duration::from_secs(30), self.inner.handler.stopped());
        stopped.await.expect("the host gives up within 30 seconds")
    }

    /// SIGKILL, without warning, whatever the handler is doing. Returns when the process is gone; requests that were
    /// under way end with 500, later ones with 503.
    pub async fn kill(&self) {
        self.inner.handler.kill().await;
    }

    /// Starts the handler anew on the same port, and waits until it is ready.
    pub async fn start_again(&self) {
        self.inner.handler.start_again().await;
        self.wait_ready().await;
    }

    pub fn state(&self) -> State {
        self.inner.handler.state()
    }

    pub fn app(&self) -> &App {
        &self.inner.app
    }

    /// Everything that the handler wrote, in the order in which it was read.
    pub fn lines(&self) -> Vec<Line> {
        self.inner.journal.lines()
    }

    pub fn stdout(&self) -> Vec<String> {
        self.inner.journal.of(Stream::Stdout)
    }

    pub fn stderr(&self) -> Vec<String> {
        self.inner.journal.of(Stream::Stderr)
    }

    /// Panics if the handler wrote to stderr, which the host logs as errors.
    #[track_caller]
    pub fn expect_silent_stderr(&self) {
        let stderr = self.stderr();
        assert!(
            stderr.is_empty(),
            "the handler wrote to stderr: {stderr:#?}"
        );
    }

    /// Waits for a line that contains the text, of stdout or stderr, also one written before.
    pub async fn wait_for_line(&self, text: &str) -> Line {
        let found = |journal: &Journal| {
            journal
                .lines()
                .into_iter()
                .find(|line| line.text.contains(text))
        };
        self.inner
            .journal
            .wait_for(&format!("the line `{text}`"), found)
            .await
    }

    /// Calls of functions that have ended, oldest first.
    pub fn invocations(&self) -> Vec<Invocation> {
        self.inner.journal.invocations()
    }

    /// Waits until so many calls of the function have ended; for a call whose client went away.
    pub async fn wait_for_invocations(&self, function: &str, count: usize) -> Vec<Invocation> {
        let found = |journal: &Journal| {
            let all = journal.invocations().into_iter();
            let of_function: Vec<_> = all
                .filter(|invocation| invocation.function == function)
                .collect();
            (of_function.len() >= count).then_some(of_function)
        };
        let what = format!("{count} invocations of {function}");
        self.inner.journal.wait_for(&what, found).await
    }

    /// What a real host would only show as calls that fail: exits of the handler, exceeded time limits.
    pub fn defects(&self) -> Vec<String> {
        self.inner.journal.defects()
    }

    /// How often the handler was started.
    pub fn starts(&self) -> usize {
        self.inner.journal.starts()
    }

    /// Waits until the handler was started so often, and is ready or beyond.
    pub async fn wait_for_starts(&self, count: usize) {
        let found = |journal: &Journal| (journal.starts() >= count).then_some(());
        self.inner
            .journal
            .wait_for(&format!("start {count}"), found)
            .await;
        self.wait_ready().await;
    }

    /// How often the handler has answered a later GET /.
    pub fn pings(&self) -> usize {
        self.inner.journal.pings()
    }

    /// Waits for so many further answers to GET /.
    pub async fn wait_for_pings(&self, count: usize) {
        let goal = self.pings() + count;
        let found = |journal: &Journal| (journal.pings() >= goal).then_some(());
        self.inner.journal.wait_for("answers to GET /", found).await;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let journal = &self.inner.journal;
        eprintln!(
            "--- the host was {:?}, its handler started {} times",
            self.state(),
            journal.starts()
        );
        for (function, reason) in &self.inner.app.errors {
            eprintln!("--- function `{function}` was not indexed: {reason}");
        }
        for defect in journal.defects() {
            eprintln!("--- defect: {defect}");
        }
        for invocation in journal.invocations() {
            if invocation.outcome != Outcome::Succeeded {
                eprintln!(
                    "--- invocation of {}: {:?}",
                    invocation.function, invocation.outcome
                );
            }
        }
        eprintln!("--- the handler wrote:");
        for line in journal.lines() {
            eprintln!("{:<11} {}", line.level(), line.text);
        }
    }
}

/// Health pings come between and during requests for as long as the handler lives.
async fn keep_pinging(inner: Arc<Inner>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        if inner.handler.state() == State::Ready && handler::ping(inner.handler.port).await.is_ok()
        {
            inner.journal.pinged();
        }
    }
}
