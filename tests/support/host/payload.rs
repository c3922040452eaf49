//! Payload mode: the envelope of Data and Metadata that the host posts, and the rules for the handler's answer.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Request, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::journal::{Invocation, Outcome};
use super::timer::TimerShape;
use super::{HOST_AGENT, HOST_VERSION, wire};

/// How the envelope travels: chunked in Azure, probably with a Content-Length under Core Tools. A handler takes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    ContentLength,
}

impl Framing {
    pub const BOTH: [Self; 2] = [Self::Chunked, Self::ContentLength];
}

pub fn timer_envelope(function: &str, binding: &str, shape: TimerShape) -> Value {
    json!({ "Data": { binding: shape.data() }, "Metadata": { "sys": sys(function) } })
}

/// An HTTP request as the envelope carries it.
pub struct HttpCall<'a> {
    pub binding: &'a str,
    pub method: &'a str,
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    pub params: &'a [(String, String)],
    pub body: &'a Bytes,
}

pub fn http_envelope(function: &str, call: &HttpCall<'_>) -> Value {
    let host = text_of(call.headers, HOST.as_str()).unwrap_or("localhost".to_owned());
    let (_, query) = call
        .path_and_query
        .split_once('?')
        .unwrap_or((call.path_and_query, ""));
    let query: Map<String, Value> = wire::parse_query(query)
        .into_iter()
        .map(|(name, values)| (name, Value::String(values.join(","))))
        .collect();
    let mut headers = Map::new();
    for name in call.headers.keys() {
        let values = call.headers.get_all(name).iter();
        headers.insert(header_name(name.as_str()), values.map(lossy).collect());
    }
    let params: Map<String, Value> = call
        .params
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    let mut request = json!({
        "Url": format!("http://{host}{}", call.path_and_query),
        "Method": call.method,
        "Query": query,
        "Headers": headers,
        "Params": params,
        "Identities": [{
            "AuthenticationType": null, "IsAuthenticated": false, "Actor": null, "BootstrapContext": null,
            "Claims": [], "Label": null, "Name": null,
            "NameClaimType": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
            "RoleClaimType": "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
        }],
    });
    let binary = text_of(call.headers, CONTENT_TYPE.as_str()).is_some_and(|media| {
        let media = media.to_ascii_lowercase();
        media.starts_with("application/octet-stream") || media.starts_with("multipart/")
    });
    if !call.body.is_empty() {
        request["Body"] = match binary {
            true => base64(call.body).into(),
            false => String::from_utf8_lossy(call.body).into(),
        };
    }

    let mut metadata = Map::new();
    if let Ok(Value::Object(fields)) = serde_json::from_slice(call.body) {
        metadata.extend(
            fields
                .into_iter()
                .map(|(name, value)| (name, once_more(value))),
        );
    }
    for values in [&query, &params] {
        metadata.extend(
            values
                .iter()
                .map(|(name, value)| (name.clone(), once_more(value.clone()))),
        );
    }
    metadata.retain(|name, _| !name.to_ascii_lowercase().ends_with("trigger"));
    metadata.insert("Query".to_owned(), query.into());
    metadata.insert("Headers".to_owned(), request["Headers"].clone());
    metadata.insert("sys".to_owned(), sys(function));
    json!({ "Data": { call.binding: request }, "Metadata": metadata })
}

/// An object stays one; everything else is serialised once more into a text.
fn once_more(value: Value) -> Value {
    match value {
        Value::Object(_) => value,
        other => Value::String(other.to_string()),
    }
}

fn sys(function: &str) -> Value {
    json!({
        "MethodName": function,
        "UtcNow": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        "RandGuid": uuid::Uuid::new_v4().to_string(),
    })
}

/// Posts the envelope and judges the answer.
pub async fn invoke(
    caller: &wire::Caller,
    port: u16,
    function: &str,
    id: &str,
    envelope: &Value,
    framing: Framing,
) -> Invocation {
    let (outcome, answer) = match post(caller, port, function, id, envelope, framing).await {
        Ok(response) => judge(response).await,
        Err(reason) => (Outcome::Failed(reason), Value::Null),
    };
    let logs = match outcome {
        Outcome::Succeeded => field(&answer, "Logs").map(texts).unwrap_or_default(),
        _ => Vec::new(),
    };
    Invocation {
        function: function.to_owned(),
        id: id.to_owned(),
        outcome,
        logs,
        answer,
    }
}

async fn post(
    caller: &wire::Caller,
    port: u16,
    function: &str,
    id: &str,
    envelope: &Value,
    framing: Framing,
) -> Result<Response<hyper::body::Incoming>, String> {
    let bytes = Bytes::from(envelope.to_string());
    let mut request = Request::post(format!("http://127.0.0.1:{port}/{function}"))
        .header(HOST, format!("127.0.0.1:{port}"))
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, HOST_AGENT)
        .header("X-Azure-Functions-HostVersion", HOST_VERSION)
        .header("X-Azure-Functions-InvocationId", id)
        .header("traceparent", trace_parent());
    let body = match framing {
        Framing::Chunked => wire::chunked(&bytes),
        Framing::ContentLength => {
            request = request.header(CONTENT_LENGTH, bytes.len());
            wire::full(bytes)
        }
    };
    let request = request.body(body).map_err(|e| wire::with_causes(&e))?;
    let answer = caller.request(request).await;
    answer.map_err(|e| format!("the handler did not answer: {}", wire::with_causes(&e)))
}

/// The rules of the host for an answer; the second value is the object, if there is one.
async fn judge(response: Response<hyper::body::Incoming>) -> (Outcome, Value) {
    let status = response.status();
    let media = text_of(response.headers(), CONTENT_TYPE.as_str());
    let body = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) => {
            let reason = format!("the answer broke off: {}", wire::with_causes(&e));
            return (Outcome::Failed(reason), Value::Null);
        }
    };
    let text = String::from_utf8_lossy(&body);
    let failed = |reason: String| {
        (
            Outcome::Failed(format!("{reason}; the answer was {status} {text}")),
            Value::Null,
        )
    };
    let hang = |reason: &str| {
        (
            Outcome::WouldHang(format!("{reason} (status {status})")),
            Value::Null,
        )
    };
    if !status.is_success() {
        return failed("Response status code does not indicate success".to_owned());
    }
    if body.is_empty() {
        return hang("the answer has no body");
    }
    let essence = media
        .as_deref()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if !["application/json", "text/json"].contains(&essence.trim().to_ascii_lowercase().as_str()) {
        return failed(format!(
            "No MediaTypeFormatter is available for media type {media:?}"
        ));
    }
    let answer: Value = match serde_json::from_slice(&body) {
        Ok(Value::Null) => return hang("the answer is null"),
        Ok(answer) => answer,
        Err(e) => return failed(format!("the answer is not JSON ({e})")),
    };
    if !answer.is_object() {
        return failed("the answer is not an object".to_owned());
    }
    if field(&answer, "Outputs").is_some_and(|outputs| !outputs.is_object()) {
        return failed("Outputs is not an object".to_owned());
    }
    let all_texts = |logs: &Value| {
        logs.as_array()
            .is_some_and(|logs| logs.iter().all(Value::is_string))
    };
    if field(&answer, "Logs").is_some_and(|logs| !all_texts(logs)) {
        return failed("Logs is not an array of texts".to_owned());
    }
    (Outcome::Succeeded, answer)
}

/// The answer of an HTTP function from `Outputs.<output>`, or from ReturnValue when the output is `$return`.
pub fn http_answer(answer: &Value, output: Option<&str>) -> Result<Response<wire::Body>, String> {
    let value = match output {
        None => None,
        Some("$return") => field(answer, "ReturnValue"),
        Some(name) => field(answer, "Outputs").and_then(|outputs| outputs.get(name)),
    };
    let empty = json!({});
    let value = value.unwrap_or(&empty);
    if !value.is_object() {
        return Err(format!("the http output is not an object: {value}"));
    }
    let status = match field(value, "statusCode") {
        None => Some(200),
        Some(Value::Number(number)) => number
            .as_u64()
            .and_then(|number| u16::try_from(number).ok()),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let status = status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| format!("the statusCode of the http output is invalid: {value}"))?;
    let (body, media) = match field(value, "body") {
        None => (String::new(), None),
        Some(Value::String(text)) => (text.clone(), Some("text/plain; charset=utf-8")),
        Some(json) => (json.to_string(), Some("application/json; charset=utf-8")),
    };
    let mut response = Response::new(wire::full(body));
    *response.status_mut() = status;
    if let Some(media) = media {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    }
    if let Some(headers) = field(value, "headers") {
        let headers = headers
            .as_object()
            .ok_or("headers of the http output is not an object")?;
        for (name, value) in headers {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let name: HeaderName = name
                .parse()
                .map_err(|e| format!("the header name `{name}`: {e}"))?;
            let text: HeaderValue = text
                .parse()
                .map_err(|e| format!("the header {name}: {e}"))?;
            response.headers_mut().insert(name, text);
        }
    }
    Ok(response)
}

/// A field that is there and not null, without regard to case, as the host reads them.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let fields = object.as_object()?.iter();
    let mut found = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    found
        .next()
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn lossy(value: &HeaderValue) -> Value {
    String::from_utf8_lossy(value.as_bytes()).into()
}

/// `content-type` → `Content-Type`: on the wire names come in any case, and a handler must not mind.
fn header_name(lower: &str) -> String {
    let words = lower.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    });
    words.collect::<Vec<_>>().join("-")
}

pub fn trace_parent() -> String {
    let trace = uuid::Uuid::new_v4().simple().to_string();
    let span = uuid::Uuid::new_v4().simple().to_string();
    format!("00-{trace}-{}-00", &span[..16])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0u32, |number, i| {
            (number << 8) | u32::from(*group.get(i).unwrap_or(&0))
        });
        for digit in 0..4 {
            match digit <= group.len() {
                true => text.push(char::from(
                    DIGITS[(number >> (18 - 6 * digit)) as usize & 63],
                )),
                false => text.push('='),
            }
        }
    }
    text
}
