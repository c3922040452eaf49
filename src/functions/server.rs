//! The HTTP server: turns what warp receives into a request, and an answer into what warp sends.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::net::TcpListener;
use warp::Filter;
use warp::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::App;
use super::answer::Answer;
use super::front;
use super::request::{Body, Request, parse_query};

/// As much of a body that is too large is read and dropped, in bytes: a caller that is still sending does not see an
/// answer.
const MAX_DRAINED: usize = 32 * 1024 * 1024;
/// How long requests may go on once the process was told to end.
const GRACE: Duration = Duration::from_secs(5);

/// A port that is ours.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// Takes a port of this machine's loopback interface: only the host on the same machine may call.
///
/// # Errors
///
/// When the port is in use or not allowed.
pub async fn listen(port: u16) -> io::Result<Listener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .map(Listener)
}

impl Listener {
    /// Serves requests until `end` completes; those in progress then have a few seconds to finish.
    pub async fn serve(self, app: App, end: impl Future<Output = ()>) {
        let (told, hear) = tokio::sync::oneshot::channel::<()>();
        let told_to_end = async {
            // The sender is never dropped before it sends, and if it were, there would be nobody left to serve for.
            let _ = hear.await;
        };
        let server = warp::serve(filter(Arc::new(app)))
            .incoming(self.0)
            .graceful(told_to_end)
            .run();
        let mut server = pin!(server);
        tokio::select! {
            () = &mut server => return,
            () = end => {}
        }
        let _ = told.send(());
        if tokio::time::timeout(GRACE, server).await.is_err() {
            tracing::warn!("requests were cut off at the end");
        }
    }
}

/// One filter for everything: warp's own rejections would answer in other forms than the contract's.
fn filter(
    app: Arc<App>,
) -> impl Filter<Extract = (Response<String>,), Error = warp::Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::any()
        .map(move || Arc::clone(&app))
        .and(warp::method())
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            |app,
             method: Method,
             path: warp::path::FullPath,
             query: String,
             headers: HeaderMap,
             body| async move {
                let limit = front::body_limit(method.as_str(), path.as_str());
                let request = Request {
                    method: method.as_str().to_owned(),
                    path: path.as_str().to_owned(),
                    query: parse_query(&query),
                    headers,
                    body: collect(body, limit).await,
                };
                response(front::answer(app, request).await)
            },
        )
}

/// Reads a body up to `limit` bytes, whether its length was said before or not.
async fn collect<B: Buf, E>(body: impl Stream<Item = Result<B, E>>, limit: usize) -> Body {
    let mut body = pin!(body);
    let mut kept = BytesMut::new();
    let mut length = 0_usize;
    while let Some(part) = body.next().await {
        let Ok(mut part) = part else {
            return Body::Broken;
        };
        length = length.saturating_add(part.remaining());
        if length > MAX_DRAINED {
            break;
        }
        if length > limit {
            kept = BytesMut::new();
            continue;
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            let taken = chunk.len();
            kept.extend_from_slice(chunk);
            part.advance(taken);
        }
    }
    if length > limit {
        Body::TooLarge
    } else {
        Body::Whole(kept.freeze())
    }
}

fn response(answer: Answer) -> Response<String> {
    let status = answer.status();
    let headers: Vec<_> = answer.headers().to_vec();
    let mut response = Response::new(answer.into_body());
    *response.status_mut() = status;
    for (name, value) in headers {
        match HeaderValue::try_from(value) {
            Ok(value) => {
                response.headers_mut().insert(name, value);
            }
            // No header is made of what callers send without its being checked or encoded.
            Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;
    use crate::functions::request::MAX_BODY;

    async fn collected(parts: usize, size: usize) -> Body {
        let part = Bytes::from(vec![b'x'; size]);
        collect(
            stream::iter((0..parts).map(|_| Ok::<_, Infallible>(part.clone()))),
            MAX_BODY,
        )
        .await
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_the_limit() {
        assert!(matches!(collected(0, 0).await, Body::Whole(body) if body.is_empty()));
        assert!(
            matches!(collected(10, 1024 * 1024).await, Body::Whole(body) if body.len() == MAX_BODY)
        );
        assert!(matches!(collected(1, MAX_BODY + 1).await, Body::TooLarge));
        assert!(matches!(collected(32, 1024 * 1024).await, Body::TooLarge));
    }

    #[tokio::test]
    async fn what_never_ends_is_not_read_for_ever() {
        let endless =
            stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1024 * 1024])));
        assert!(matches!(collect(endless, MAX_BODY).await, Body::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let parts = stream::iter([Ok(Bytes::from_static(b"{")), Err("reset")]);
        assert!(matches!(collect(parts, MAX_BODY).await, Body::Broken));
    }
}
