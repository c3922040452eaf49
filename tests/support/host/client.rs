//! The client of a test: requests in one line, answers that say what they were when an expectation fails.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::wire;
use crate::support::contract;

/// Talks to one address; every request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    answering: Answering,
}

/// Who answers, and so what is expected of every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Some program of a test: nothing.
    Anybody,
    /// A dbvc behind a host, which answers by itself now and then: what dbvc answers is held against its description.
    HostAndDbvc,
    /// A dbvc and nobody else.
    Dbvc,
}

/// Ends its task when it is dropped.
pub struct AbortOnDrop(pub JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    pub fn new(address: SocketAddr, answering: Answering) -> Self {
        Self { address, answering }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.request("POST", path).json(&body).send().await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.request("PUT", path).json(&body).send().await
    }

    #[track_caller]
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        assert!(path.starts_with('/'), "a path begins with a slash: {path}");
        RequestBuilder {
            address: self.address,
            answering: self.answering,
            method: method.parse().expect("a method is a token"),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            is_chunked: false,
        }
    }
}

/// A request that is being written down.
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    address: SocketAddr,
    answering: Answering,
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    is_chunked: bool,
}

impl RequestBuilder {
    /// A header called twice is sent twice.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.parse().expect("a header name is a token");
        let value =
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value has no line break");
        self.headers.push((name, value));
        self
    }

    /// The access key, for a host that asks for one.
    pub fn key(self, key: &str) -> Self {
        self.header("x-functions-key", key)
    }

    /// A body with its Content-Length; the Content-Type is the caller's to add.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
            .header("content-type", "application/json")
    }

    /// Sends the body without a Content-Length.
    pub fn chunked(mut self) -> Self {
        self.is_chunked = true;
        self
    }

    /// Panics if there is no answer, or one of dbvc that is not as described. Dropping the future hangs up.
    pub async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        match self.try_send().await {
            Ok(answer) => answer,
            Err(reason) => panic!("{what} got no answer: {reason}"),
        }
    }

    /// An error is a connection that was refused or that broke before the answer was complete.
    pub async fn try_send(self) -> Result<Answer, String> {
        let what = format!("{} {}", self.method, self.path);
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|e| e.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| wire::with_causes(&e))?;
        let _driver = AbortOnDrop(tokio::spawn(async move {
            // What goes wrong here shows in the answer, which the sender waits for.
            let _ = connection.await;
        }));
        let body = match self.is_chunked {
            true => wire::chunked(&self.body),
            false => wire::full(self.body.clone()),
        };
        let mut request = Request::new(body);
        *request.uri_mut() = self
            .path
            .parse()
            .map_err(|e| format!("the path {}: {e}", self.path))?;
        request.headers_mut().extend(self.lines());
        let sent = contract::Sent {
            method: self.method.to_string(),
            target: self.path,
            body: self.body,
        };
        *request.method_mut() = self.method;
        let answer = sender.send_request(request).await;
        let (parts, body) = answer.map_err(|e| wire::with_causes(&e))?.into_parts();
        let bytes = body
            .collect()
            .await
            .map_err(|e| wire::with_causes(&e))?
            .to_bytes();
        let answer = Answer::new(what, parts.status.as_u16(), parts.headers, bytes);
        if self.answering == Answering::Dbvc
            || (self.answering == Answering::HostAndDbvc && !answer.is_of_the_host())
        {
            contract::expect_described(&sent, &answer);
        }
        Ok(answer)
    }

    /// Sends the whole request and returns without waiting for the answer, so that a test can hang up.
    pub async fn begin(self) -> Interrupted {
        let all = self.body.len();
        self.begin_with(all).await
    }

    /// Sends the head, which promises the whole body, and only the first bytes of it.
    pub async fn begin_with(self, bytes_of_body: usize) -> Interrupted {
        assert!(
            !self.is_chunked,
            "an interrupted request promises its length"
        );
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        let mut lines = self.lines();
        if !self.body.is_empty() {
            lines.insert(CONTENT_LENGTH, self.body.len().into());
        }
        for (name, value) in &lines {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(&self.body[..bytes_of_body]);
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("the address listens");
        stream
            .write_all(&head)
            .await
            .expect("a request can be written");
        Interrupted { stream }
    }

    fn lines(&self) -> HeaderMap {
        let mut lines = HeaderMap::new();
        for (name, value) in &self.headers {
            lines.append(name, value.clone());
        }
        if !lines.contains_key(HOST) {
            let host = self
                .address
                .to_string()
                .parse()
                .expect("an address is a header value");
            lines.insert(HOST, host);
        }
        if !lines.contains_key(CONNECTION) {
            lines.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        lines
    }
}

/// A request that was sent, wholly or in part, and whose answer nobody will read.
pub struct Interrupted {
    stream: TcpStream,
}

impl Interrupted {
    /// The client goes away.
    pub fn hang_up(self) {
        drop(self.stream);
    }
}

/// What a client got.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The parsed JSON when the answer says that it is JSON, else its text; null when it is empty.
    pub body: Value,
    pub bytes: Bytes,
    request: String,
}

impl Answer {
    fn new(request: String, status: u16, headers: HeaderMap, bytes: Bytes) -> Self {
        let media = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = media
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        let is_json = essence == "application/json" || essence.ends_with("+json");
        let body = match serde_json::from_slice(&bytes) {
            Ok(json) if is_json => json,
            _ if bytes.is_empty() => Value::Null,
            _ => String::from_utf8_lossy(&bytes).into(),
        };
        Self {
            status,
            headers,
            body,
            bytes,
            request,
        }
    }

    /// Whether the double answered by itself. It does so in plain text, which dbvc does nowhere, and knows no request id.
    fn is_of_the_host(&self) -> bool {
        let is_plain = self
            .header(CONTENT_TYPE.as_str())
            .is_some_and(|media| media.starts_with("text/plain"));
        is_plain && !self.headers.contains_key("x-request-id")
    }

    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{} was answered {}",
            self.request,
            self.text()
        );
        self
    }

    /// A header's value; several lines of it are joined by a comma.
    pub fn header(&self, name: &str) -> Option<String> {
        let lines: Vec<_> = self.headers.get_all(name).iter().collect();
        let texts = lines
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()));
        (!lines.is_empty()).then(|| texts.collect::<Vec<_>>().join(", "))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
