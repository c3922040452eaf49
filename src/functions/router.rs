//! Which function a method and a path mean.

use percent_encoding::percent_decode_str;

use super::request::{Method, Params};
use super::{HTTP_FUNCTIONS, HttpFunction, TIMER_FUNCTIONS, TimerFunction, allow};

/// The host's default prefix of every route. Calls in the envelope never carry it, so nobody outside can reach them.
pub const ROUTE_PREFIX: &str = "api";

/// What a method and a path mean.
#[derive(Debug)]
pub enum Destination {
    /// The host asks whether the process is alive.
    Ping,
    /// A function by plain HTTP, with the parameters of its route.
    Http(&'static HttpFunction, Method, Params),
    /// A function in the envelope of the host.
    Payload(&'static HttpFunction),
    /// A timer.
    Timer(&'static TimerFunction),
    /// A path that exists, but not for the method: those that it knows, as `Allow` lists them.
    WrongMethod(String),
    /// Nothing.
    Nowhere,
}

/// Finds what a method and a path mean. The path is percent-encoded, without query.
pub fn find(method: &str, path: &str) -> Destination {
    if path == "/" {
        return if method == "GET" {
            Destination::Ping
        } else {
            Destination::WrongMethod("GET".to_owned())
        };
    }
    if let Some(invoked) = find_invoked(path.strip_prefix('/').unwrap_or(path)) {
        return if method == "POST" {
            invoked
        } else {
            Destination::WrongMethod("POST".to_owned())
        };
    }
    find_by_route(method, path)
}

/// The function whose name the host calls with its envelope.
fn find_invoked(name: &str) -> Option<Destination> {
    let http = HTTP_FUNCTIONS.iter().find(|function| function.name == name);
    let timer = TIMER_FUNCTIONS
        .iter()
        .find(|function| function.name == name);
    http.map(Destination::Payload)
        .or(timer.map(Destination::Timer))
}

fn find_by_route(method: &str, path: &str) -> Destination {
    let Some(segments) = segments_below_prefix(path) else {
        return Destination::Nowhere;
    };
    let method = Method::parse(method);
    let mut allowed = Vec::new();
    for function in HTTP_FUNCTIONS {
        let Some(params) = match_route(function.route, &segments) else {
            continue;
        };
        match method {
            Some(method) if function.methods.contains(&method) => {
                return Destination::Http(function, method, params);
            }
            _ => allowed.extend_from_slice(function.methods),
        }
    }
    if allowed.is_empty() {
        return Destination::Nowhere;
    }
    Destination::WrongMethod(allow(allowed.into_iter()))
}

/// The decoded segments of a path behind the prefix of routes; one trailing slash does not count. `None` for a path
/// outside the prefix, and for one that is not UTF-8.
fn segments_below_prefix(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let decoded: Option<Vec<String>> = path
        .split('/')
        .map(|segment| Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned()))
        .collect();
    let mut segments = decoded?;
    if !segments.first()?.eq_ignore_ascii_case(ROUTE_PREFIX) {
        return None;
    }
    segments.remove(0);
    Some(segments)
}

/// The parameters of a route such as `dbvc/runs/{runId?}` in the given segments, if it matches.
fn match_route(route: &'static str, segments: &[String]) -> Option<Params> {
    let mut segments = segments.iter();
    let mut params = Vec::new();
    for part in route.split('/') {
        let segment = segments.next();
        match part
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
        {
            None => {
                segment.filter(|segment| segment.eq_ignore_ascii_case(part))?;
            }
            Some(name) => match (segment, name.strip_suffix('?')) {
                (Some(value), optional) if !value.is_empty() => {
                    params.push((optional.unwrap_or(name), value.clone()));
                }
                (None, Some(_)) => {}
                _ => return None,
            },
        }
    }
    segments.next().is_none().then_some(params)
}

/// The parameters of a function's route in a path, for calls in the envelope that do not list them.
pub fn params_in_path(function: &HttpFunction, path: &str) -> Option<Params> {
    match_route(function.route, &segments_below_prefix(path)?)
}

/// The names of the parameters of a route.
pub fn param_names(route: &'static str) -> impl Iterator<Item = &'static str> {
    route
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_suffix('?').unwrap_or(name))
}

/// Those of them that every path of the route has.
pub fn required_param_names(route: &'static str) -> impl Iterator<Item = &'static str> {
    param_names(route).filter(move |name| !route.contains(&format!("{{{name}?}}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The function found, with its parameters, in one text.
    fn found(method: &str, path: &str) -> String {
        match find(method, path) {
            Destination::Ping => "ping".to_owned(),
            Destination::Http(function, _, params) => {
                let params: Vec<String> = params
                    .iter()
                    .map(|(name, value)| format!(" {name}={value}"))
                    .collect();
                format!("{}{}", function.name, params.concat())
            }
            Destination::Payload(function) => format!("payload {}", function.name),
            Destination::Timer(timer) => format!("timer {}", timer.name),
            Destination::WrongMethod(allow) => format!("allow {allow}"),
            Destination::Nowhere => "nowhere".to_owned(),
        }
    }

    #[test]
    fn every_route_of_the_contract_leads_to_its_function() {
        for (method, path, expected) in [
            ("GET", "/api/dbvc", "dbvc"),
            ("GET", "/api/dbvc/databases", "dbvc-databases"),
            (
                "GET",
                "/api/dbvc/databases/a",
                "dbvc-databases databaseId=a",
            ),
            (
                "PUT",
                "/api/dbvc/databases/a",
                "dbvc-databases-put databaseId=a",
            ),
            ("GET", "/api/dbvc/drift", "dbvc-drift"),
            ("GET", "/api/dbvc/health", "dbvc-health"),
            ("GET", "/api/dbvc/history", "dbvc-history"),
            (
                "POST",
                "/api/dbvc/integrity/verify",
                "dbvc-integrity-verify",
            ),
            (
                "GET",
                "/api/dbvc/databases/a/migrations/V1__b",
                "dbvc-migration databaseId=a migrationId=V1__b",
            ),
            (
                "DELETE",
                "/api/dbvc/databases/a/migrations/V1__b",
                "dbvc-migration databaseId=a migrationId=V1__b",
            ),
            ("POST", "/api/dbvc/migrations", "dbvc-migrations-create"),
            (
                "POST",
                "/api/dbvc/migrations/rollback",
                "dbvc-migrations-rollback",
            ),
            ("POST", "/api/dbvc/migrations/run", "dbvc-migrations-run"),
            (
                "GET",
                "/api/dbvc/migrations/status",
                "dbvc-migrations-status",
            ),
            ("GET", "/api/dbvc/runs", "dbvc-runs"),
            ("GET", "/api/dbvc/runs/r1", "dbvc-runs runId=r1"),
            (
                "POST",
                "/api/dbvc/runs/r1/cancel",
                "dbvc-runs-cancel runId=r1",
            ),
            ("GET", "/api/dbvc/snapshots", "dbvc-snapshots"),
            ("POST", "/api/dbvc/snapshots", "dbvc-snapshots"),
        ] {
            assert_eq!(found(method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn case_and_a_trailing_slash_make_no_difference_but_parameters_stay_as_they_are() {
        assert_eq!(found("GET", "/API/Dbvc/Runs/R1/"), "dbvc-runs runId=R1");
        assert_eq!(found("GET", "/api/dbvc/runs/"), "dbvc-runs");
        assert_eq!(found("GET", "/api/dbvc/runs//"), "nowhere");
        assert_eq!(found("GET", "/api//dbvc/runs"), "nowhere");
        assert_eq!(found("PUT", "/api/dbvc/databases/"), "allow GET");
    }

    #[test]
    fn segments_are_decoded_after_they_are_taken_apart() {
        assert_eq!(
            found(
                "GET",
                "/api/dbvc/databases/a/migrations/R__refresh%20views%2F2"
            ),
            "dbvc-migration databaseId=a migrationId=R__refresh views/2"
        );
        assert_eq!(found("GET", "/api/dbvc/run%73"), "dbvc-runs");
        assert_eq!(found("GET", "/api/dbvc%2Fruns"), "nowhere");
        assert_eq!(found("GET", "/api/dbvc/runs/%FF"), "nowhere");
    }

    #[test]
    fn a_known_path_tells_the_methods_that_it_knows() {
        assert_eq!(found("PATCH", "/api/dbvc/snapshots"), "allow GET, POST");
        assert_eq!(found("POST", "/api/dbvc/databases/a"), "allow GET, PUT");
        assert_eq!(found("HEAD", "/api/dbvc/health"), "allow GET");
        assert_eq!(found("get", "/api/dbvc/health"), "allow GET");
        assert_eq!(found("POST", "/"), "allow GET");
        assert_eq!(found("GET", "/dbvc-drift-timer"), "allow POST");
    }

    #[test]
    fn the_host_calls_functions_by_their_names() {
        assert_eq!(found("GET", "/"), "ping");
        assert_eq!(
            found("POST", "/dbvc-migrations-run"),
            "payload dbvc-migrations-run"
        );
        assert_eq!(found("POST", "/dbvc-drift-timer"), "timer dbvc-drift-timer");
        assert_eq!(found("POST", "/dbvc-runs-timer"), "timer dbvc-runs-timer");
        // From outside every path has the prefix.
        assert_eq!(found("POST", "/api/dbvc-drift-timer"), "nowhere");
    }

    #[test]
    fn what_is_no_route_leads_nowhere() {
        for path in [
            "",
            "*",
            "/api",
            "/api/",
            "/api/dbvc/nothing",
            "/dbvc/runs",
            "/api/dbvc/runs/a/b",
            "/favicon.ico",
            "//",
        ] {
            assert_eq!(found("GET", path), "nowhere", "{path}");
        }
    }

    #[test]
    fn no_two_functions_share_a_method_of_a_path() {
        for (index, function) in HTTP_FUNCTIONS.iter().enumerate() {
            for other in &HTTP_FUNCTIONS[..index] {
                let same_path = function.route.replace('?', "") == other.route.replace('?', "");
                let shared = function
                    .methods
                    .iter()
                    .any(|method| other.methods.contains(method));
                assert!(
                    !(same_path && shared),
                    "{} and {}",
                    function.name,
                    other.name
                );
            }
        }
    }
}
