//! HTTP pieces that every mode of the double uses.

use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};
use percent_encoding::percent_decode_str;

pub type BodyError = Box<dyn Error + Send + Sync>;

pub type Body = BoxBody<Bytes, BodyError>;

/// The client that calls the handler: connections are kept and used again, as the host does.
pub type Caller =
    hyper_util::client::legacy::Client<hyper_util::client::legacy::connect::HttpConnector, Body>;

pub fn caller() -> Caller {
    hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        // Forwarding sends the Host of the client's request, not that of the address.
        .set_host(false)
        .build_http()
}

/// A body with a Content-Length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body without a Content-Length: sent chunked, in several pieces.
pub fn chunked(bytes: &Bytes) -> Body {
    let piece = (bytes.len() / 3).max(1);
    let frames: Vec<Result<Frame<Bytes>, BodyError>> = bytes
        .chunks(piece)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

/// An answer of the double itself.
pub fn own_answer(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A query as ASP.NET parses it: `+` is a blank, a name without `=` has an empty value, names meet without regard to
/// case (the first spelling stays), values keep their order.
pub fn parse_query(query: &str) -> Vec<(String, Vec<String>)> {
    let mut map: Vec<(String, Vec<String>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        match map
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(&name))
        {
            Some((_, values)) => values.push(value),
            None => map.push((name, vec![value])),
        }
    }
    map
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// An error with its causes, which is where hyper keeps what really happened.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
