//! A request as functions see it, whether it came by plain HTTP or in the envelope of the host.

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use warp::http::HeaderMap;
use warp::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};

use crate::engine::{Caller, FieldError};

use super::HttpFunction;
use super::accept::{MediaType, choose};
use super::fields::Fields;
use super::problem::{
    Problem, bad_request, not_acceptable, too_large, unsupported_media_type, wrong_fields,
};
use super::router::{param_names, required_param_names};
use super::strict_json::{self, StrictJsonError};
use super::values::{person, string};

/// The largest body of a request, in bytes.
pub const MAX_BODY: usize = 10 * 1024 * 1024;
/// Query parameters in which keys of the host travel; ASP.NET reads them in any case.
const KEYS_OF_THE_HOST: [&str; 2] = ["code", "clientId"];
/// Who calls when the caller does not say.
const UNKNOWN_EXECUTOR: &str = "unknown";
/// What the platform says of the caller. Outside Azure anybody may send it.
const PRINCIPAL: &str = "x-ms-client-principal-name";
/// The longest name of a principal that is kept, in characters.
const MAX_PRINCIPAL: usize = 200;

/// A method that some function knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// DELETE
    Delete,
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
}

impl Method {
    /// Every method that some function knows.
    pub const ALL: [Self; 4] = [Self::Delete, Self::Get, Self::Post, Self::Put];

    /// The method as HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// Reads a method. Methods differ by case, as HTTP says.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// A body as far as it was read.
#[derive(Debug, Clone)]
pub enum Body {
    /// All of it; empty when there is none.
    Whole(Bytes),
    /// It is over the limit and was dropped.
    TooLarge,
    /// The connection ended before the body did.
    Broken,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method as it was sent.
    pub method: String,
    /// The path without the query, percent-encoded as it was sent.
    pub path: String,
    /// The parameters of the query; no value where it is no UTF-8.
    pub query: Vec<(String, Option<String>)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// Takes a query apart.
pub fn parse_query(raw: &str) -> Vec<(String, Option<String>)> {
    let decode = |text: &str| {
        let blanks = text.replace('+', " ");
        let decoded = percent_decode_str(&blanks).decode_utf8();
        decoded.ok().map(|text| text.into_owned())
    };
    raw.split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (
                decode(name).unwrap_or_else(|| name.to_owned()),
                decode(value),
            )
        })
        .collect()
}

/// The parameters of a route by their names.
pub type Params = Vec<(&'static str, String)>;

/// A request that a function was found for.
#[derive(Debug)]
pub struct Call {
    request: Request,
    method: Method,
    params: Params,
    wanted: MediaType,
    in_azure: bool,
}

impl Call {
    /// A call of a function with the parameters of its route and the type that the caller wants most.
    pub fn new(
        request: Request,
        method: Method,
        params: Params,
        wanted: MediaType,
        in_azure: bool,
    ) -> Self {
        Self {
            request,
            method,
            params,
            wanted,
            in_azure,
        }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The type that the caller wants most of those that the function offers.
    pub fn wanted(&self) -> MediaType {
        self.wanted
    }

    /// A parameter of the route; empty when an optional one is missing.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(param, _)| *param == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// The call as another function gets it whose answer this one gives: without the parameter `chosen_by` that chose
    /// it, and with the query's parameters for the places of its route in its path. A parameter that comes twice stays
    /// in the query, where it is refused.
    pub fn handed_on(mut self, chosen_by: &str, to: &HttpFunction) -> Result<Self, Problem> {
        self.wanted = wanted_type(&self.request.headers, to.offers)?;
        let query = &mut self.request.query;
        if let Some(at) = query.iter().position(|(name, _)| name == chosen_by) {
            query.remove(at);
        }
        for place in param_names(to.route) {
            let mut found = query.iter().filter(|(name, _)| name == place);
            let (Some((_, Some(value))), None) = (found.next(), found.next()) else {
                continue;
            };
            if !value.is_empty() {
                self.params.push((place, value.clone()));
                query.retain(|(name, _)| name != place);
            }
        }
        let missing: Vec<&str> = required_param_names(to.route)
            .filter(|place| self.param(place).is_empty())
            .collect();
        if missing.is_empty() {
            return Ok(self);
        }
        let mut query = self.query();
        for place in missing {
            query.required(place, string);
        }
        Err(query.refuse())
    }

    /// The fields of the body, for functions that take no parameter in their query.
    pub fn body(&self) -> Result<Fields, Problem> {
        Ok(self.body_alone()?.beside(self.query()))
    }

    /// The fields of the body and the caller, for functions whose query may say `executor`.
    pub fn body_and_caller(&self) -> Result<(Fields, Caller), Problem> {
        let mut query = self.query();
        let executor = query.optional("executor", person);
        let caller = self.caller(executor.unwrap_or_else(|| UNKNOWN_EXECUTOR.to_owned()));
        Ok((self.body_alone()?.beside(query), caller))
    }

    /// The body must be a JSON object; an empty one has no fields.
    fn body_alone(&self) -> Result<Fields, Problem> {
        let bytes = match &self.request.body {
            Body::Whole(bytes) => bytes,
            Body::TooLarge => return Err(too_large()),
            Body::Broken => return Err(bad_request("the body ended early; send all of it")),
        };
        if bytes.is_empty() {
            return Ok(Fields::new(BTreeMap::new(), Vec::new()));
        }
        require_json(&self.request.headers)?;
        match strict_json::parse(bytes) {
            Ok(Value::Object(object)) => Ok(Fields::new(object.into_iter().collect(), Vec::new())),
            Ok(_) => Err(bad_request("the body must be a JSON object")),
            Err(StrictJsonError::Repeated(names)) => Err(wrong_fields(
                names
                    .into_iter()
                    .take(100)
                    .map(|name| {
                        FieldError::new(
                            name.chars().take(100).collect::<String>(),
                            "comes twice in one object",
                        )
                    })
                    .collect(),
            )),
            Err(error) => Err(bad_request(error.to_string())),
        }
    }

    /// The parameters of the query, save those in which keys travel.
    pub fn query(&self) -> Fields {
        let mut values = BTreeMap::new();
        let mut errors = Vec::new();
        for (name, value) in &self.request.query {
            if KEYS_OF_THE_HOST
                .iter()
                .any(|key| key.eq_ignore_ascii_case(name))
            {
                continue;
            }
            match value {
                None => errors.push(FieldError::new(name, "is not UTF-8")),
                Some(value) => {
                    let before = values.insert(name.clone(), Value::String(value.clone()));
                    if before.is_some() {
                        errors.push(FieldError::new(name, "comes twice"));
                    }
                }
            }
        }
        Fields::new(values, errors)
    }

    /// Refuses any parameter of the query, for functions that have none.
    pub fn no_query(&self) -> Result<(), Problem> {
        self.query().finish()
    }

    /// The caller who claims to be `executor`.
    pub fn caller(&self, executor: String) -> Caller {
        let principal = self
            .request
            .headers
            .get_all(PRINCIPAL)
            .iter()
            .next_back()
            .filter(|_| self.in_azure)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
            .map(|name| name.chars().take(MAX_PRINCIPAL).collect());
        Caller {
            executor,
            principal,
        }
    }

    /// Whether the caller prefers not to wait (RFC 7240).
    pub fn prefers_async(&self) -> bool {
        texts(&self.request.headers, "prefer")
            .flat_map(|value| value.split(','))
            .filter_map(|preference| preference.split([';', '=']).next())
            .any(|name| name.trim().eq_ignore_ascii_case("respond-async"))
    }
}

/// The type of those on offer that the caller wants most.
pub fn wanted_type(headers: &HeaderMap, offers: &[MediaType]) -> Result<MediaType, Problem> {
    choose(texts(headers, ACCEPT.as_str()), offers).ok_or_else(|| {
        let offers: Vec<&str> = offers.iter().map(|offer| offer.essence()).collect();
        not_acceptable(&offers.join(", "))
    })
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

/// Refuses a body that says that it is no JSON. One that says nothing is taken at its content: the host drops the header
/// in some cases.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = texts(headers, CONTENT_ENCODING.as_str())
        .any(|encoding| !encoding.trim().eq_ignore_ascii_case("identity"));
    if encoded {
        return Err(unsupported_media_type(
            "send the body without Content-Encoding",
        ));
    }
    match headers.get(CONTENT_TYPE) {
        None => Ok(()),
        Some(value) if value.to_str().is_ok_and(is_json_in_utf8) => Ok(()),
        Some(_) => Err(unsupported_media_type(
            "send the body as JSON in UTF-8, with Content-Type: application/json",
        )),
    }
}

fn is_json_in_utf8(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let essence = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    let is_utf8 = parts
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| {
            let charset = charset.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        });
    is_json && is_utf8
}

#[cfg(test)]
mod tests {
    use warp::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::functions::problem::Code;

    fn call_in(
        in_azure: bool,
        query: &str,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Call {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        let request = Request {
            method: "POST".to_owned(),
            path: "/api/dbvc/migrations".to_owned(),
            query: parse_query(query),
            headers,
            body: Body::Whole(Bytes::copy_from_slice(body.as_bytes())),
        };
        Call::new(
            request,
            Method::Post,
            vec![("runId", "r1".to_owned())],
            MediaType::Json,
            in_azure,
        )
    }

    fn call(query: &str, headers: &[(&'static str, &'static str)], body: &str) -> Call {
        call_in(false, query, headers, body)
    }

    fn body_refusal(headers: &[(&'static str, &'static str)], body: &str) -> Option<Code> {
        call("", headers, body)
            .body()
            .err()
            .map(|problem| problem.code())
    }

    #[test]
    fn a_query_is_decoded_as_forms_are() {
        assert_eq!(
            parse_query("a=1&b=x%20y+z&&flag&c=%C3%A9&d=a%3Db=c"),
            [
                ("a".to_owned(), Some("1".to_owned())),
                ("b".to_owned(), Some("x y z".to_owned())),
                ("flag".to_owned(), Some(String::new())),
                ("c".to_owned(), Some("é".to_owned())),
                ("d".to_owned(), Some("a=b=c".to_owned())),
            ]
        );
        assert_eq!(parse_query("a=%FF"), [("a".to_owned(), None)]);
        assert_eq!(parse_query(""), []);
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        for query in [
            "databaseid=x",
            "executor=a&executor=b",
            "executor=%FF",
            "executor=",
            "%FF=1",
        ] {
            let (body, _) = call(query, &[], "").body_and_caller().unwrap();
            assert!(body.finish().is_err(), "{query}");
        }
    }

    #[test]
    fn keys_of_the_host_may_travel_in_the_query() {
        let call = call("code=secret&clientId=x&Code=again&executor=me", &[], "");
        let (body, caller) = call.body_and_caller().unwrap();
        assert_eq!(caller.executor, "me");
        assert!(body.finish().is_ok());
    }

    #[test]
    fn a_caller_who_does_not_say_who_it_is_is_unknown() {
        let (_, caller) = call("", &[], "").body_and_caller().unwrap();
        assert_eq!(caller.executor, "unknown");
    }

    #[test]
    fn the_platform_vouches_for_the_principal_in_azure_only() {
        let headers = [(PRINCIPAL, "forged@lpa.com"), (PRINCIPAL, "ci@lpa.com")];
        let principal = |in_azure| {
            call_in(in_azure, "", &headers, "")
                .caller(String::new())
                .principal
        };
        assert_eq!(principal(false), None);
        assert_eq!(principal(true).as_deref(), Some("ci@lpa.com"));
    }

    #[test]
    fn json_in_utf8_is_taken_by_any_of_its_names() {
        for content_type in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
        ] {
            assert_eq!(
                body_refusal(&[("content-type", content_type)], "{}"),
                None,
                "{content_type}"
            );
        }
        assert_eq!(body_refusal(&[], "{}"), None);
    }

    #[test]
    fn other_content_types_are_refused_when_there_is_a_body() {
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "text/json+json",
            "json",
            "",
        ] {
            let headers = [("content-type", content_type)];
            assert_eq!(
                body_refusal(&headers, "{}"),
                Some(Code::UnsupportedMediaType),
                "{content_type}"
            );
            assert_eq!(body_refusal(&headers, ""), None);
        }
        assert_eq!(
            body_refusal(&[("content-encoding", "gzip")], "{}"),
            Some(Code::UnsupportedMediaType)
        );
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in [
            "[]",
            "1",
            "null",
            "\"{}\"",
            "{",
            "{\"a\":1,\"a\":1}",
            "\u{feff}{}",
        ] {
            assert_eq!(
                body_refusal(&[], body),
                Some(Code::InvalidRequest),
                "{body}"
            );
        }
    }

    #[test]
    fn not_waiting_can_be_preferred_among_other_things() {
        for value in [
            "respond-async",
            "wait=5, Respond-Async",
            "respond-async; x=1",
            " respond-async ",
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                HeaderValue::from_str(value).unwrap(),
            )]);
            let mut call = call("", &[], "");
            call.request.headers = headers;
            assert!(call.prefers_async(), "{value}");
        }
        assert!(
            call(
                "",
                &[("prefer", "return=minimal"), ("prefer", "respond-async")],
                ""
            )
            .prefers_async()
        );
        assert!(
            !call(
                "",
                &[("prefer", "return=minimal, respond-asynchronously")],
                ""
            )
            .prefers_async()
        );
        assert!(!call("", &[], "").prefers_async());
    }
}
