//! A connection that is logged in: resolves the target, proves the login, follows redirects and tries again.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tiberius::error::Error as DriverError;
use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::super::identity::Identities;
use super::connection_string::{ConnectionString, Encryption, ServerAddress};
use super::credentials::{CredentialError, Credentials, Proof};
use super::retry::{Failure, RetryPolicy};
use super::target::{ConnectionVariables, KeyVault, Secrets, Target, TargetError};
use crate::database::reference::ConnectionReference;

/// A connection that is logged in.
pub(super) type Client = tiberius::Client<Compat<TcpStream>>;

/// How often a server may send a login on to another. Azure SQL does it once; who does it more often goes in circles.
const MOST_REDIRECTS: usize = 5;

/// An idle line says after this long, and every so often from then on, that it is alive: a script may run for hours
/// without a byte, and Azure's load balancers forget a line after four minutes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why there is no connection. Says what to do about it; holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It is not known where the database is.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The login cannot be proven.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The server does not let the login in.
    #[error(
        "the server refused the login (error {number}): check user and password, or, for a token, that the database has a user for the app's identity (CREATE USER … FROM EXTERNAL PROVIDER)"
    )]
    LoginRefused {
        /// The server's error number.
        number: u32,
    },
    /// The database cannot be opened.
    #[error(
        "the server cannot open the database (error {number}): check its name, that it exists there, and that the login has a user in it"
    )]
    NoDatabase {
        /// The server's error number.
        number: u32,
    },
    /// A firewall stands between.
    #[error(
        "the server's firewall does not let this machine in (error {number}): add a firewall rule, a virtual network rule or a private endpoint: {message}"
    )]
    Firewall {
        /// The server's error number.
        number: u32,
        /// The server's words, with the address that it saw.
        message: String,
    },
    /// Another error of the server.
    #[error("the server refused the connection (error {number}): {message}")]
    Server {
        /// The server's error number.
        number: u32,
        /// The server's words.
        message: String,
    },
    /// The server has not proven who it is.
    #[error(
        "the server's certificate is not trusted: {message}; have its authority trusted by this machine, give the name in the certificate by HostNameInCertificate, or, on a network that is trusted, set TrustServerCertificate=true"
    )]
    Certificate {
        /// What is wrong with it.
        message: String,
    },
    /// The server cannot be reached at all.
    #[error(
        "the server cannot be reached: {message}; check its name and port, and that it is running"
    )]
    Unreachable {
        /// The operating system's words.
        message: String,
    },
    /// The line broke, or the server fell silent.
    #[error("the line to the server broke while logging in: {kind}")]
    Lost {
        /// In which way.
        kind: io::ErrorKind,
    },
    /// The server is none, or speaks in another way.
    #[error("the server did not answer as SQL Server does: {message}")]
    Protocol {
        /// The driver's words.
        message: String,
    },
    /// The servers sent the login in circles.
    #[error("the login was sent on to another server more than {MOST_REDIRECTS} times")]
    TooManyRedirects,
    /// Trying again did not help.
    #[error("still so after {attempts} attempts in {} s: {last}", elapsed.as_secs())]
    Exhausted {
        /// How often it was tried.
        attempts: u32,
        /// In what time.
        elapsed: Duration,
        /// Why the last attempt failed.
        #[source]
        last: Box<ConnectError>,
    },
}

impl ConnectError {
    /// Why a login failed, when it was not sent on to another server.
    fn of_driver(error: DriverError) -> Self {
        match error {
            DriverError::Server(error) => Self::of_server(error.code(), error.message()),
            DriverError::Tls(message) => Self::Certificate {
                // What follows is advice for who programs with the driver.
                message: message
                    .split(" To connect anyway")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            },
            // No authorities at all, as in a container without them.
            DriverError::Io {
                kind: io::ErrorKind::NotFound,
                message,
            } => Self::Certificate { message },
            DriverError::Io { kind, .. } if Failure::of_io(kind) == Failure::Transient => {
                Self::Lost { kind }
            }
            other => Self::Protocol {
                message: other.to_string(),
            },
        }
    }

    /// Why there is no line.
    fn of_dial(error: &io::Error) -> Self {
        match Failure::of_io(error.kind()) {
            Failure::Transient | Failure::Busy => Self::Lost { kind: error.kind() },
            Failure::Lasting => Self::Unreachable {
                message: error.to_string(),
            },
        }
    }

    /// <https://learn.microsoft.com/azure/azure-sql/database/troubleshoot-common-errors-issues>
    fn of_server(number: u32, message: &str) -> Self {
        match number {
            18452 | 18456 | 18470 | 18486 | 18487 | 18488 => Self::LoginRefused { number },
            911 | 916 | 4060 | 4063 | 4064 => Self::NoDatabase { number },
            40615 | 40914 | 47073 => Self::Firewall {
                number,
                message: message.to_owned(),
            },
            _ => Self::Server {
                number,
                message: message.to_owned(),
            },
        }
    }

    /// What it says about the next attempt.
    fn failure(&self) -> Failure {
        match self {
            Self::NoDatabase { number } | Self::Server { number, .. } => {
                Failure::of_number(*number)
            }
            Self::Lost { kind } => Failure::of_io(*kind),
            Self::Target(_)
            | Self::Credential(_)
            | Self::LoginRefused { .. }
            | Self::Firewall { .. }
            | Self::Certificate { .. }
            | Self::Unreachable { .. }
            | Self::Protocol { .. }
            | Self::TooManyRedirects
            | Self::Exhausted { .. } => Failure::Lasting,
        }
    }

    /// Whether nobody answered in time.
    fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Lost {
                kind: io::ErrorKind::TimedOut
            }
        )
    }

    /// The number of the server's error, if it was one.
    fn number(&self) -> Option<u32> {
        match self {
            Self::LoginRefused { number }
            | Self::NoDatabase { number }
            | Self::Firewall { number, .. }
            | Self::Server { number, .. } => Some(*number),
            _ => None,
        }
    }
}

/// What lies outside of the process, so that tests can put something else in its place.
#[async_trait]
trait Outside: fmt::Debug + Send + Sync {
    /// Opens a line to a server.
    async fn dial(&self, address: &ServerAddress) -> io::Result<TcpStream>;

    /// An authority, as PEM, whose certificates are trusted besides those that the operating system trusts. Defaults to
    /// none.
    fn authority(&self) -> Option<Vec<u8>> {
        None
    }
}

/// The network.
#[derive(Debug)]
struct Network;

#[async_trait]
impl Outside for Network {
    async fn dial(&self, address: &ServerAddress) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in lookup_host((address.host.as_str(), address.port)).await? {
            match TcpStream::connect(address).await {
                Ok(line) => {
                    line.set_nodelay(true)?;
                    let keepalive = TcpKeepalive::new()
                        .with_time(KEEPALIVE)
                        .with_interval(KEEPALIVE);
                    SockRef::from(&line).set_tcp_keepalive(&keepalive)?;
                    return Ok(line);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// What connecting depends on besides the target.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// The identities of the process.
    pub identities: Arc<Identities>,
    /// Further host suffixes that may have a token of it (`DBVC_ALLOWED_HOSTS`). Defaults to none.
    pub allowed_hosts: Vec<String>,
    /// What `env:` references may name.
    pub variables: ConnectionVariables,
    /// How long to wait between attempts.
    pub retry: RetryPolicy,
}

/// Makes the connectors of a process, which share its identity and the secrets that were read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connectors {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    credentials: Arc<Credentials>,
    secrets: Arc<Secrets>,
    variables: ConnectionVariables,
    retry: RetryPolicy,
    outside: Arc<dyn Outside>,
}

impl Connectors {
    /// Over the network.
    pub fn new(options: ConnectOptions) -> Self {
        Self::with(options, Arc::new(Network))
    }

    /// With another outside.
    fn with(options: ConnectOptions, outside: Arc<dyn Outside>) -> Self {
        let vault = KeyVault(options.identities.clone());
        Self {
            shared: Arc::new(Shared {
                secrets: Arc::new(Secrets::new(Arc::new(vault))),
                credentials: Arc::new(Credentials::new(options.identities, options.allowed_hosts)),
                variables: options.variables,
                retry: options.retry,
                outside,
            }),
        }
    }

    /// A connector to the database of a connection string.
    pub fn to(&self, connection: ConnectionString) -> Connector {
        self.connector(connection.into())
    }

    /// A connector to the database that a row of the inventory refers to. Reads no secret yet.
    ///
    /// # Errors
    ///
    /// When the reference leads to no connection string.
    pub fn by(&self, reference: &ConnectionReference) -> Result<Connector, ConnectError> {
        let target = Target::of_reference(reference, &self.shared.variables, &self.shared.secrets)?;
        Ok(self.connector(target))
    }

    fn connector(&self, target: Target) -> Connector {
        Connector {
            target,
            shared: self.shared.clone(),
        }
    }
}

/// Connects to one database. Cheap to clone; its `Debug` form shows no secret.
#[derive(Debug, Clone)]
pub struct Connector {
    target: Target,
    shared: Arc<Shared>,
}

impl Connector {
    /// The connection string as it is now.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read, or is no connection string.
    pub async fn connection_string(&self) -> Result<Arc<ConnectionString>, ConnectError> {
        Ok(self.target.resolve().await?)
    }

    /// Connects and logs in, trying again for as long as `patience` allows when the database may be there soon. A refused
    /// login is tried again only when its secret has been changed. Reading a secret, and getting a token, may take 30 seconds
    /// each besides.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what to do.
    pub(super) async fn connect(&self, patience: Duration) -> Result<Client, ConnectError> {
        super::transcript::prepare();
        let begun = Instant::now();
        let mut connection = self.target.resolve().await?;
        let mut secret_may_be_old = true;
        let mut attempts = 0;
        // What a server said before the last ones fell silent, because it says more.
        let mut said = None;
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let limit = connection.connect_timeout().unwrap_or(left).min(left);
            attempts += 1;
            let error = match self.attempt(&connection, limit).await {
                Ok(client) => return Ok(client),
                Err(error) => error,
            };
            if secret_may_be_old && matches!(error, ConnectError::LoginRefused { .. }) {
                secret_may_be_old = false;
                match self.target.resolve_anew(&connection).await {
                    Ok(Some(changed)) => {
                        connection = changed;
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "a refused secret could not be read anew"),
                }
            }
            let elapsed = begun.elapsed();
            let policy = self.shared.retry;
            match policy.next_wait(error.failure(), attempts, elapsed, patience, jitter()) {
                Some(wait) => {
                    tracing::warn!(
                        number = error.number(),
                        attempts,
                        wait_ms = wait.as_millis(),
                        "connecting failed; trying again"
                    );
                    if said.is_none() || !error.is_silence() {
                        said = Some(error);
                    }
                    sleep(wait).await;
                }
                None if attempts == 1 => return Err(error),
                None => {
                    let said = said.filter(|_| error.is_silence());
                    return Err(ConnectError::Exhausted {
                        attempts,
                        elapsed,
                        last: Box::new(said.unwrap_or(error)),
                    });
                }
            }
        }
    }

    /// One attempt, redirects included. `limit` is for the lines and the servers; a token has a limit of its own.
    async fn attempt(
        &self,
        connection: &ConnectionString,
        limit: Duration,
    ) -> Result<Client, ConnectError> {
        let mut left = limit;
        let mut address = connection.server().clone();
        let mut certificate_name = connection
            .host_in_certificate()
            .unwrap_or(&address.host)
            .to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let proof = self
                .shared
                .credentials
                .prove(
                    connection.authentication(),
                    &address.host,
                    &certificate_name,
                )
                .await?;
            let authority = self.shared.outside.authority();
            let config = config(connection, &address, &certificate_name, authority, &proof);
            let begun = Instant::now();
            let login = async {
                let line = self.shared.outside.dial(&address).await?;
                Ok::<_, io::Error>(Client::connect(config, line.compat_write()).await)
            };
            match timeout(left, login).await {
                Ok(Ok(Ok(client))) => return Ok(client),
                Ok(Ok(Err(DriverError::Routing { host, port }))) => {
                    // Azure may hang the name of an instance to it, which the port already says.
                    let host = host.split('\\').next().unwrap_or_default();
                    address = ServerAddress {
                        host: host.to_ascii_lowercase(),
                        port,
                    };
                    // The name in the connection string is that of the server there.
                    certificate_name = address.host.clone();
                    left = left.saturating_sub(begun.elapsed());
                }
                Ok(Ok(Err(error))) => return Err(ConnectError::of_driver(error)),
                Ok(Err(error)) => return Err(ConnectError::of_dial(&error)),
                Err(_) => {
                    return Err(ConnectError::Lost {
                        kind: io::ErrorKind::TimedOut,
                    });
                }
            }
        }
        Err(ConnectError::TooManyRedirects)
    }
}

/// The driver's settings for one hop.
fn config(
    connection: &ConnectionString,
    address: &ServerAddress,
    certificate_name: &str,
    authority: Option<Vec<u8>>,
    proof: &Proof,
) -> Config {
    let mut config = Config::new();
    config.host(&address.host);
    config.port(address.port);
    config.database(connection.database_name());
    config.application_name(connection.application_name());
    config.hostname_in_certificate(certificate_name);
    config.encryption(match connection.encryption() {
        Encryption::Optional => EncryptionLevel::Off,
        Encryption::Mandatory => EncryptionLevel::Required,
        Encryption::Strict => EncryptionLevel::Strict,
    });
    if connection.trusts_any_certificate() {
        config.trust_cert();
    } else if let Some(authority) = authority {
        config.trust_cert_ca_bundle(authority);
    }
    config.authentication(match proof {
        Proof::Password { user, password } => AuthMethod::sql_server(user, password.secret()),
        Proof::Token(token) => AuthMethod::aad_token(token.secret()),
    });
    // The whole attempt has a limit, of which this would be a part.
    config.handshake_timeout(None);
    // The driver's default of 30 seconds would end a long script. It would also leave the server at work: who limits a
    // statement must cancel it.
    config.command_timeout(None);
    config
}

/// From 0 to 1.
fn jitter() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
