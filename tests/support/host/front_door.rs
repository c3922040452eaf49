//! The side of the double that clients see: routes, methods, keys, and which way a request takes to the handler.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::app::{App, Function, Trigger};
use super::builder::{Mode, Place};
use super::double::Inner;
use super::journal::{Invocation, Outcome};
use super::{forwarding, keys, payload, proxying, wire};

/// The largest body that the host takes when no setting says otherwise.
const LARGEST_BODY: u64 = 104_857_600;

pub async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let inner = Arc::clone(&inner);
                async move { Ok::<_, std::convert::Infallible>(answer(inner, client, request).await) }
            });
            // A client that goes away in the middle is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The function whose route and methods fit. The first by name wins; nothing ranks a literal over a parameter.
pub fn find<'a>(
    app: &'a App,
    method: &str,
    path: &str,
) -> Option<(&'a Function, Vec<(String, String)>)> {
    app.functions
        .iter()
        .find_map(|function| match &function.trigger {
            Trigger::Http {
                template, methods, ..
            } if methods.is_empty() || methods.iter().any(|m| m == method) => {
                template.matches(path).map(|params| (function, params))
            }
            _ => None,
        })
}

async fn answer(
    inner: Arc<Inner>,
    client: SocketAddr,
    request: Request<Incoming>,
) -> Response<wire::Body> {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let Some((function, params)) = find(&inner.app, request.method().as_str(), path) else {
        return wire::own_answer(StatusCode::NOT_FOUND, "");
    };
    let Trigger::Http {
        level, only_http, ..
    } = &function.trigger
    else {
        unreachable!("only HTTP functions have routes");
    };
    if inner.place != Place::CoreTools
        && !keys::open(*level, &function.name, request.headers(), query)
    {
        return wire::own_answer(StatusCode::UNAUTHORIZED, "");
    }
    if let Err(reason) = inner.handler.ready().await {
        return wire::own_answer(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    let id = uuid::Uuid::new_v4().to_string();
    let mode = if *only_http {
        inner.mode
    } else {
        Mode::Payload
    };
    let result = match mode {
        Mode::Proxying => {
            let call = proxied(&inner, client, &id, request);
            inner.limited(&function.name, &id, call).await
        }
        Mode::Forwarding => forwarded(&inner, client, &function.name, &id, request).await,
        Mode::Payload => enveloped(&inner, function.clone(), &id, params, request).await,
    };
    result.unwrap_or_else(|refusal| refusal)
}

/// The client's connection ends, the call ends: nothing is spawned here.
async fn proxied(
    inner: &Inner,
    client: SocketAddr,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<wire::Body>, String> {
    let (parts, body) = request.into_parts();
    proxying::call(parts, body, client, inner.handler.port, id).await
}

/// The call goes on when the client goes away: the host gives its own request no token to cancel it.
async fn forwarded(
    inner: &Arc<Inner>,
    client: SocketAddr,
    function: &str,
    id: &str,
    request: Request<Incoming>,
) -> Result<Response<wire::Body>, Response<wire::Body>> {
    let (mut parts, body) = request.into_parts();
    let body = match parts.headers.contains_key(TRANSFER_ENCODING) {
        true => Bytes::new(),
        false => read(&parts.headers, body).await?,
    };
    if inner.place != Place::CoreTools {
        let original = parts.headers.get("host").cloned();
        let address: HeaderValue = client
            .to_string()
            .parse()
            .expect("an address is a header value");
        parts.headers.insert("x-forwarded-for", address);
        if let Some(host) = original {
            parts.headers.insert("disguised-host", host);
        }
    }
    let (inner, function, id) = (Arc::clone(inner), function.to_owned(), id.to_owned());
    let call = tokio::spawn(async move {
        let call = async {
            let request = forwarding::rebuilt(&parts, body, inner.handler.port, &id)?;
            forwarding::call(&inner.caller, request).await
        };
        inner.limited(&function, &id, call).await
    });
    call.await.expect("a forwarded call does not panic")
}

async fn enveloped(
    inner: &Arc<Inner>,
    function: Function,
    id: &str,
    params: Vec<(String, String)>,
    request: Request<Incoming>,
) -> Result<Response<wire::Body>, Response<wire::Body>> {
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await?;
    let (inner, id) = (Arc::clone(inner), id.to_owned());
    let call = tokio::spawn(async move {
        let Trigger::Http {
            binding, output, ..
        } = &function.trigger
        else {
            unreachable!("only HTTP functions have routes");
        };
        let call = payload::HttpCall {
            binding,
            method: parts.method.as_str(),
            path_and_query: parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            headers: &parts.headers,
            params: &params,
            body: &body,
        };
        let envelope = payload::http_envelope(&function.name, &call);
        let mut invocation = inner
            .post(&function.name, &id, &envelope, inner.framing)
            .await;
        let answer = match &invocation.outcome {
            Outcome::Succeeded => payload::http_answer(&invocation.answer, output.as_deref()),
            Outcome::Failed(reason) => Err(reason.clone()),
            Outcome::WouldHang(reason) => Err(format!("would hang: {reason}")),
        };
        if let (Err(reason), Outcome::Succeeded) = (&answer, &invocation.outcome) {
            invocation.outcome = Outcome::Failed(reason.clone());
        }
        inner.journal.record(invocation);
        answer.map_err(|reason| wire::own_answer(StatusCode::INTERNAL_SERVER_ERROR, reason))
    });
    call.await.expect("a posted call does not panic")
}

/// The host reads the whole body before it calls the handler.
async fn read(headers: &hyper::HeaderMap, body: Incoming) -> Result<Bytes, Response<wire::Body>> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length: u64 = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    if length > LARGEST_BODY {
        return Err(wire::own_answer(StatusCode::PAYLOAD_TOO_LARGE, ""));
    }
    match body.collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) => Err(wire::own_answer(
            StatusCode::BAD_REQUEST,
            wire::with_causes(&e),
        )),
    }
}

impl Inner {
    /// Runs a call within functionTimeout and records how it ended. Past the limit the handler is killed and started
    /// again, which aborts every other call in flight.
    async fn limited(
        &self,
        function: &str,
        id: &str,
        call: impl Future<Output = Result<Response<wire::Body>, String>>,
    ) -> Result<Response<wire::Body>, Response<wire::Body>> {
        let result = self.within_timeout(call).await.unwrap_or_else(Err);
        self.journal.record(Invocation {
            function: function.to_owned(),
            id: id.to_owned(),
            outcome: match &result {
                // An answer of 4xx or 5xx goes out unchanged, and the invocation has still succeeded.
                Ok(_) => Outcome::Succeeded,
                Err(reason) => Outcome::Failed(reason.clone()),
            },
            logs: Vec::new(),
            answer: Value::Null,
        });
        result.map_err(|reason| wire::own_answer(StatusCode::INTERNAL_SERVER_ERROR, reason))
    }

    /// Posts an envelope within functionTimeout; the caller records it.
    pub async fn post(
        &self,
        function: &str,
        id: &str,
        envelope: &Value,
        framing: payload::Framing,
    ) -> Invocation {
        let call = payload::invoke(
            &self.caller,
            self.handler.port,
            function,
            id,
            envelope,
            framing,
        );
        self.within_timeout(call)
            .await
            .unwrap_or_else(|reason| Invocation {
                function: function.to_owned(),
                id: id.to_owned(),
                outcome: Outcome::Failed(reason),
                logs: Vec::new(),
                answer: Value::Null,
            })
    }

    async fn within_timeout<T>(&self, call: impl Future<Output = T>) -> Result<T, String> {
        let Some(limit) = self.function_timeout else {
            return Ok(call.await);
        };
        tokio::time::timeout(limit, call).await.map_err(|_| {
            let reason = format!(
                "the invocation exceeded functionTimeout ({limit:?}); the handler was killed"
            );
            self.journal.defect(reason.clone());
            self.handler.replace();
            reason
        })
    }
}
