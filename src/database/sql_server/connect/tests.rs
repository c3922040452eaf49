//! Whether connecting keeps its promises, against servers that do what servers do on bad days.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use azure_core::credentials::Secret;

use super::super::super::identity::{AppIdentity, Identities};
use super::super::target::{SecretPlace, Vault};
use super::super::testing::{Answer, Certificate, CountingCredential, ScriptedServer};
use super::*;

const HOST: &str = "lpa.database.windows.net";
const WORKER: &str = "w1.tr5.worker.database.windows.net";
const TOKEN: &str = "marked-token";

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The hosts that there are, and the one authority that is trusted.
#[derive(Debug, Default)]
struct World {
    hosts: HashMap<&'static str, SocketAddr>,
    authority: String,
    dialled: Mutex<Vec<String>>,
}

impl World {
    fn new(certificate: &Certificate, hosts: &[(&'static str, SocketAddr)]) -> Arc<Self> {
        Arc::new(Self {
            hosts: hosts.iter().copied().collect(),
            authority: certificate.pem.clone(),
            dialled: Mutex::default(),
        })
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().clone()
    }
}

#[async_trait]
impl Outside for World {
    async fn dial(&self, address: &ServerAddress) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(address.host.clone());
        match self.hosts.get(address.host.as_str()) {
            Some(address) => TcpStream::connect(address).await,
            None => Err(io::Error::other("no such host")),
        }
    }

    fn authority(&self) -> Option<Vec<u8>> {
        Some(self.authority.clone().into_bytes())
    }
}

fn options() -> ConnectOptions {
    ConnectOptions {
        retry: RetryPolicy {
            first: Duration::from_millis(5),
            most: Duration::from_millis(20),
        },
        ..ConnectOptions::default()
    }
}

fn by_password(more: &str) -> String {
    format!("Server={HOST};Database=shop;User ID=ada;Password=hush;Encrypt=strict;{more}")
}

fn by_token(host: &str) -> String {
    format!("Server={host};Database=shop;Encrypt=strict")
}

fn connector(text: &str, world: &Arc<World>) -> Connector {
    let connectors = Connectors::with(options(), world.clone());
    connectors.to(ConnectionString::parse(text).unwrap())
}

/// A connector and the credential that it asks for tokens.
fn token_connector(
    text: &str,
    world: &Arc<World>,
    mut options: ConnectOptions,
) -> (Connector, Arc<CountingCredential>) {
    let credential = CountingCredential::new(TOKEN, Duration::from_secs(3600));
    options.identities = Arc::new(Identities::new(
        AppIdentity::default(),
        Some(credential.clone()),
    ));
    let connectors = Connectors::with(options, world.clone());
    let connector = connectors.to(ConnectionString::parse(text).unwrap());
    (connector, credential)
}

async fn refused(connector: &Connector, patience: Duration) -> ConnectError {
    let error = match connector.connect(patience).await {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    };
    for shown in [
        format!("{error}"),
        format!("{error:?}"),
        format!("{connector:?}"),
    ] {
        assert!(!shown.contains("hush"), "{shown}");
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    error
}

#[tokio::test]
async fn a_login_names_the_server_and_the_database() {
    let certificate = Certificate::of(&[HOST]);
    for encryption in ["optional", "mandatory", "strict"] {
        let server = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
        let world = World::new(&certificate, &[(HOST, server.address)]);
        let text = by_password(&format!("Encrypt={encryption}"));
        connector(&text, &world).connect(PATIENCE).await.unwrap();
        let logins = server.logins();
        assert_eq!(logins.len(), 1);
        assert_eq!(logins[0].server_name.as_deref(), Some(HOST));
        assert_eq!(logins[0].database.as_deref(), Some("shop"));
        assert!(!logins[0].has_fedauth);
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_once() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Refuse(18456)]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let error = refused(&connector(&by_password(""), &world), PATIENCE).await;
    assert!(
        matches!(error, ConnectError::LoginRefused { number: 18456 }),
        "{error:?}"
    );
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_database_that_moves_is_waited_for() {
    let certificate = Certificate::of(&[HOST]);
    let answers = [
        Answer::Refuse(40613),
        Answer::HangUp,
        Answer::Refuse(4060),
        Answer::Welcome,
    ];
    let server = ScriptedServer::start(&certificate, &answers).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    connector(&by_password(""), &world)
        .connect(PATIENCE)
        .await
        .unwrap();
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn patience_ends() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Refuse(4060)]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let error = refused(&connector(&by_password(""), &world), Duration::from_secs(3)).await;
    match &error {
        ConnectError::Exhausted { attempts, last, .. } => {
            assert!(*attempts > 1);
            assert!(matches!(**last, ConnectError::NoDatabase { number: 4060 }));
        }
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains("check its name"), "{error}");
}

#[tokio::test]
async fn errors_that_last_say_what_to_do() {
    let certificate = Certificate::of(&[HOST]);
    for (number, words) in [
        (40615, "firewall rule"),
        (18488, "check user and password"),
        (916, "has a user in it"),
        (50000, "the server's words"),
    ] {
        let server = ScriptedServer::start(&certificate, &[Answer::Refuse(number)]).await;
        let world = World::new(&certificate, &[(HOST, server.address)]);
        let error = refused(&connector(&by_password(""), &world), PATIENCE).await;
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains(&number.to_string()), "{error}");
        assert_eq!(server.connections(), 1, "{number}");
    }
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_connect_timeout() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Stall, Answer::Welcome]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let begun = Instant::now();
    let connector = connector(&by_password("Connect Timeout=1"), &world);
    connector.connect(PATIENCE).await.unwrap();
    assert_eq!(server.connections(), 2);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn patience_bounds_an_attempt_without_a_limit() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Stall]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let connector = connector(&by_password("Connect Timeout=0"), &world);
    let begun = Instant::now();
    let error = refused(&connector, Duration::from_millis(100)).await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(
        matches!(
            error,
            ConnectError::Lost {
                kind: io::ErrorKind::TimedOut
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn who_is_not_there_is_told_at_once() {
    let certificate = Certificate::of(&[HOST]);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody_listens = World::new(&certificate, &[(HOST, free)]);
    let unknown_host = World::new(&certificate, &[]);
    for world in [nobody_listens, unknown_host] {
        let error = refused(&connector(&by_password(""), &world), PATIENCE).await;
        assert!(
            matches!(error, ConnectError::Unreachable { .. }),
            "{error:?}"
        );
        assert_eq!(world.dialled().len(), 1);
    }
}

#[tokio::test]
async fn a_token_arrives_as_it_was_given() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    for encryption in ["mandatory", "strict"] {
        let text = format!("Server={HOST};Database=shop;Encrypt={encryption}");
        let (connector, credential) = token_connector(&text, &world, options());
        connector.connect(PATIENCE).await.unwrap();
        assert_eq!(
            credential.scopes(),
            ["https://database.windows.net/.default"]
        );
    }
    assert_eq!(server.tokens(), [TOKEN, TOKEN]);
}

#[tokio::test]
async fn a_redirect_is_followed_with_the_token() {
    let certificate = Certificate::of(&[HOST, WORKER]);
    let answers = [Answer::SendOn(
        "W1.TR5.worker.database.windows.net\\a1b2",
        11000,
    )];
    let gateway = ScriptedServer::start(&certificate, &answers).await;
    let worker = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
    let world = World::new(
        &certificate,
        &[(HOST, gateway.address), (WORKER, worker.address)],
    );
    let (connector, _) = token_connector(&by_token(HOST), &world, options());
    connector.connect(PATIENCE).await.unwrap();
    assert_eq!(world.dialled(), [HOST, WORKER]);
    assert_eq!(worker.tokens(), [TOKEN]);
    assert_eq!(worker.logins()[0].server_name.as_deref(), Some(WORKER));
}

#[tokio::test]
async fn the_name_in_the_certificate_is_that_of_the_first_server_only() {
    let certificate = Certificate::of(&["cert.database.windows.net", WORKER]);
    let gateway = ScriptedServer::start(&certificate, &[Answer::SendOn(WORKER, 11000)]).await;
    let worker = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
    let world = World::new(
        &certificate,
        &[(HOST, gateway.address), (WORKER, worker.address)],
    );
    let text = by_password("HostNameInCertificate=cert.database.windows.net");
    connector(&text, &world).connect(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_redirect_out_of_the_limits_gets_no_token() {
    let certificate = Certificate::of(&[HOST, "evil.example"]);
    let gateway =
        ScriptedServer::start(&certificate, &[Answer::SendOn("evil.example", 1433)]).await;
    let evil = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
    let world = World::new(
        &certificate,
        &[(HOST, gateway.address), ("evil.example", evil.address)],
    );
    let (connector, credential) = token_connector(&by_token(HOST), &world, options());
    let error = refused(&connector, PATIENCE).await;
    assert!(error.to_string().contains("evil.example"), "{error}");
    assert!(error.to_string().contains("DBVC_ALLOWED_HOSTS"), "{error}");
    assert_eq!(credential.scopes().len(), 1);
    assert_eq!(world.dialled(), [HOST]);
}

#[tokio::test]
async fn servers_that_send_in_circles_are_left() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::SendOn(HOST, 1433)]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let error = refused(&connector(&by_password(""), &world), PATIENCE).await;
    assert!(matches!(error, ConnectError::TooManyRedirects), "{error:?}");
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn no_token_is_asked_for_a_host_out_of_the_limits() {
    let certificate = Certificate::of(&[HOST]);
    let world = World::new(&certificate, &[]);
    for text in [
        by_token("evil.example"),
        by_token("database.windows.net"),
        by_token("lpa.database.windows.net.evil.example"),
        by_token("127.0.0.1"),
        format!("{};HostNameInCertificate=evil.example", by_token(HOST)),
    ] {
        let (connector, credential) = token_connector(&text, &world, options());
        let error = refused(&connector, PATIENCE).await;
        assert!(
            matches!(
                error,
                ConnectError::Credential(CredentialError::HostNotAllowed { .. })
            ),
            "{text}: {error:?}"
        );
        assert_eq!(credential.scopes(), Vec::<String>::new(), "{text}");
    }
    assert_eq!(world.dialled(), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_that_the_settings_allow_gets_a_token() {
    let certificate = Certificate::of(&["sql.lpa.example"]);
    let server = ScriptedServer::start(&certificate, &[Answer::Welcome]).await;
    let world = World::new(&certificate, &[("sql.lpa.example", server.address)]);
    let options = ConnectOptions {
        allowed_hosts: vec![".lpa.example".to_owned()],
        ..options()
    };
    let (connector, credential) = token_connector(&by_token("sql.lpa.example"), &world, options);
    connector.connect(PATIENCE).await.unwrap();
    assert_eq!(server.tokens(), [TOKEN]);
    assert_eq!(
        credential.scopes(),
        ["https://database.windows.net/.default"]
    );
}

#[tokio::test]
async fn a_server_that_has_not_proven_who_it_is_gets_no_login() {
    let trusted = Certificate::of(&[HOST]);
    let unknown = Certificate::of(&[HOST]);
    let other_name = Certificate::of(&["other.database.windows.net"]);
    for (presented, authority) in [(&unknown, &trusted), (&other_name, &other_name)] {
        let server = ScriptedServer::start(presented, &[Answer::Welcome]).await;
        let world = World::new(authority, &[(HOST, server.address)]);
        let error = refused(&connector(&by_password(""), &world), PATIENCE).await;
        assert!(
            matches!(error, ConnectError::Certificate { .. }),
            "{error:?}"
        );
        assert!(!error.to_string().contains("trust_cert"), "{error}");
        assert_eq!(server.connections(), 1);
        let (by_token, _) = token_connector(&by_token(HOST), &world, options());
        refused(&by_token, PATIENCE).await;
        assert!(server.logins().is_empty());

        let asked = by_password("TrustServerCertificate=true");
        connector(&asked, &world).connect(PATIENCE).await.unwrap();
        assert_eq!(server.logins().len(), 1);
    }
}

/// Gives the next of its texts, and the last one to all who ask later.
#[derive(Debug)]
struct ChangingVault(Mutex<Vec<Secret>>);

#[async_trait]
impl Vault for ChangingVault {
    async fn read(&self, _: &SecretPlace) -> Result<Secret, TargetError> {
        let mut texts = self.0.lock().unwrap();
        let text = if texts.len() > 1 {
            texts.remove(0)
        } else {
            texts[0].clone()
        };
        Ok(text)
    }
}

fn secret_connector(texts: &[String], world: &Arc<World>) -> Connector {
    let shared = Connectors::with(options(), world.clone()).shared;
    let texts = texts.iter().cloned().map(Secret::new).collect();
    let secrets = Arc::new(Secrets::new(Arc::new(ChangingVault(Mutex::new(texts)))));
    let url = "keyvault:https://lpa.vault.azure.net/secrets/sql-dev";
    let reference = ConnectionReference::parse(url, &[]).unwrap();
    Connector {
        target: Target::of_reference(&reference, &shared.variables, &secrets).unwrap(),
        shared,
    }
}

#[tokio::test]
async fn a_password_that_was_changed_is_read_anew() {
    let certificate = Certificate::of(&[HOST]);
    let answers = [Answer::Refuse(18456), Answer::Welcome];
    let server = ScriptedServer::start(&certificate, &answers).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let texts = [by_password(""), by_password("Password=hush-hush")];
    secret_connector(&texts, &world)
        .connect(PATIENCE)
        .await
        .unwrap();
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_password_that_was_not_changed_is_not_tried_again() {
    let certificate = Certificate::of(&[HOST]);
    let server = ScriptedServer::start(&certificate, &[Answer::Refuse(18456)]).await;
    let world = World::new(&certificate, &[(HOST, server.address)]);
    let error = refused(&secret_connector(&[by_password("")], &world), PATIENCE).await;
    assert!(
        matches!(error, ConnectError::LoginRefused { .. }),
        "{error:?}"
    );
    assert_eq!(server.connections(), 1);

    let texts = [by_password(""), by_password("Password=hush-hush")];
    let error = refused(&secret_connector(&texts, &world), PATIENCE).await;
    assert!(error.to_string().contains("refused the login"), "{error:?}");
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_reference_leads_to_a_connector() {
    let certificate = Certificate::of(&[HOST]);
    let world = World::new(&certificate, &[]);
    let options = ConnectOptions {
        variables: [("DBVC_CONN_SHOP".to_owned(), by_password(""))]
            .into_iter()
            .collect(),
        ..options()
    };
    let connectors = Connectors::with(options, world);
    let reference = |text: &str| ConnectionReference::parse(text, &[]).unwrap();
    let connector = connectors.by(&reference("env:DBVC_CONN_SHOP")).unwrap();
    let connection = connector.connection_string().await.unwrap();
    assert_eq!(connection.database_name(), "shop");
    assert!(!format!("{connectors:?}{connector:?}").contains("hush"));
    let error = connectors
        .by(&reference("env:DBVC_CONN_OTHER"))
        .unwrap_err();
    assert!(error.to_string().contains("DBVC_CONN_OTHER"), "{error}");
}

#[test]
fn the_driver_ends_no_statement_by_itself() {
    let connection = ConnectionString::parse(&by_password("Command Timeout=5")).unwrap();
    let proof = Proof::Token(Secret::new(TOKEN));
    let config = config(&connection, connection.server(), HOST, None, &proof);
    assert_eq!(config.get_command_timeout(), None);
    assert!(!format!("{config:?}").contains(TOKEN));
}

#[test]
fn a_failed_login_is_told_by_its_kind() {
    let io = |kind| {
        ConnectError::of_driver(DriverError::Io {
            kind,
            message: "words".to_owned(),
        })
    };
    let no_authorities = io(io::ErrorKind::NotFound);
    assert!(matches!(no_authorities, ConnectError::Certificate { .. }));
    let reset = io(io::ErrorKind::ConnectionReset);
    assert_eq!(reset.failure(), Failure::Transient);
    let alert = io(io::ErrorKind::InvalidData);
    assert!(matches!(alert, ConnectError::Protocol { .. }));
    let downgrade =
        DriverError::Protocol("Server does not allow the requested encryption level.".into());
    let error = ConnectError::of_driver(downgrade);
    assert!(error.to_string().contains("encryption level"), "{error}");
    assert_eq!(error.failure(), Failure::Lasting);
}

#[tokio::test]
async fn a_line_says_that_it_is_alive_and_sends_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = ServerAddress {
        host: "localhost".to_owned(),
        port: listener.local_addr().unwrap().port(),
    };
    let line = Network.dial(&address).await.unwrap();
    assert!(line.nodelay().unwrap());
    assert!(SockRef::from(&line).keepalive().unwrap());
}
