//! `enableProxyingHttpRequest`: the request passes through as it came, streamed in both directions.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::client::AbortOnDrop;
use super::{HOST_VERSION, payload, wire};

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Sends the request on. When the client goes away the caller drops this, and with it the handler's connection.
pub async fn call(
    parts: Parts,
    body: Incoming,
    client: SocketAddr,
    port: u16,
    id: &str,
) -> Result<Response<wire::Body>, String> {
    let mut request = Request::from_parts(parts, body.map_err(wire::BodyError::from).boxed());
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    *request.uri_mut() = target
        .parse()
        .map_err(|e| format!("the address {target}: {e}"))?;
    let headers = request.headers_mut();
    let original = headers.get(HOST).cloned();
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    set(headers, HOST, &format!("127.0.0.1:{port}"))?;
    match original {
        Some(host) => headers.insert("x-forwarded-host", host),
        None => headers.remove("x-forwarded-host"),
    };
    set(
        headers,
        HeaderName::from_static("x-forwarded-for"),
        &client.ip().to_string(),
    )?;
    set(
        headers,
        HeaderName::from_static("x-forwarded-proto"),
        "http",
    )?;
    set(
        headers,
        HeaderName::from_static("x-azure-functions-hostversion"),
        HOST_VERSION,
    )?;
    set(
        headers,
        HeaderName::from_static("x-azure-functions-invocationid"),
        id,
    )?;
    set(headers, HeaderName::from_static("x-ms-invocation-id"), id)?;
    if !headers.contains_key("traceparent") {
        set(
            headers,
            HeaderName::from_static("traceparent"),
            &payload::trace_parent(),
        )?;
    }

    let stream = connect(port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| wire::with_causes(&e))?;
    let driver = AbortOnDrop(tokio::spawn(async move {
        // What goes wrong here shows in the answer, which the sender waits for.
        let _ = connection.await;
    }));
    let answer = sender.send_request(request).await;
    let answer =
        answer.map_err(|e| format!("the handler did not answer: {}", wire::with_causes(&e)))?;
    let (mut parts, body) = answer.into_parts();
    for name in HOP_BY_HOP {
        parts.headers.remove(name);
    }
    let body = body.map_err(wire::BodyError::from);
    // The connection lives as long as the body that comes over it.
    let body = body.map_frame(move |frame| {
        let _ = &driver;
        frame
    });
    Ok(Response::from_parts(parts, body.boxed()))
}

/// Up to ten more tries, 50 to 250 ms apart: the handler may be about to start again.
async fn connect(port: u16) -> Result<TcpStream, String> {
    let mut tries = 0;
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(stream) => return Ok(stream),
            Err(e) if tries == 10 => return Err(format!("the handler cannot be reached: {e}")),
            Err(_) => {
                tokio::time::sleep(Duration::from_millis((50 << tries.min(3)).min(250))).await
            }
        }
        tries += 1;
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), String> {
    let value: HeaderValue = value
        .parse()
        .map_err(|e| format!("the header {name}: {e}"))?;
    headers.insert(name, value);
    Ok(())
}
