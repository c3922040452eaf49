//! The envelope in which the host calls functions that it does not forward, and expects their answers.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::HttpFunction;
use super::accept::MediaType;
use super::answer::Answer;
use super::request::{Body, MAX_BODY, Params, Request, parse_query};
use super::router::{param_names, params_in_path};

/// The name of the HTTP output in every function.json.
const OUTPUT: &str = "res";
/// The name of the HTTP trigger in every function.json.
const INPUT: &str = "req";

/// Why a body is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// No JSON, or no object in the place of one.
    #[error("the body is not the envelope of the Functions host: it has no Data.{INPUT}")]
    NoRequest,
    /// A parameter of the function's route is neither listed nor in the URL.
    #[error("the envelope names neither the URL nor the parameters of the route")]
    NoParameters,
}

/// The request inside an envelope and the parameters of the function's route. What the envelope leaves out counts as empty;
/// a missing method is the function's only one.
pub fn unwrap(
    function: &'static HttpFunction,
    envelope: &[u8],
) -> Result<(Request, Params), PayloadError> {
    let envelope: Value = serde_json::from_slice(envelope).map_err(|_| PayloadError::NoRequest)?;
    let request = member(&envelope, "Data")
        .and_then(|data| member(data, INPUT))
        .filter(|request| request.is_object())
        .ok_or(PayloadError::NoRequest)?;
    let url = member(request, "Url")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (path, raw_query) = path_and_query(url);
    let query = match member(request, "Query").and_then(Value::as_object) {
        Some(query) => query
            .iter()
            .map(|(name, value)| (name.clone(), Some(text_of(value))))
            .collect(),
        None => parse_query(raw_query),
    };
    let mut methods = function.methods();
    let only_method = match (methods.next(), methods.next()) {
        (Some(method), None) => method.as_str(),
        _ => "GET",
    };
    let method = member(request, "Method")
        .and_then(Value::as_str)
        .unwrap_or(only_method);
    let body = match member(request, "Body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(other) => Bytes::from(other.to_string()),
    };
    let body = if body.len() > MAX_BODY {
        Body::TooLarge
    } else {
        Body::Whole(body)
    };
    let params = params(function, request, path)?;
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        headers: member(request, "Headers")
            .and_then(Value::as_object)
            .map(headers)
            .unwrap_or_default(),
        body,
    };
    Ok((request, params))
}

/// A member by its name in any case: the host writes names in one casing, but nothing promises that it stays.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value
        .as_object()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Path and query of an absolute or relative URL.
fn path_and_query(url: &str) -> (&str, &str) {
    let behind_host = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |start| &rest[start..]),
        None => url,
    };
    let without_fragment = behind_host.split('#').next().unwrap_or_default();
    without_fragment
        .split_once('?')
        .unwrap_or((without_fragment, ""))
}

fn params(
    function: &'static HttpFunction,
    request: &Value,
    path: &str,
) -> Result<Params, PayloadError> {
    if let Some(listed) = member(request, "Params")
        .filter(|params| params.as_object().is_some_and(|map| !map.is_empty()))
    {
        return Ok(param_names(function.route)
            .filter_map(|name| {
                let text = text_of(member(listed, name)?);
                let decoded = percent_decode_str(&text)
                    .decode_utf8()
                    .map(|text| text.into_owned());
                Some((name, decoded.unwrap_or(text)))
            })
            .collect());
    }
    if let Some(params) = params_in_path(function, path) {
        return Ok(params);
    }
    if function.route.contains('{') && !function.route.contains("?}") {
        return Err(PayloadError::NoParameters);
    }
    Ok(Vec::new())
}

fn headers(map: &Map<String, Value>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in map {
        let Ok(name) = HeaderName::try_from(name.as_str()) else {
            continue;
        };
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            if let Ok(value) = HeaderValue::try_from(text_of(value)) {
                headers.append(name.clone(), value);
            }
        }
    }
    headers
}

/// The envelope of an answer. The status of the answer travels inside: whatever is not 200 outside makes the host throw
/// the answer away.
///
/// A JSON body travels as an object and not as its text: the host writes an object by the content type as it is, but a text
/// once more as a JSON string, and where it takes outputs for base64 it can take only texts for it. Markdown and HTML
/// always hold blanks and markup, so they never look like base64.
pub fn wrap(answer: &Answer) -> Answer {
    let is_json = answer.header("content-type").is_some_and(|content_type| {
        content_type == MediaType::Json.content_type() || content_type.ends_with("+json")
    });
    let headers: Map<String, Value> = answer
        .headers()
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
        .collect();
    let status = answer.status().as_u16();
    let body = is_json
        .then(|| serde_json::from_str(answer.body()).ok())
        .flatten()
        .unwrap_or_else(|| Value::String(answer.body().to_owned()));
    enveloped(
        json!({ OUTPUT: { "statusCode": status, "headers": headers, "body": body } }),
        &[],
    )
}

/// The envelope of a timer that did its work; the host writes `logs` to the function's own log.
pub fn timer_done(logs: &[String]) -> Answer {
    enveloped(json!({}), logs)
}

/// Never an empty body and never `null`: the host would wait for more until it kills the process.
fn enveloped(outputs: Value, logs: &[String]) -> Answer {
    let body = json!({ "Outputs": outputs, "Logs": logs, "ReturnValue": null });
    Answer::text(
        StatusCode::OK,
        MediaType::Json.content_type(),
        body.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::{HTTP_FUNCTIONS, answer, problem};

    fn function(name: &str) -> &'static HttpFunction {
        HTTP_FUNCTIONS
            .iter()
            .find(|function| function.name == name)
            .unwrap()
    }

    fn unwrapped(name: &str, request: Value) -> (Request, Params) {
        let envelope = json!({ "Data": { "req": request }, "Metadata": { "sys": {} } });
        unwrap(function(name), envelope.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn everything_that_the_host_says_of_a_request_arrives() {
        let (request, params) = unwrapped(
            "dbvc-migration",
            json!({
                "Url": "https://app.azurewebsites.net/api/dbvc/databases/orders/migrations/R__a%20b?executor=x",
                "Method": "DELETE", "Query": {"executor": "me"}, "Identities": [],
                "Headers": {"Accept": ["application/json", "text/html"], "Prefer": "respond-async", "bad name": ["x"]},
                "Params": {"databaseId": "orders", "migrationId": "R__a b"}, "Body": "{\"a\": 1}",
            }),
        );
        assert_eq!(request.method, "DELETE");
        assert_eq!(
            request.path,
            "/api/dbvc/databases/orders/migrations/R__a%20b"
        );
        assert_eq!(
            request.query,
            [("executor".to_owned(), Some("me".to_owned()))]
        );
        assert_eq!(request.headers.get_all("accept").iter().count(), 2);
        assert_eq!(request.headers["prefer"], "respond-async");
        assert!(matches!(request.body, Body::Whole(body) if body == "{\"a\": 1}"));
        assert_eq!(
            params,
            [
                ("databaseId", "orders".to_owned()),
                ("migrationId", "R__a b".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_left_out_counts_as_empty() {
        let (request, params) = unwrapped("dbvc-migrations-run", json!({}));
        assert_eq!(request.method, "POST");
        assert!(request.query.is_empty() && request.headers.is_empty() && params.is_empty());
        assert!(matches!(request.body, Body::Whole(body) if body.is_empty()));
        let (_, params) = unwrapped(
            "dbvc-runs",
            json!({"Url": "http://localhost:7071/api/dbvc/runs/r1?limit=1"}),
        );
        assert_eq!(params, [("runId", "r1".to_owned())]);
        let (request, _) = unwrapped("dbvc-runs", json!({"Url": "/api/dbvc/runs?limit=1"}));
        assert_eq!(request.query, [("limit".to_owned(), Some("1".to_owned()))]);
    }

    #[test]
    fn a_body_may_be_an_object() {
        let (request, _) = unwrapped("dbvc-migrations-run", json!({"Body": {"a": 1}}));
        assert!(matches!(request.body, Body::Whole(body) if body == "{\"a\":1}"));
    }

    #[test]
    fn the_limit_is_for_the_body_and_not_for_its_envelope() {
        for (length, is_too_large) in [(MAX_BODY, false), (MAX_BODY + 1, true)] {
            let (request, _) =
                unwrapped("dbvc-migrations-run", json!({"Body": "\n".repeat(length)}));
            assert_eq!(matches!(request.body, Body::TooLarge), is_too_large);
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"Data": null}"#,
            r#"{"Data": {"req": "text"}}"#,
            "{\"Data\"",
        ] {
            let refused = unwrap(function("dbvc-runs"), body.as_bytes()).map(drop);
            assert_eq!(refused, Err(PayloadError::NoRequest), "{body}");
        }
        let refused = unwrap(function("dbvc-runs-cancel"), br#"{"Data": {"req": {}}}"#).map(drop);
        assert_eq!(refused, Err(PayloadError::NoParameters));
    }

    #[test]
    fn an_answer_travels_inside_with_its_status() {
        let inner = problem::method_not_allowed("GET".to_owned()).into_answer("/api/dbvc/runs");
        let outer = wrap(&inner);
        assert_eq!(outer.status(), StatusCode::OK);
        assert_eq!(outer.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_str(outer.body()).unwrap();
        assert_eq!(body["Outputs"]["res"]["statusCode"], 405);
        assert_eq!(body["Outputs"]["res"]["headers"]["allow"], "GET");
        assert_eq!(
            body["Outputs"]["res"]["headers"]["content-type"],
            "application/problem+json"
        );
        assert_eq!(body["Outputs"]["res"]["body"]["code"], "method-not-allowed");
        assert_eq!(body["Logs"], json!([]));
        assert_eq!(body["ReturnValue"], Value::Null);
    }

    #[test]
    fn json_travels_as_an_object_and_a_report_as_text() {
        let json = wrap(&answer::ok(&json!({"a": 1})).unwrap());
        assert!(json.body().contains(r#""body":{"a":1}"#));
        let report = Answer::text(
            StatusCode::OK,
            MediaType::Markdown.content_type(),
            "# Drift\n".to_owned(),
        );
        assert!(wrap(&report).body().contains(r##""body":"# Drift\n""##));
    }

    #[test]
    fn a_timer_answers_its_lines() {
        let answer = timer_done(&["orders: no drift".to_owned()]);
        let body: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(
            body,
            json!({"Outputs": {}, "Logs": ["orders: no drift"], "ReturnValue": null})
        );
    }
}
