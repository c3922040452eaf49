//! `enableForwardingHttpRequest`: the request is read, taken apart, rebuilt and sent; the answer is read and copied.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{HOST_AGENT, HOST_VERSION, payload, wire};

/// Headers that .NET files with the content; of these only length and type are sent on, and only with a body.
const CONTENT_HEADERS: [&str; 11] = [
    "allow",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "expires",
    "last-modified",
];

/// What .NET's `UrlEncoder` leaves as it is in a query.
const QUERY_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';')
    .remove(b'@');

/// What .NET's `Uri` leaves as it is in a path.
const PATH_SET: &AsciiSet = &QUERY_SET
    .remove(b'/')
    .remove(b':')
    .remove(b'=')
    .remove(b'&')
    .remove(b'+')
    .remove(b'\'')
    .remove(b'[')
    .remove(b']');

/// Builds the request that the handler gets. An error is one at which the host answers 500 without calling.
pub fn rebuilt(
    parts: &Parts,
    body: Bytes,
    port: u16,
    id: &str,
) -> Result<Request<wire::Body>, String> {
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        // The host attaches no content without a Content-Length, yet copies Transfer-Encoding, and its own client
        // refuses that combination.
        return Err(
            "'Transfer-Encoding' with no content: chunked requests cannot be forwarded".to_owned(),
        );
    }
    let mut uri = format!("http://127.0.0.1:{port}{}", rebuilt_path(parts.uri.path()));
    let query = rebuilt_query(parts.uri.query().unwrap_or_default());
    if !query.is_empty() {
        uri.push('?');
        uri.push_str(&query);
    }
    let mut request = Request::builder().method(parts.method.clone()).uri(uri);
    let headers = request
        .headers_mut()
        .ok_or("the rebuilt address is invalid")?;
    for name in parts.headers.keys() {
        if !CONTENT_HEADERS.contains(&name.as_str()) {
            headers.insert(name.clone(), in_one_line(&parts.headers, name)?);
        }
    }
    append(headers, "x-azure-functions-hostversion", HOST_VERSION, ", ")?;
    append(headers, "x-azure-functions-invocationid", id, ", ")?;
    append(headers, USER_AGENT.as_str(), HOST_AGENT, " ")?;
    if !headers.contains_key("traceparent") {
        append(headers, "traceparent", &payload::trace_parent(), ", ")?;
    }
    if !headers.contains_key(HOST) {
        append(headers, HOST.as_str(), &format!("127.0.0.1:{port}"), ", ")?;
    }
    if !body.is_empty() {
        headers.insert(CONTENT_LENGTH, body.len().into());
        if let Some(media) = parts.headers.get(CONTENT_TYPE) {
            if !is_media_type(media) {
                return Err(format!("the Content-Type {media:?} is invalid"));
            }
            headers.insert(CONTENT_TYPE, media.clone());
        }
    } else if ![
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
        Method::CONNECT,
    ]
    .contains(&parts.method)
    {
        headers.insert(CONTENT_LENGTH, 0.into());
    }
    request
        .body(wire::full(body))
        .map_err(|e| wire::with_causes(&e))
}

/// Calls the handler and reads its whole answer.
pub async fn call(
    caller: &wire::Caller,
    request: Request<wire::Body>,
) -> Result<Response<wire::Body>, String> {
    let answer = caller.request(request).await;
    let answer =
        answer.map_err(|e| format!("the handler did not answer: {}", wire::with_causes(&e)))?;
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await;
    let body = body.map_err(|e| format!("the answer broke off: {}", wire::with_causes(&e)))?;
    parts.headers.remove(TRANSFER_ENCODING);
    Ok(Response::from_parts(parts, wire::full(body.to_bytes())))
}

/// Decoded and encoded again: an encoded `?` or `#` cuts the path, a doubly encoded octet becomes a simple one, dot
/// segments go.
pub fn rebuilt_path(path: &str) -> String {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        match decoded_but_slashes(segment) {
            dot if dot == "." => {}
            dots if dots == ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let decoded = format!("/{}", segments.join("/"));
    let cut = decoded.split(['?', '#']).next().unwrap_or_default();
    encoded_keeping_escapes(cut)
}

/// `%2F` stays encoded when ASP.NET decodes a path.
fn decoded_but_slashes(segment: &str) -> String {
    let kept = segment.replace("%2F", "%252F").replace("%2f", "%252f");
    percent_decode_str(&kept).decode_utf8_lossy().into_owned()
}

/// .NET's `Uri` takes a `%` with two hex digits for an escape already made.
fn encoded_keeping_escapes(path: &str) -> String {
    let mut encoded = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        encoded.extend(utf8_percent_encode(&rest[..at], PATH_SET));
        let digits = rest.as_bytes().get(at + 1..at + 3);
        let is_escape = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        encoded.push_str(if is_escape { "%" } else { "%25" });
        rest = &rest[at + 1..];
    }
    encoded.extend(utf8_percent_encode(rest, PATH_SET));
    encoded
}

/// Rebuilt from the parsed map: repeated names become one with a comma, blanks become `%20`, `flag` becomes `flag=`.
pub fn rebuilt_query(query: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY_SET).to_string();
    let pairs = wire::parse_query(query).into_iter();
    let pairs =
        pairs.map(|(name, values)| format!("{}={}", encode(&name), encode(&values.join(","))));
    pairs.collect::<Vec<_>>().join("&")
}

/// .NET's client writes repeated headers in one line.
fn in_one_line(headers: &HeaderMap, name: &HeaderName) -> Result<HeaderValue, String> {
    let separator: &[u8] = match name {
        name if name == USER_AGENT => b" ",
        name if name == COOKIE => b"; ",
        _ => b", ",
    };
    let values: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    HeaderValue::from_bytes(&values.join(separator)).map_err(|e| format!("the header {name}: {e}"))
}

/// Beside what the client sent under that name, never instead of it.
fn append(
    headers: &mut HeaderMap,
    name: &'static str,
    value: &str,
    separator: &str,
) -> Result<(), String> {
    let mut line = match headers.get(name) {
        Some(theirs) => [theirs.as_bytes(), separator.as_bytes()].concat(),
        None => Vec::new(),
    };
    line.extend_from_slice(value.as_bytes());
    let line = HeaderValue::from_bytes(&line).map_err(|e| format!("the header {name}: {e}"))?;
    headers.insert(name, line);
    Ok(())
}

fn is_media_type(value: &HeaderValue) -> bool {
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}
