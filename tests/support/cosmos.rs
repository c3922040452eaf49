//! A Cosmos DB account in memory behind a real socket: the driver's emulator, with a small HTTP front, so that real processes
//! use Cosmos DB through the real SDK.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_core::http::{Method, Request as CoreRequest, Url};
use azure_data_cosmos::fault_injection::FaultInjectionRule;
use azure_data_cosmos::options::{
    BinaryEncodingOptions, ConnectionPoolOptionsBuilder, OperationOptionsBuilder,
    ServerCertificateValidation,
};
use azure_data_cosmos::{
    AccountReference, ContainerClient, CosmosClient, CosmosRuntime, FeedScope, RoutingStrategy,
};
use azure_data_cosmos_driver::in_memory_emulator::{
    EmulatorStore, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};
use azure_data_cosmos_driver::models::ConnectionString;
use dbvc::database::cosmos::CosmosHandle;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
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

/// What becomes of one request that writes a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// The connection is closed before anything is done.
    Lost,
    /// It is done, and the connection is closed before the answer.
    DoneUnanswered,
    /// It is answered with this status, and nothing is done.
    Refused(u16),
}

struct State {
    emulator: InMemoryEmulatorHttpClient,
    weather: Mutex<Weather>,
    /// What becomes of the next requests that write documents.
    fates: Mutex<VecDeque<Fate>>,
    /// Most items of a page of a query.
    page: Mutex<Option<u32>>,
    /// Method and path of each request that writes, in order.
    writes: Mutex<Vec<String>>,
    /// How many requests were answered with 429.
    throttled: AtomicUsize,
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
        let config = config.with_throttling_enabled(true);
        let state = Arc::new(State {
            emulator: InMemoryEmulatorHttpClient::new(config),
            weather: Mutex::new(Weather::Fine),
            fates: Mutex::default(),
            page: Mutex::default(),
            writes: Mutex::default(),
            throttled: AtomicUsize::default(),
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

    /// The next requests that write documents fare so, one after the other; those after them are answered.
    pub fn set_fates(&self, fates: impl IntoIterator<Item = Fate>) {
        *self.state.fates.lock().expect("no panic") = fates.into_iter().collect();
    }

    /// No page of a query has more items from now on, however many are asked for.
    pub fn set_page(&self, most: u32) {
        *self.state.page.lock().expect("no panic") = Some(most);
    }

    /// A client of its own.
    pub async fn client(&self) -> CosmosClient {
        client_of(&self.connection_string(), Vec::new()).await
    }

    /// A database, reached by a client of its own in which these rules inject faults.
    pub async fn handle(
        &self,
        database: &str,
        rules: Vec<Arc<FaultInjectionRule>>,
    ) -> CosmosHandle {
        let client = client_of(&self.connection_string(), rules).await;
        CosmosHandle::with_client(client, database, true)
    }

    /// How many requests the account has answered with 429 because of what they cost.
    pub fn throttled(&self) -> usize {
        self.state.throttled.load(Ordering::Relaxed)
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

/// A client of the account of a connection string.
pub async fn client_of(
    connection_string: &str,
    rules: Vec<Arc<FaultInjectionRule>>,
) -> CosmosClient {
    let parsed: ConnectionString = connection_string.parse().expect("a connection string");
    let endpoint = parsed.account_endpoint().parse().expect("an endpoint");
    let account = AccountReference::with_authentication_key(endpoint, parsed.account_key().clone());
    let pool = ConnectionPoolOptionsBuilder::new()
        .with_server_certificate_validation(ServerCertificateValidation::RequiredUnlessEmulator)
        .with_is_http2_allowed(false)
        .build()
        .expect("a pool");
    let runtime = CosmosRuntime::builder()
        .with_connection_pool(pool)
        .build()
        .await
        .expect("a runtime");
    let mut builder = CosmosClient::builder()
        .with_runtime(runtime)
        .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false));
    if !rules.is_empty() {
        // What is made to fail is to fail soon.
        let patience = OperationOptionsBuilder::new()
            .with_end_to_end_latency_policy(Duration::from_secs(1).into())
            .build();
        builder = builder
            .with_default_operation_options(patience)
            .with_fault_injection_rules(rules)
            .expect("rules can be set");
    }
    builder
        .build(account, RoutingStrategy::PreferredRegions(Vec::new()))
        .await
        .expect("a client")
}

/// A container, which must be there.
pub async fn container_of(client: &CosmosClient, database: &str, name: &str) -> ContainerClient {
    client
        .database_client(database.to_owned())
        .container_client(name.to_owned(), None)
        .await
        .expect("the container is there")
}

/// The documents of one partition as they are stored, by id.
pub async fn documents_of(container: &ContainerClient, partition: &str) -> Vec<Value> {
    let scope = FeedScope::partition(partition.to_owned());
    let found = container
        .query_items::<Value>("SELECT * FROM c", scope, None)
        .await
        .expect("a query");
    let mut documents: Vec<Value> = found.try_collect().await.expect("documents");
    documents.sort_by_key(|document| document["id"].as_str().unwrap_or_default().to_owned());
    documents
}

/// A document without what the service has added.
pub fn as_written(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|name, _| !name.starts_with('_'));
    }
    document
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
    let host = parts
        .headers
        .get("host")
        .and_then(|host| host.to_str().ok());
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
        || parts
            .headers
            .contains_key("x-ms-cosmos-is-query-plan-request");
    if method != Method::Get && !is_query {
        let write = format!("{} {}", parts.method, parts.uri.path());
        if parts.headers.contains_key("if-match") {
            state.guarded.lock().expect("no panic").push(write.clone());
        }
        state.writes.lock().expect("no panic").push(write);
    }
    if let Weather::Refusing(status) = weather {
        return Ok(refusal(status));
    }
    let writes_document = method != Method::Get && !is_query && parts.uri.path().contains("/docs");
    let fate = match writes_document {
        true => state.fates.lock().expect("no panic").pop_front(),
        false => None,
    };
    match fate {
        Some(Fate::Lost) => return Err(IsDown),
        Some(Fate::Refused(status)) => return Ok(refusal(status)),
        _ => {}
    }
    let mut forwarded = CoreRequest::new(url.parse().map_err(|_| IsDown)?, method);
    for (name, value) in &parts.headers {
        let value = value.to_str().unwrap_or_default().to_owned();
        forwarded.insert_header(
            HeaderName::from(name.as_str().to_owned()),
            HeaderValue::from(value),
        );
    }
    if let Some(most) = *state.page.lock().expect("no panic") {
        let name = HeaderName::from_static("x-ms-max-item-count");
        let asked = parts.headers.get("x-ms-max-item-count");
        let asked = asked.and_then(|asked| asked.to_str().ok()?.parse().ok());
        let page = asked.map_or(most, |asked: u32| asked.min(most));
        forwarded.insert_header(name, HeaderValue::from(page.to_string()));
    }
    forwarded.set_body(body);
    let answered = state
        .emulator
        .execute_request(&forwarded)
        .await
        .map_err(|_| IsDown)?;
    if fate == Some(Fate::DoneUnanswered) {
        return Err(IsDown);
    }
    let (status, headers, body) = answered.deconstruct();
    if u16::from(status) == 429 {
        state.throttled.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::builder().status(u16::from(status));
    for (name, value) in headers.iter() {
        response = response.header(name.as_str(), value.as_str());
    }
    let body = body.collect().await.map_err(|_| IsDown)?;
    Ok(response.body(Full::new(body)).expect("an answer"))
}

fn refusal(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header("x-ms-retry-after-ms", "1")
        .body(Full::default())
        .expect("an answer")
}
