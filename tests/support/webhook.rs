//! A receiver of announcements, as a chat's webhook is one, on a port of this machine.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a receiver does with a request; it keeps the message in any case.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Status(u16),
    /// 429, with seconds in `Retry-After`.
    Busy(u64),
    /// A redirect to another path of the receiver.
    Elsewhere,
    /// Nothing, ever.
    Silence,
}

/// Part of the address that must show nowhere.
pub const SECRET: &str = "hush-6f1c";

/// Longer than anything here takes, on a slow machine too.
const LIMIT: Duration = Duration::from_secs(90);

pub struct Webhook {
    port: u16,
    inner: Arc<Inner>,
    // Ends when it goes.
    _serving: JoinSet<()>,
}

struct Inner {
    /// What to reply next; then 200.
    replies: Mutex<VecDeque<Reply>>,
    received: watch::Sender<Vec<Value>>,
}

impl Webhook {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::replying(&[]).await
    }

    /// Replies so to the first requests, and takes everything afterwards.
    pub async fn replying(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner {
            replies: Mutex::new(replies.iter().copied().collect()),
            received: watch::Sender::new(Vec::new()),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&inner)));
        Self {
            port,
            inner,
            _serving: serving,
        }
    }

    /// Its address, which is a secret.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{SECRET}?sig={SECRET}", self.port)
    }

    /// Replies so from now on, then takes everything.
    pub fn reply_next(&self, replies: &[Reply]) {
        *self.inner.replies.lock().expect("nobody panics here") = replies.iter().copied().collect();
    }

    /// Everything that came, whatever was replied.
    pub fn received(&self) -> Vec<Value> {
        self.inner.received.borrow().clone()
    }

    /// Waits until so many messages have come.
    pub async fn wait_for(&self, count: usize) -> Vec<Value> {
        let mut received = self.inner.received.subscribe();
        let waited = received.wait_for(|received| received.len() >= count);
        let come = tokio::time::timeout(LIMIT, waited).await;
        come.unwrap_or_else(|_| panic!("{count} messages did not come: {:#?}", self.received()))
            .expect("the receiver lives")
            .clone()
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&inner), request));
            // A sender that goes away is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<String>, Infallible> {
    let method = request.method().clone();
    let media = request.headers().get("content-type").cloned();
    let bytes = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    let body: Value = serde_json::from_slice(&bytes.unwrap_or_default())
        .unwrap_or_else(|error| panic!("{method} without JSON: {error}"));
    assert_eq!(
        media.as_ref().and_then(|media| media.to_str().ok()),
        Some("application/json; charset=utf-8")
    );
    let reply = inner
        .replies
        .lock()
        .expect("nobody panics here")
        .pop_front();
    inner.received.send_modify(|received| received.push(body));
    let mut response = Response::new(String::new());
    match reply.unwrap_or(Reply::Status(200)) {
        Reply::Status(status) => *response.status_mut() = status_of(status),
        Reply::Busy(seconds) => {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            let seconds = seconds.to_string().parse().expect("a header");
            response.headers_mut().insert("retry-after", seconds);
        }
        Reply::Elsewhere => {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            let path = "/elsewhere".parse().expect("a header");
            response.headers_mut().insert("location", path);
        }
        Reply::Silence => std::future::pending().await,
    }
    Ok(response)
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}
