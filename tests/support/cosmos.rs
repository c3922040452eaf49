//! A Cosmos DB account in memory behind a real socket: the driver's emulator, with a small HTTP front, so that real processes
//! use Cosmos DB through the real SDK.

use std::sync::{Arc, Mutex};

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_core::http::{Method, Request as CoreRequest, Url};
use azure_data_cosmos_driver::in_memory_emulator::{
    EmulatorStore, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What the account does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It answers them.
    Fine,
    /// It closes the connection without an answer.
    Down,
    /// It answers all of them with this status, and does nothing.
    Refusing(u16),
}

struct State {
    emulator: InMemoryEmulatorHttpClient,
    weather: Mutex<Weather>,
    /// Method and path of each request that writes, in order.
    writes: Mutex<Vec<String>>,
    /// Method and path of each request that is to be refused when something was changed meanwhile.
    guarded: Mutex<Vec<String>>,
}

/// An account that lives as long as this value.
pub struct CosmosDouble {
    state: Arc<State>,
    url: Url,
    server: JoinHandle<()>,
}

impl Drop for CosmosDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl CosmosDouble {
    /// An empty account on a free port of this machine.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        // The account names this very address as that of its only region.
        let url: Url = format!("http://127.0.0.1:{port}/").parse().expect("a URL");
        let region = VirtualRegion::new("West US", url.clone());
        let config = VirtualAccountConfig::new(vec![region]).expect("an account");
        let state = Arc::new(State {
            emulator: InMemoryEmulatorHttpClient::new(config),
            weather: Mutex::new(Weather::Fine),
            writes: Mutex::default(),
            guarded: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, state.clone()));
        Self { state, url, server }
    }

    /// A connection string with a key; the emulator takes any.
    pub fn connection_string(&self) -> String {
        format!("AccountEndpoint={};AccountKey=ZW11bGF0b3I=;", self.url)
    }

    /// The account's content.
    pub fn store(&self) -> Arc<EmulatorStore> {
        self.state.emulator.store()
    }

    /// From now on requests are treated so.
    pub fn set_weather(&self, weather: Weather) {
        *self.state.weather.lock().expect("no panic") = weather;
    }

    /// Method and path of each request with a precondition, in order.
    pub fn guarded(&self) -> Vec<String> {
        self.state.guarded.lock().expect("no panic").clone()
    }

    /// Method and path of each request that wrote something or tried to, in order.
    pub fn writes(&self) -> Vec<String> {
        self.state.writes.lock().expect("no panic").clone()
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            // An answer that is an error ends the connection, as an account that is down does.
            let _ = connection.await;
        });
    }
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the account is down")]
struct IsDown;

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, IsDown> {
    let weather = *state.weather.lock().expect("no panic");
    if weather == Weather::Down {
        return Err(IsDown);
    }
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| IsDown)?.to_bytes();
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
    let url = format!("http://{}{}", host.unwrap_or_default(), parts.uri);
    let method = match parts.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        _ => Method::Head,
    };
    let is_query = parts.headers.contains_key("x-ms-documentdb-isquery")
        || parts.headers.contains_key("x-ms-documentdb-query")
        || parts.headers.contains_key("x-ms-cosmos-is-query-plan-request");
    if method != Method::Get && !is_query {
        let write = format!("{} {}", parts.method, parts.uri.path());
        if parts.headers.contains_key("if-match") {
            state.guarded.lock().expect("no panic").push(write.clone());
        }
        state.writes.lock().expect("no panic").push(write);
    }
    if let Weather::Refusing(status) = weather {
        let refusal = Response::builder()
            .status(StatusCode::from_u16(status).expect("a status"))
            .header("x-ms-retry-after-ms", "1")
            .body(Full::default())
            .expect("an answer");
        return Ok(refusal);
    }
    let mut forwarded = CoreRequest::new(url.parse().map_err(|_| IsDown)?, method);
    for (name, value) in &parts.headers {
        let value = value.to_str().unwrap_or_default().to_owned();
        forwarded.insert_header(
            HeaderName::from(name.as_str().to_owned()),
            HeaderValue::from(value),
        );
    }
    forwarded.set_body(body);
    let answered = state
        .emulator
        .execute_request(&forwarded)
        .await
        .map_err(|_| IsDown)?;
    let (status, headers, body) = answered.deconstruct();
    let mut response = Response::builder().status(u16::from(status));
    for (name, value) in headers.iter() {
        response = response.header(name.as_str(), value.as_str());
    }
    let body = body.collect().await.map_err(|_| IsDown)?;
    Ok(response.body(Full::new(body)).expect("an answer"))
}
