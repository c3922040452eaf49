//! The handler's process: start, readiness, the rules for starting it again, and its sudden end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use super::client::AbortOnDrop;
use super::journal::{Journal, Stream};
use super::wire;

/// Errors that lie further apart do not add up.
const ERROR_WINDOW: Duration = Duration::from_secs(30 * 60);

/// Everything that one start of the handler needs.
#[derive(Debug)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, String>,
    pub port: u16,
    pub ready_limit: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Invocations wait.
    Starting,
    Ready,
    /// By the test; invocations are refused until it starts the handler again.
    Killed,
    /// The host gave up, for this reason.
    Stopped(String),
}

/// The handler as the rest of the double sees it.
pub struct Handler {
    pub port: u16,
    state: watch::Receiver<State>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    /// Keeps the state of an attached handler alive.
    _attached: Option<watch::Sender<State>>,
}

enum Order {
    Kill(oneshot::Sender<()>),
    Start(oneshot::Sender<()>),
    /// An invocation took longer than functionTimeout.
    Replace,
}

enum Ending {
    CannotStart(String),
    Exited(i32),
    NotReady,
    Killed(oneshot::Sender<()>),
    Replaced,
    HostIsGone,
}

impl Handler {
    /// A handler that runs already and that the double does not own.
    pub fn attached(port: u16) -> Self {
        let (sender, state) = watch::channel(State::Ready);
        Self {
            port,
            state,
            orders: None,
            _attached: Some(sender),
        }
    }

    /// Starts the handler in the background; the task ends it when it is dropped.
    pub fn launch(launch: Launch, journal: Arc<Journal>) -> (Self, AbortOnDrop) {
        let (sender, state) = watch::channel(State::Starting);
        let (orders, received) = mpsc::unbounded_channel();
        let port = launch.port;
        let task = tokio::spawn(supervise(launch, journal, sender, received));
        let handler = Self {
            port,
            state,
            orders: Some(orders),
            _attached: None,
        };
        (handler, AbortOnDrop(task))
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits while the handler starts; an error says why it never will be ready.
    pub async fn ready(&self) -> Result<(), String> {
        let mut state = self.state.clone();
        let state = state.wait_for(|state| *state != State::Starting).await;
        match state.as_deref() {
            Ok(State::Ready) => Ok(()),
            Ok(State::Killed) => Err("the handler was killed by the test".to_owned()),
            Ok(State::Stopped(reason)) => Err(reason.clone()),
            Ok(State::Starting) | Err(_) => Err("the host is gone".to_owned()),
        }
    }

    /// Waits until the host gave up, and says why.
    pub async fn stopped(&self) -> String {
        let mut state = self.state.clone();
        let state = state
            .wait_for(|state| matches!(state, State::Stopped(_)))
            .await;
        match state.as_deref() {
            Ok(State::Stopped(reason)) => reason.clone(),
            _ => panic!("the host is gone"),
        }
    }

    pub async fn kill(&self) {
        self.order(Order::Kill).await;
    }

    pub async fn start_again(&self) {
        self.order(Order::Start).await;
    }

    pub fn replace(&self) {
        if let Some(orders) = &self.orders {
            // A supervisor that is gone has no handler to replace.
            let _ = orders.send(Order::Replace);
        }
    }

    async fn order(&self, order: fn(oneshot::Sender<()>) -> Order) {
        let orders = self
            .orders
            .as_ref()
            .expect("the double does not own this handler");
        let (done, is_done) = oneshot::channel();
        orders.send(order(done)).expect("the supervisor runs");
        is_done.await.expect("the supervisor answers");
    }
}

/// A free port outside the range from which the system takes ports for outgoing connections: between the check and the
/// handler's own bind nothing but another double could take it.
pub async fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    // Test files may run at the same time, each in a process of its own.
    let offset = (std::process::id().wrapping_mul(7_919) % u32::from(COUNT)) as u16;
    loop {
        let port = FIRST + (offset + NEXT.fetch_add(1, Ordering::SeqCst) % COUNT) % COUNT;
        if is_free(port) {
            return port;
        }
    }
}

/// Whether nobody listens at the port. It is bound and not listened at: a double of another process that waits for its
/// handler there would take a listener for it.
fn is_free(port: u16) -> bool {
    let Ok(socket) = tokio::net::TcpSocket::new_v4() else {
        return false;
    };
    // As the handler itself binds, so that even at the same moment neither keeps the other off.
    socket.set_reuseaddr(true).is_ok() && socket.bind(([127, 0, 0, 1], port).into()).is_ok()
}

/// One GET / as the host sends it, to see whether the handler is ready and now and then later.
pub async fn ping(port: u16) -> Result<u16, String> {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .map_err(|e| e.to_string())?;
    let request = Request::get("/")
        .header(HOST, format!("127.0.0.1:{port}"))
        .body(wire::full(""))
        .map_err(|e| e.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| wire::with_causes(&e))?;
    let _driver = AbortOnDrop(tokio::spawn(async move {
        // What goes wrong here shows in the answer.
        let _ = connection.await;
    }));
    let answer = sender
        .send_request(request)
        .await
        .map_err(|e| wire::with_causes(&e))?;
    let status = answer.status().as_u16();
    answer
        .into_body()
        .collect()
        .await
        .map_err(|e| wire::with_causes(&e))?;
    Ok(status)
}

/// Any answer means ready, whatever its status; so does garbage. Only a refused connection means "not yet".
async fn becomes_ready(port: u16, limit: Duration) -> bool {
    let began = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(_) => {
                // Accepted, but no answer in time: the probe of the host hangs as well.
                let rest = limit.saturating_sub(began.elapsed());
                return tokio::time::timeout(rest, ping(port)).await.is_ok();
            }
            Err(_) if began.elapsed() > limit => return false,
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

async fn supervise(
    launch: Launch,
    journal: Arc<Journal>,
    state: watch::Sender<State>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut errors: Vec<Instant> = Vec::new();
    loop {
        state.send_replace(State::Starting);
        let ending = one_life(&launch, &journal, &state, &mut orders).await;
        let (end, done) = match ending {
            Ending::HostIsGone => return,
            Ending::Replaced | Ending::Exited(200) => continue,
            Ending::Killed(done) => (State::Killed, Some(done)),
            Ending::CannotStart(reason) => (State::Stopped(reason), None),
            Ending::Exited(0) => {
                let reason = "the handler ended with exit code 0, which no host restarts reliably"
                    .to_owned();
                journal.defect(reason.clone());
                (State::Stopped(reason), None)
            }
            Ending::Exited(_) | Ending::NotReady => {
                let reason = match ending {
                    Ending::Exited(code) => format!("the handler exited with code {code}"),
                    _ => format!("the handler was not ready within {:?}", launch.ready_limit),
                };
                journal.defect(reason.clone());
                if errors
                    .last()
                    .is_some_and(|last| last.elapsed() > ERROR_WINDOW)
                {
                    errors.clear();
                }
                errors.push(Instant::now());
                if errors.len() < 3 {
                    continue;
                }
                let stderr = journal.of(Stream::Stderr);
                let last = stderr[stderr.len().saturating_sub(3)..].join("\n");
                let reason = format!("Exceeded http worker restart retry count: {reason}\n{last}");
                (State::Stopped(reason), None)
            }
        };
        state.send_replace(end);
        if let Some(done) = done {
            let _ = done.send(());
        }
        let started = loop {
            match orders.recv().await {
                Some(Order::Start(done)) => break done,
                Some(Order::Kill(done)) => drop(done.send(())),
                Some(Order::Replace) => {}
                None => return,
            }
        };
        // A new host counts anew.
        errors.clear();
        state.send_replace(State::Starting);
        let _ = started.send(());
    }
}

async fn one_life(
    launch: &Launch,
    journal: &Arc<Journal>,
    state: &watch::Sender<State>,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> Ending {
    let mut child = match spawn(launch) {
        Ok(child) => child,
        Err(e) => {
            let program = launch.program.display();
            return Ending::CannotStart(format!("the handler `{program}` cannot be started: {e}"));
        }
    };
    journal.started();
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let mut readers = [
        tokio::spawn(read_lines(stdout, Stream::Stdout, Arc::clone(journal))),
        tokio::spawn(read_lines(stderr, Stream::Stderr, Arc::clone(journal))),
    ];

    let readiness = becomes_ready(launch.port, launch.ready_limit);
    tokio::pin!(readiness);
    let mut is_waiting = true;
    let ending = loop {
        tokio::select! {
            // An exit is seen before what the port says: another process may hold that port.
            biased;
            status = child.wait() => break Ending::Exited(exit_code(status.expect("a child can be waited for"))),
            is_ready = &mut readiness, if is_waiting => {
                is_waiting = false;
                match is_ready {
                    true => drop(state.send_replace(State::Ready)),
                    false => break Ending::NotReady,
                }
            }
            order = orders.recv() => match order {
                Some(Order::Kill(done)) => break Ending::Killed(done),
                Some(Order::Start(done)) => drop(done.send(())),
                Some(Order::Replace) => break Ending::Replaced,
                None => break Ending::HostIsGone,
            },
        }
    };
    // What comes from here on waits for the next life, or for the end.
    state.send_replace(State::Starting);
    if !matches!(ending, Ending::Exited(_)) {
        // SIGKILL, no warning: that is how the host ends a handler.
        child.kill().await.expect("a child of ours can be killed");
    }
    for reader in &mut readers {
        // A grandchild may hold the pipe open; what it writes is lost to the journal.
        if tokio::time::timeout(Duration::from_secs(2), &mut *reader)
            .await
            .is_err()
        {
            reader.abort();
        }
    }
    ending
}

fn spawn(launch: &Launch) -> std::io::Result<Child> {
    let id = uuid::Uuid::new_v4().to_string();
    Command::new(&launch.program)
        .args(&launch.arguments)
        .current_dir(&launch.directory)
        .env_clear()
        .envs(&launch.environment)
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", launch.port.to_string())
        .env("FUNCTIONS_HTTPWORKER_PORT", launch.port.to_string())
        .env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &id)
        .env("FUNCTIONS_HTTPWORKER_ID", &id)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn read_lines(pipe: impl AsyncRead + Unpin, stream: Stream, journal: Arc<Journal>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        let text = String::from_utf8_lossy(&line)
            .trim_end_matches(['\r', '\n'])
            .to_owned();
        journal.write(stream, text);
        line.clear();
    }
}

/// As .NET reports it: a signal is 128 and its number.
fn exit_code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return 128 + signal;
    }
    status.code().unwrap_or(-1)
}
