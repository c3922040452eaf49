//! What happens to every request, whatever function it is for: routing, limits, request id, panics, log line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use warp::http::{HeaderMap, StatusCode};

use super::answer::Answer;
use super::payload;
use super::problem::{Problem, bad_request, internal, method_not_allowed, not_found, too_large};
use super::request::{Body, Call, MAX_BODY, Method, Params, Request, wanted_type};
use super::router::{Destination, find};
use super::{App, HttpFunction, TimerFunction};

/// The header in which the host names an invocation.
const INVOCATION_ID: &str = "x-azure-functions-invocationid";
/// The header of every answer.
const REQUEST_ID: &str = "x-request-id";
/// The longest invocation id that is taken over, in characters.
const MAX_REQUEST_ID: usize = 128;
/// What the log calls a request that no function was found for. Its path is not logged: a key may stand anywhere in it.
const NO_FUNCTION: &str = "-";

/// The largest envelope of the host that is taken, in bytes. It holds the body escaped, and once more among the metadata.
const MAX_ENVELOPE: usize = 32 * 1024 * 1024;

/// How much of a body is to be kept, in bytes.
pub fn body_limit(method: &str, path: &str) -> usize {
    match find(method, path) {
        Destination::Payload(_) => MAX_ENVELOPE,
        _ => MAX_BODY,
    }
}

/// Answers any request, in a task of its own: a caller that goes away cancels nothing, and its request gets its line in the
/// log all the same.
pub async fn answer(app: Arc<App>, request: Request) -> Answer {
    let answered = tokio::spawn(answer_and_log(app, request)).await;
    answered.unwrap_or_else(|error| {
        let request_id = uuid::Uuid::new_v4().to_string();
        let problem = internal(error.to_string());
        finished(
            answer_of(problem, "/", NO_FUNCTION, &request_id),
            &request_id,
        )
    })
}

async fn answer_and_log(app: Arc<App>, request: Request) -> Answer {
    let destination = find(&request.method, &request.path);
    if matches!(destination, Destination::Ping) {
        // It comes every few moments, before and between all others: not worth a line.
        let answer = Answer::text(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            "dbvc\n".to_owned(),
        );
        return finished(answer, &request_id(&request.headers));
    }
    let started = Instant::now();
    let request_id = request_id(&request.headers);
    let path = request.path.clone();
    let method = Method::parse(&request.method).map_or("other", Method::as_str);
    let (function, answered) = dispatch(app, destination, request, &request_id).await;
    let answer =
        answered.unwrap_or_else(|problem| answer_of(problem, &path, function, &request_id));
    tracing::info!(
        function,
        method,
        status = answer.status().as_u16(),
        duration_ms = milliseconds(started.elapsed()),
        request_id,
        "request"
    );
    finished(answer, &request_id)
}

async fn dispatch(
    app: Arc<App>,
    destination: Destination,
    request: Request,
    request_id: &str,
) -> (&'static str, Result<Answer, Problem>) {
    match destination {
        Destination::Http(function, method, params) => (
            function.name,
            call(app, function, method, params, request).await,
        ),
        Destination::Payload(function) => (
            function.name,
            invoke(app, function, request, request_id).await,
        ),
        Destination::Timer(timer) => (timer.name, tick(app, timer).await),
        Destination::WrongMethod(allow) => (NO_FUNCTION, Err(method_not_allowed(allow))),
        Destination::Ping | Destination::Nowhere => (NO_FUNCTION, Err(not_found())),
    }
}

/// Calls a function.
async fn call(
    app: Arc<App>,
    function: &'static HttpFunction,
    method: Method,
    params: Params,
    request: Request,
) -> Result<Answer, Problem> {
    let wanted = wanted_type(&request.headers, function.offers)?;
    if matches!(request.body, Body::TooLarge) {
        return Err(too_large());
    }
    let call = Call::new(request, method, params, wanted, app.in_azure);
    unless_it_panics((function.handle)(app, call)).await?
}

/// Calls a function in the envelope of the host. What the function answers, a problem too, travels inside; only what is no
/// envelope is refused outside.
async fn invoke(
    app: Arc<App>,
    function: &'static HttpFunction,
    envelope: Request,
    request_id: &str,
) -> Result<Answer, Problem> {
    let (path, answered) = match envelope.body {
        Body::Whole(bytes) => {
            let (inner, params) = payload::unwrap(function, &bytes)
                .map_err(|error| bad_request(error.to_string()))?;
            let path = inner.path.clone();
            let method =
                Method::parse(&inner.method).filter(|method| function.methods.contains(method));
            let answered = match method {
                Some(method) => call(app, function, method, params, inner).await,
                None => Err(method_not_allowed(function.allow())),
            };
            (path, answered)
        }
        Body::TooLarge => (envelope.path, Err(too_large())),
        Body::Broken => return Err(bad_request("the body ended early; send all of it")),
    };
    let answer =
        answered.unwrap_or_else(|problem| answer_of(problem, &path, function.name, request_id));
    Ok(payload::wrap(&finished(answer, request_id)))
}

/// Lets a timer do its work. What the host says of the schedule changes nothing, so its body is not read.
async fn tick(app: Arc<App>, timer: &'static TimerFunction) -> Result<Answer, Problem> {
    let lines = unless_it_panics((timer.handle)(app)).await?;
    Ok(payload::timer_done(&lines))
}

/// A panic ends one call and no other. Its words stay out of the answer: they may hold what was being worked on.
async fn unless_it_panics<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    // What the work shares with others is guarded by locks of its own.
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .map_err(|_| internal("the function panicked"))
}

fn answer_of(problem: Problem, path: &str, function: &str, request_id: &str) -> Answer {
    if let Some(cause) = problem.cause() {
        tracing::error!(
            function,
            request_id,
            code = problem.code().as_str(),
            cause,
            "problem"
        );
    }
    problem.into_answer(path)
}

/// The answer with the headers that every one has.
fn finished(answer: Answer, request_id: &str) -> Answer {
    answer
        .with_header(REQUEST_ID, request_id)
        .with_header("cache-control", "no-store")
        .with_header("x-content-type-options", "nosniff")
}

/// The host's invocation id. It adds its own behind one that the caller sent, which proves nothing: the last one counts.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get_all(INVOCATION_ID)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        // Under some hosts several values arrive as one.
        .and_then(|value| value.rsplit(',').next())
        .map(str::trim)
        .filter(|id| {
            !id.is_empty()
                && id.len() <= MAX_REQUEST_ID
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use warp::http::{HeaderName, HeaderValue};

    use super::*;

    fn id_of(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static(INVOCATION_ID),
                HeaderValue::from_static(value),
            );
        }
        request_id(&headers)
    }

    #[test]
    fn the_hosts_invocation_id_is_the_last_one() {
        assert_eq!(id_of(&["of-the-host"]), "of-the-host");
        assert_eq!(id_of(&["forged", "of-the-host"]), "of-the-host");
        assert_eq!(id_of(&["forged, of-the-host"]), "of-the-host");
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_that_tells_nothing_of_it() {
        let worked: Result<u8, Problem> = unless_it_panics(async { 1 }).await;
        assert_eq!(worked.unwrap(), 1);
        let problem = unless_it_panics(async { panic!("hush") })
            .await
            .map(|(): ()| ());
        let answer = problem.unwrap_err().into_answer("/api/dbvc/health");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.body().contains("internal-error") && !answer.body().contains("hush"));
    }

    #[test]
    fn without_a_usable_invocation_id_a_new_one_is_made() {
        for values in [&[][..], &[""], &["a b"], &["a,"]] {
            assert!(uuid::Uuid::parse_str(&id_of(values)).is_ok(), "{values:?}");
        }
        assert_ne!(id_of(&[]), id_of(&[]));
    }
}
