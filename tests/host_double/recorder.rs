//! A handler inside the test that writes down what the double sends it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    /// Path and query as they stood on the request line.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    /// Every line of a header.
    pub fn lines(&self, name: &str) -> Vec<&str> {
        let lines = self.headers.get_all(name).iter();
        lines
            .map(|line| line.to_str().expect("the tests send text"))
            .collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

type Answering = dyn Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync;

pub struct Recorder {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    _connections: JoinSet<()>,
}

struct Inner {
    recorded: Mutex<Vec<Recorded>>,
    /// One permit a recorded request.
    arrivals: Semaphore,
    /// One permit an answer.
    answers: Semaphore,
    /// One permit a request whose caller went away before the answer.
    losses: Semaphore,
    answering: Box<Answering>,
}

/// A loss if it is dropped before the answer went out.
struct Watch(Option<Arc<Inner>>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            inner.losses.add_permits(1);
        }
    }
}

impl Recorder {
    /// Answers everything with 200 and this JSON.
    pub async fn answering_json(text: &'static str) -> Self {
        Self::answering(move |_| {
            let response = Response::builder().header("content-type", "application/json");
            response.body(Full::from(text)).expect("a valid answer")
        })
        .await
    }

    pub async fn answering(
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::start(answering, Semaphore::MAX_PERMITS).await
    }

    /// Answers nothing until the test says so.
    pub async fn holding(
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::start(answering, 0).await
    }

    async fn start(
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
        answers: usize,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let inner = Arc::new(Inner {
            recorded: Mutex::default(),
            arrivals: Semaphore::new(0),
            answers: Semaphore::new(answers),
            losses: Semaphore::new(0),
            answering: Box::new(answering),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&inner)));
        Self {
            address,
            inner,
            _connections: tasks,
        }
    }

    pub fn answer_one(&self) {
        self.inner.answers.add_permits(1);
    }

    /// Waits for a request to arrive.
    pub async fn arrival(&self) {
        self.inner
            .arrivals
            .acquire()
            .await
            .expect("never closed")
            .forget();
    }

    /// Waits until a caller has gone away before its answer.
    pub async fn loss(&self) {
        self.inner
            .losses
            .acquire()
            .await
            .expect("never closed")
            .forget();
    }

    /// All requests so far, the pings of the host left out.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.inner
            .recorded
            .lock()
            .expect("no holder panics")
            .clone()
    }

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Recorded {
        let recorded = self.recorded();
        assert_eq!(recorded.len(), 1, "{recorded:#?}");
        recorded[0].clone()
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&inner), request));
            // Callers that go away are part of the tests.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    inner: Arc<Inner>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.uri() == "/" {
        return Ok(Response::new(Full::default()));
    }
    let (parts, body) = request.into_parts();
    let recorded = Recorded {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    };
    inner
        .recorded
        .lock()
        .expect("no holder panics")
        .push(recorded.clone());
    inner.arrivals.add_permits(1);
    let mut watch = Watch(Some(Arc::clone(&inner)));
    inner
        .answers
        .acquire()
        .await
        .expect("never closed")
        .forget();
    watch.0 = None;
    Ok((inner.answering)(&recorded))
}
