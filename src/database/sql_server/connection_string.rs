//! A connection string in ADO.NET's form: where a database is, and how a login there is proven.
//!
//! Read as SqlClient reads it (`DbConnectionStringBuilder` and the keywords of Microsoft.Data.SqlClient), save that a key
//! or a value that dbvc does not heed is refused instead of ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_core::credentials::Secret;

/// How long an attempt to connect may take when the connection string does not say: SqlClient's default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The port of SQL Server where none is given.
const DEFAULT_PORT: u16 = 1433;

/// What programs are called in `sys.dm_exec_sessions` when the connection string does not say.
const APPLICATION_NAME: &str = "dbvc";

/// Names are `sysname`, and so are these two in the login record.
const LONGEST_NAME: usize = 128;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Name or IP address, in lower case.
    pub host: String,
    /// Its TCP port. Defaults to 1433.
    pub port: u16,
}

/// How the line to the server is encrypted (`Encrypt`). The login itself always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Whatever the server asks for (`false`, `no`, `optional`).
    Optional,
    /// Always (`true`, `yes`, `mandatory`), the default.
    Mandatory,
    /// From the first byte on, as in TDS 8.0 (`strict`).
    Strict,
}

/// How a login is proven (`Authentication`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// By a user of the database or the server, and its password.
    SqlPassword {
        /// The name of the user.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// By a token of whatever identity the process has: the default without user and password.
    Default {
        /// Client id of a user-assigned identity.
        client_id: Option<String>,
    },
    /// By a token of the managed identity of the app.
    ManagedIdentity {
        /// Client id of a user-assigned identity; none is the system-assigned one.
        client_id: Option<String>,
    },
    /// By a token for a registered application.
    ServicePrincipal {
        /// Its client id.
        client_id: String,
        /// One of its secrets.
        secret: Secret,
    },
    /// By a token that is exchanged for the one that Kubernetes gave.
    WorkloadIdentity {
        /// Client id of the identity; none is `AZURE_CLIENT_ID`.
        client_id: Option<String>,
    },
}

/// A connection string that dbvc can heed in full. Its `Debug` form shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString {
    server: ServerAddress,
    database: String,
    authentication: Authentication,
    encryption: Encryption,
    trusts_any_certificate: bool,
    host_in_certificate: Option<String>,
    connect_timeout: Option<Duration>,
    command_timeout: Option<Duration>,
    application_name: String,
}

/// Why a text is no connection string for dbvc. No value is ever repeated, because any may be a password, and no key that
/// nobody knows, because it may be a piece of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionStringError {
    /// Not a list of `Key=Value`.
    #[error(
        "part {part} is not Key=Value; a value that holds ; or begins or ends with a blank or a quote must be put in quotes"
    )]
    Syntax {
        /// Which part of the list, counted from 1.
        part: usize,
    },
    /// A key that nobody knows.
    #[error(
        "part {part} has a key that SQL Server's clients do not know; a value that holds ; must be put in quotes"
    )]
    UnknownKey {
        /// Which part of the list, counted from 1.
        part: usize,
    },
    /// A key of SqlClient that dbvc does not heed.
    #[error("{0} is no key that dbvc can heed; remove it")]
    UnsupportedKey(&'static str),
    /// A key whose value dbvc does not heed.
    #[error("{key} {remedy}")]
    Value {
        /// The key.
        key: &'static str,
        /// What would be right.
        remedy: &'static str,
    },
    /// A way to log in that dbvc does not have.
    #[error(
        "Authentication={0} is not possible for a program without a person; use Sql Password, Active Directory Default, Active Directory Managed Identity, Active Directory Service Principal or Active Directory Workload Identity"
    )]
    UnsupportedAuthentication(&'static str),
    /// A value that a person was to replace.
    #[error("{key} still holds the placeholder of the Azure portal; put in the real value")]
    Placeholder {
        /// The key.
        key: &'static str,
    },
    /// A key without which nothing can be reached.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A password without a user.
    #[error("a password is given without a user")]
    PasswordWithoutUser,
    /// A user without a password.
    #[error(
        "a user is given without a password; for a token of a user-assigned identity add Authentication=Active Directory Managed Identity"
    )]
    UserWithoutPassword,
    /// A password where a token proves the login.
    #[error("a password has no place beside this Authentication, which uses a token")]
    PasswordBesideToken,
    /// A token would be sent to whoever answers.
    #[error(
        "TrustServerCertificate=true is not possible without a password: a token is sent only to a server that has proven who it is"
    )]
    TokenWithoutCertificate,
}

impl ConnectionString {
    /// Reads a connection string.
    ///
    /// # Errors
    ///
    /// [`ConnectionStringError`] says what is wrong without repeating any value.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let mut given = Given::default();
        for (index, (key, value)) in pairs(text)?.into_iter().enumerate() {
            match known(&key) {
                Some(Known::Heeded(key)) => given.set(key, value)?,
                Some(Known::WithoutEffect) => {}
                Some(Known::OnlyAs {
                    key,
                    allowed,
                    remedy,
                }) => only_as(key, &value, allowed, remedy)?,
                Some(Known::Unsupported(key)) => {
                    return Err(ConnectionStringError::UnsupportedKey(key));
                }
                None => return Err(ConnectionStringError::UnknownKey { part: index + 1 }),
            }
        }
        given.complete()
    }

    /// A database by its name at a server, with everything else at its default: reached with user and password, or, when
    /// there is neither, with a token of the app's identity.
    ///
    /// # Errors
    ///
    /// [`ConnectionStringError`], as for a connection string of these parts.
    pub fn from_parts(
        server: &str,
        database: &str,
        user: Option<String>,
        password: Option<String>,
    ) -> Result<Self, ConnectionStringError> {
        let mut given = Given::default();
        given.set(Key::Server, server.to_owned())?;
        given.set(Key::Database, database.to_owned())?;
        if let Some(user) = user {
            given.set(Key::User, user)?;
        }
        if let Some(password) = password {
            given.set(Key::Password, password)?;
        }
        given.complete()
    }

    /// A database that is reached with a token of the app's identity.
    ///
    /// # Errors
    ///
    /// [`ConnectionStringError`], as for a connection string of these parts.
    pub fn for_identity(server: &str, database: &str) -> Result<Self, ConnectionStringError> {
        Self::from_parts(server, database, None, None)
    }

    /// The server, for people.
    pub fn server_name(&self) -> &str {
        &self.server.host
    }

    /// The database.
    pub fn database_name(&self) -> &str {
        &self.database
    }

    /// Where the server listens.
    pub(super) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// How a login is proven.
    pub(super) fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// How the line is encrypted. Defaults to [`Encryption::Mandatory`].
    pub(super) fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// Whether the server need not prove who it is (`TrustServerCertificate`). Defaults to no, and is never so where a
    /// token proves the login.
    pub(super) fn trusts_any_certificate(&self) -> bool {
        self.trusts_any_certificate
    }

    /// The name that the server's certificate must bear, when it is not the server's (`HostNameInCertificate`).
    pub(super) fn host_in_certificate(&self) -> Option<&str> {
        self.host_in_certificate.as_deref()
    }

    /// How long one attempt to connect may take (`Connect Timeout`); none (`0`) is no limit of its own. Defaults to
    /// 15 seconds.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// How long a statement of a script may take, unless `DBVC_STATEMENT_TIMEOUT` says (`Command Timeout`); none (absent
    /// or `0`) is no limit. Not the 30 seconds of SqlClient: a migration takes the time that it takes.
    pub fn command_timeout(&self) -> Option<Duration> {
        self.command_timeout
    }

    /// What the program is called at the server. Defaults to `dbvc`.
    pub(super) fn application_name(&self) -> &str {
        &self.application_name
    }
}

/// The keys that dbvc heeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Server,
    Database,
    User,
    Password,
    Authentication,
    Encrypt,
    TrustServerCertificate,
    HostNameInCertificate,
    ConnectTimeout,
    CommandTimeout,
    ApplicationName,
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "Server",
            Self::Database => "Database",
            Self::User => "User ID",
            Self::Password => "Password",
            Self::Authentication => "Authentication",
            Self::Encrypt => "Encrypt",
            Self::TrustServerCertificate => "TrustServerCertificate",
            Self::HostNameInCertificate => "HostNameInCertificate",
            Self::ConnectTimeout => "Connect Timeout",
            Self::CommandTimeout => "Command Timeout",
            Self::ApplicationName => "Application Name",
        }
    }

    fn wrong(self, remedy: &'static str) -> ConnectionStringError {
        ConnectionStringError::Value {
            key: self.name(),
            remedy,
        }
    }
}

/// What dbvc does about a key.
enum Known {
    Heeded(Key),
    /// Says how SqlClient pools, or what dbvc does anyway.
    WithoutEffect,
    /// Has one meaning that dbvc can promise.
    OnlyAs {
        key: &'static str,
        allowed: &'static [&'static str],
        remedy: &'static str,
    },
    Unsupported(&'static str),
}

/// Blanks within a key are of no account: SqlClient knows most keys with and without them.
fn known(key: &str) -> Option<Known> {
    let plain: String = key
        .chars()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let heeded = match plain.as_str() {
        "server" | "datasource" | "address" | "addr" | "networkaddress" => Key::Server,
        "database" | "initialcatalog" => Key::Database,
        "userid" | "uid" | "user" => Key::User,
        "password" | "pwd" => Key::Password,
        "authentication" => Key::Authentication,
        "encrypt" => Key::Encrypt,
        "trustservercertificate" => Key::TrustServerCertificate,
        "hostnameincertificate" => Key::HostNameInCertificate,
        "connecttimeout" | "connectiontimeout" | "timeout" => Key::ConnectTimeout,
        "commandtimeout" => Key::CommandTimeout,
        "applicationname" | "app" => Key::ApplicationName,
        other => return not_heeded(other),
    };
    Some(Known::Heeded(heeded))
}

fn not_heeded(plain: &str) -> Option<Known> {
    let unsupported = match plain {
        "persistsecurityinfo"
        | "multipleactiveresultsets"
        | "pooling"
        | "minpoolsize"
        | "maxpoolsize"
        | "poolblockingperiod"
        | "loadbalancetimeout"
        | "connectionlifetime"
        | "connectretrycount"
        | "connectretryinterval"
        | "workstationid"
        | "wsid"
        | "packetsize"
        | "asynchronousprocessing"
        | "async"
        | "enlist"
        | "multisubnetfailover"
        | "transparentnetworkipresolution"
        | "ipaddresspreference" => return Some(Known::WithoutEffect),
        "integratedsecurity" | "trusted_connection" => {
            return Some(Known::OnlyAs {
                key: "Integrated Security",
                allowed: &["false", "no"],
                remedy: "is not possible: dbvc has no Windows session; give User ID and Password, or neither for a token of \
                         the app's identity",
            });
        }
        "applicationintent" => {
            return Some(Known::OnlyAs {
                key: "ApplicationIntent",
                allowed: &["readwrite"],
                remedy: "must be ReadWrite: dbvc writes",
            });
        }
        "columnencryptionsetting" => {
            return Some(Known::OnlyAs {
                key: "Column Encryption Setting",
                allowed: &["disabled"],
                remedy: "must be Disabled: dbvc does not encrypt columns",
            });
        }
        "attachdbfilename" | "extendedproperties" | "initialfilename" => "AttachDBFilename",
        "attestationprotocol" => "Attestation Protocol",
        "contextconnection" => "Context Connection",
        "currentlanguage" | "language" => "Current Language",
        "enclaveattestationurl" => "Enclave Attestation Url",
        "failoverpartner" => "Failover Partner",
        "failoverpartnerspn" => "Failover Partner SPN",
        "networklibrary" | "network" | "net" => "Network Library",
        "replication" => "Replication",
        "servercertificate" => "Server Certificate",
        "serverspn" => "Server SPN",
        "transactionbinding" => "Transaction Binding",
        "typesystemversion" => "Type System Version",
        "userinstance" => "User Instance",
        _ => return None,
    };
    Some(Known::Unsupported(unsupported))
}

fn only_as(
    key: &'static str,
    value: &str,
    allowed: &[&str],
    remedy: &'static str,
) -> Result<(), ConnectionStringError> {
    let is_default = value.is_empty();
    if is_default
        || allowed
            .iter()
            .any(|allowed| value.eq_ignore_ascii_case(allowed))
    {
        Ok(())
    } else {
        Err(ConnectionStringError::Value { key, remedy })
    }
}

/// What was given, by key: a later one wins, and an empty one is as none.
#[derive(Default)]
struct Given(BTreeMap<Key, String>);

impl Given {
    fn set(&mut self, key: Key, value: String) -> Result<(), ConnectionStringError> {
        if is_placeholder(&value) {
            return Err(ConnectionStringError::Placeholder { key: key.name() });
        }
        if value.is_empty() {
            self.0.remove(&key);
        } else {
            self.0.insert(key, value);
        }
        Ok(())
    }

    fn take(&mut self, key: Key) -> Option<String> {
        self.0.remove(&key)
    }

    fn flag(&mut self, key: Key) -> Result<Option<bool>, ConnectionStringError> {
        self.take(key)
            .map(|value| match value.to_ascii_lowercase().as_str() {
                "true" | "yes" => Ok(true),
                "false" | "no" => Ok(false),
                _ => Err(key.wrong("must be true or false")),
            })
            .transpose()
    }

    fn seconds(&mut self, key: Key) -> Result<Option<Duration>, ConnectionStringError> {
        self.take(key)
            .map(|value| {
                let seconds = value.parse::<u32>();
                seconds
                    .map(|seconds| Duration::from_secs(seconds.into()))
                    .map_err(|_| key.wrong("must be a whole number of seconds, 0 or more"))
            })
            .transpose()
    }

    fn name(&mut self, key: Key) -> Result<Option<String>, ConnectionStringError> {
        match self.take(key) {
            Some(name) if name.encode_utf16().count() > LONGEST_NAME => {
                Err(key.wrong("must be at most 128 characters long"))
            }
            name => Ok(name),
        }
    }

    fn complete(mut self) -> Result<ConnectionString, ConnectionStringError> {
        let server = self
            .take(Key::Server)
            .ok_or(ConnectionStringError::Missing(Key::Server.name()))?;
        let server = server_address(&server).map_err(|remedy| Key::Server.wrong(remedy))?;
        let database = self
            .name(Key::Database)?
            .ok_or(ConnectionStringError::Missing(Key::Database.name()))?;
        let authentication = self.authentication()?;
        let encryption = match self.take(Key::Encrypt) {
            None => Encryption::Mandatory,
            Some(value) => match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "mandatory" => Encryption::Mandatory,
                "false" | "no" | "optional" => Encryption::Optional,
                "strict" => Encryption::Strict,
                _ => return Err(Key::Encrypt.wrong("must be mandatory, optional or strict")),
            },
        };
        let trusts_any_certificate = self.flag(Key::TrustServerCertificate)?.unwrap_or(false);
        let is_by_password = matches!(authentication, Authentication::SqlPassword { .. });
        if trusts_any_certificate && !is_by_password {
            return Err(ConnectionStringError::TokenWithoutCertificate);
        }
        let host_in_certificate = self.take(Key::HostNameInCertificate);
        if !host_in_certificate.as_deref().is_none_or(is_host) {
            return Err(Key::HostNameInCertificate.wrong("must be the name of a host"));
        }
        let connect_timeout = self
            .seconds(Key::ConnectTimeout)?
            .unwrap_or(CONNECT_TIMEOUT);
        let command_timeout = self.seconds(Key::CommandTimeout)?.unwrap_or_default();
        let some = |limit: Duration| (!limit.is_zero()).then_some(limit);
        Ok(ConnectionString {
            server,
            database,
            authentication,
            encryption,
            trusts_any_certificate,
            host_in_certificate: host_in_certificate.map(|host| host.to_ascii_lowercase()),
            connect_timeout: some(connect_timeout),
            command_timeout: some(command_timeout),
            application_name: self
                .name(Key::ApplicationName)?
                .unwrap_or_else(|| APPLICATION_NAME.to_owned()),
        })
    }

    fn authentication(&mut self) -> Result<Authentication, ConnectionStringError> {
        let user = self.name(Key::User)?;
        let password = self.take(Key::Password).map(Secret::new);
        let method = match self.take(Key::Authentication) {
            Some(value) => method(&value)?,
            None => Method::NotSpecified,
        };
        match (method, user, password) {
            (Method::SqlPassword | Method::NotSpecified, Some(user), Some(password)) => {
                Ok(Authentication::SqlPassword { user, password })
            }
            (Method::ServicePrincipal, Some(client_id), Some(secret)) => {
                Ok(Authentication::ServicePrincipal { client_id, secret })
            }
            (Method::NotSpecified, None, None) => Ok(Authentication::Default { client_id: None }),
            (Method::Default, client_id, None) => Ok(Authentication::Default { client_id }),
            (Method::ManagedIdentity, client_id, None) => {
                Ok(Authentication::ManagedIdentity { client_id })
            }
            (Method::WorkloadIdentity, client_id, None) => {
                Ok(Authentication::WorkloadIdentity { client_id })
            }
            (Method::SqlPassword, None, None) => {
                Err(ConnectionStringError::Missing(Key::User.name()))
            }
            (Method::ServicePrincipal, None, None) => Err(Key::Authentication.wrong(
                "needs the client id of the application as User ID and its secret as Password",
            )),
            (
                Method::SqlPassword | Method::ServicePrincipal | Method::NotSpecified,
                Some(_),
                None,
            ) => Err(ConnectionStringError::UserWithoutPassword),
            (
                Method::SqlPassword | Method::ServicePrincipal | Method::NotSpecified,
                None,
                Some(_),
            ) => Err(ConnectionStringError::PasswordWithoutUser),
            (Method::Default | Method::ManagedIdentity | Method::WorkloadIdentity, _, Some(_)) => {
                Err(ConnectionStringError::PasswordBesideToken)
            }
        }
    }
}

/// The values of `Authentication` that dbvc heeds.
#[derive(Debug, Clone, Copy)]
enum Method {
    NotSpecified,
    SqlPassword,
    Default,
    ManagedIdentity,
    ServicePrincipal,
    WorkloadIdentity,
}

fn method(value: &str) -> Result<Method, ConnectionStringError> {
    let plain: String = value
        .chars()
        .filter(|character| !character.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let unsupported = match plain.as_str() {
        "notspecified" => return Ok(Method::NotSpecified),
        "sqlpassword" => return Ok(Method::SqlPassword),
        "activedirectorydefault" => return Ok(Method::Default),
        "activedirectorymanagedidentity" | "activedirectorymsi" => {
            return Ok(Method::ManagedIdentity);
        }
        "activedirectoryserviceprincipal" => return Ok(Method::ServicePrincipal),
        "activedirectoryworkloadidentity" => return Ok(Method::WorkloadIdentity),
        "activedirectoryinteractive" => "Active Directory Interactive",
        "activedirectoryintegrated" => "Active Directory Integrated",
        "activedirectorypassword" => "Active Directory Password",
        "activedirectorydevicecodeflow" | "activedirectorydevicecode" => {
            "Active Directory Device Code Flow"
        }
        "sqlcertificate" => "Sql Certificate",
        _ => {
            return Err(Key::Authentication.wrong(
                "must be Sql Password, Active Directory Default, Active Directory Managed Identity, Active Directory \
                 Service Principal or Active Directory Workload Identity",
            ));
        }
    };
    Err(ConnectionStringError::UnsupportedAuthentication(
        unsupported,
    ))
}

/// `{your_password}`, `{your_username}` and the like, as the portal writes them. Braces are no quotes for SqlClient.
fn is_placeholder(value: &str) -> bool {
    let inner = value
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        inner
            .get(..5)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("your_"))
    })
}

/// The address in a value of `Server`, or what would be right.
fn server_address(value: &str) -> Result<ServerAddress, &'static str> {
    const NOT_TCP: &str =
        "must be reached by TCP: write host or host,port without np:, lpc: or admin:";
    const LOCAL_DB: &str = "names a LocalDB, which only its own machine's drivers can start; give host and port of a server";
    const INSTANCE: &str = "names an instance without its port; give the port: host,port";
    const FORM: &str = "must be host or host,port";
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    if ["np:", "lpc:", "admin:"]
        .iter()
        .any(|protocol| lower.starts_with(protocol))
        || lower.starts_with("\\\\")
    {
        return Err(NOT_TCP);
    }
    if lower.starts_with("(localdb)") {
        return Err(LOCAL_DB);
    }
    let address = lower.strip_prefix("tcp:").unwrap_or(&lower).trim();
    let (host, port) = match address.split_once(',') {
        Some((host, port)) => (host.trim(), Some(port.trim())),
        None => (address, None),
    };
    // With a port, SqlClient does not ask which instance it is.
    let host = match (host.split_once('\\'), port) {
        (Some((host, _)), Some(_)) => host.trim(),
        (Some(_), None) => return Err(INSTANCE),
        (None, _) => host,
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port != 0 => port,
            _ => return Err("must end in a port from 1 to 65535 behind the comma"),
        },
    };
    let host = match host {
        "." | "(local)" => "localhost",
        other => other
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(other),
    };
    if host
        .split_once(':')
        .is_some_and(|(_, rest)| !rest.contains(':'))
    {
        return Err("must have the port behind a comma: host,port");
    }
    if !is_host(host) {
        return Err(FORM);
    }
    Ok(ServerAddress {
        host: host.to_owned(),
        port,
    })
}

/// A name, or an address of either kind.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

/// The pairs of a connection string, in their order. The rules are those of `DbConnectionOptions` in .NET: keys are
/// trimmed, `==` is an equal sign of a key, a value in `'` or `"` holds its quote doubled, other values are trimmed and
/// must not end in a quote, and control characters other than blanks are for quoted values only.
fn pairs(text: &str) -> Result<Vec<(String, String)>, ConnectionStringError> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        let wrong = ConnectionStringError::Syntax {
            part: pairs.len() + 1,
        };
        while rest
            .next_if(|character| *character == ';' || character.is_whitespace())
            .is_some()
        {}
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let Some(key) = read_key(&mut rest) else {
            return Err(wrong);
        };
        let Some(value) = read_value(&mut rest) else {
            return Err(wrong);
        };
        pairs.push((key, value));
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// A character that has no place outside quotes.
fn is_forbidden(character: char) -> bool {
    character.is_control() && !character.is_whitespace()
}

fn read_key(rest: &mut Characters<'_>) -> Option<String> {
    let mut key = String::new();
    loop {
        match rest.next()? {
            '=' if rest.next_if_eq(&'=').is_some() => key.push('='),
            '=' => break,
            character if is_forbidden(character) => return None,
            character => key.push(character),
        }
    }
    let key = key.trim();
    (!key.is_empty()).then(|| key.to_owned())
}

fn read_value(rest: &mut Characters<'_>) -> Option<String> {
    while rest
        .next_if(|character| character.is_whitespace())
        .is_some()
    {}
    match rest.next_if(|character| matches!(character, '\'' | '"')) {
        Some(quote) => read_quoted(rest, quote),
        None => read_plain(rest),
    }
}

fn read_plain(rest: &mut Characters<'_>) -> Option<String> {
    let mut value = String::new();
    while let Some(character) = rest.next_if(|character| *character != ';') {
        if is_forbidden(character) {
            return None;
        }
        value.push(character);
    }
    let value = value.trim_end();
    (!value.ends_with(['\'', '"'])).then(|| value.to_owned())
}

fn read_quoted(rest: &mut Characters<'_>, quote: char) -> Option<String> {
    let mut value = String::new();
    loop {
        match rest.next()? {
            '\0' => return None,
            character if character == quote => {
                if rest.next_if_eq(&quote).is_none() {
                    break;
                }
                value.push(quote);
            }
            character => value.push(character),
        }
    }
    while rest
        .next_if(|character| character.is_whitespace())
        .is_some()
    {}
    match rest.peek() {
        None | Some(';') => Some(value),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> ConnectionStringError {
        ConnectionString::parse(text)
            .map(|connection| panic!("{text} was accepted as {connection:?}"))
            .unwrap_or_else(|error| error)
    }

    /// What a value of `Password` is read as, with the other keys around it.
    fn password(value: &str) -> Result<String, ConnectionStringError> {
        let text = format!("Server=s;User ID=ada;Password={value};Database=d");
        match ConnectionString::parse(&text)?.authentication {
            Authentication::SqlPassword { password, .. } => Ok(password.secret().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_string_of_the_portal_is_read() {
        let connection = parse(
            "Server=tcp:lpa.database.windows.net,1433;Initial Catalog=lpa-bloom-db-dev;Persist Security Info=False;\
             User ID=ada;Password=hush;MultipleActiveResultSets=False;Encrypt=True;TrustServerCertificate=False;\
             Connection Timeout=30;",
        );
        assert_eq!(connection.server_name(), "lpa.database.windows.net");
        assert_eq!(connection.server().port, 1433);
        assert_eq!(connection.database_name(), "lpa-bloom-db-dev");
        assert_eq!(
            *connection.authentication(),
            Authentication::SqlPassword {
                user: "ada".to_owned(),
                password: Secret::new("hush"),
            }
        );
        assert_eq!(connection.encryption(), Encryption::Mandatory);
        assert!(!connection.trusts_any_certificate());
        assert_eq!(connection.connect_timeout(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn what_is_not_said_is_at_its_default() {
        let connection = parse("server=s;database=d");
        assert_eq!(connection.server().port, 1433);
        assert_eq!(
            *connection.authentication(),
            Authentication::Default { client_id: None }
        );
        assert_eq!(connection.encryption(), Encryption::Mandatory);
        assert!(!connection.trusts_any_certificate());
        assert_eq!(connection.host_in_certificate(), None);
        assert_eq!(connection.connect_timeout(), Some(Duration::from_secs(15)));
        assert_eq!(connection.command_timeout(), None);
        assert_eq!(connection.application_name(), "dbvc");
        assert_eq!(
            connection,
            ConnectionString::for_identity("s", "d").unwrap()
        );
    }

    #[test]
    fn every_key_is_heeded() {
        let connection = parse(
            "Server=S.Example,1444;Database=d;User ID=ada;Password=x;Encrypt=strict;TrustServerCertificate=yes;\
             HostNameInCertificate=Cert.Example;Connect Timeout=0;Command Timeout=600;Application Name=pipeline",
        );
        assert_eq!(
            *connection.server(),
            ServerAddress {
                host: "s.example".to_owned(),
                port: 1444,
            }
        );
        assert_eq!(connection.encryption(), Encryption::Strict);
        assert!(connection.trusts_any_certificate());
        assert_eq!(connection.host_in_certificate(), Some("cert.example"));
        assert_eq!(connection.connect_timeout(), None);
        assert_eq!(connection.command_timeout(), Some(Duration::from_secs(600)));
        assert_eq!(connection.application_name(), "pipeline");
        assert_eq!(
            parse("Server=s;Database=d;Command Timeout=0").command_timeout(),
            None
        );
    }

    #[test]
    fn a_key_has_many_names() {
        let plain = parse("Server=s;Database=d;User ID=u;Password=p;Connect Timeout=5");
        for server in [
            "Data Source",
            "ADDRESS",
            "addr",
            "Network Address",
            "datasource",
        ] {
            for database in ["Initial Catalog", "InitialCatalog", "database"] {
                for user in ["UID", "User", "UserID"] {
                    for word in ["PWD", "password"] {
                        for limit in ["Connection Timeout", "TIMEOUT", "ConnectTimeout"] {
                            let text =
                                format!("{server}=s;{database}=d;{user}=u;{word}=p;{limit}=5");
                            assert_eq!(parse(&text), plain, "{text}");
                        }
                    }
                }
            }
        }
    }

    /// <https://learn.microsoft.com/dotnet/framework/data/adonet/connection-string-syntax>
    #[test]
    fn quotes_are_those_of_dotnet() {
        for (written, read) in [
            ("plain", "plain"),
            ("  two words  ", "two words"),
            ("'  kept  '", "  kept  "),
            ("\" kept \"  ", " kept "),
            ("'a;b=c'", "a;b=c"),
            ("\"a;b\"", "a;b"),
            ("'it''s'", "it's"),
            ("\"say \"\"x\"\"\"", "say \"x\""),
            ("'a\"b'", "a\"b"),
            ("\"a'b\"", "a'b"),
            ("a'b", "a'b"),
            ("a=b", "a=b"),
            (" =b", "=b"),
            (" ==", "=="),
            ("{braces}", "{braces}"),
            ("{a", "{a"),
            ("a\tb", "a\tb"),
            ("'a\u{1}b'", "a\u{1}b"),
            ("пароль", "пароль"),
        ] {
            assert_eq!(password(written).as_deref(), Ok(read), "{written}");
        }
        for wrong in [
            "'open", "\"open", "'a'b", "a'", "a\"", "b''", "a\u{1}b", "'a\0b'", "'a' 'b'",
        ] {
            assert_eq!(
                password(wrong),
                Err(ConnectionStringError::Syntax { part: 3 }),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_key_is_trimmed_and_may_hold_an_equal_sign() {
        assert_eq!(
            pairs(" ; a b = 1 ;; x==y=2; \t").unwrap(),
            [
                ("a b".to_owned(), "1".to_owned()),
                ("x=y".to_owned(), "2".to_owned())
            ]
        );
        assert_eq!(pairs("a=").unwrap(), [("a".to_owned(), String::new())]);
        assert_eq!(pairs("").unwrap(), []);
        for (wrong, part) in [
            ("a", 1),
            ("a=1;b", 2),
            ("=1", 1),
            (" =1", 1),
            ("a==", 1),
            ("a\u{1}=1", 1),
            ("a=1;'b'", 2),
        ] {
            assert_eq!(
                pairs(wrong),
                Err(ConnectionStringError::Syntax { part }),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_last_of_two_counts_and_an_empty_one_is_none() {
        assert_eq!(
            parse("Server=a;Data Source=b;Database=d").server_name(),
            "b"
        );
        assert_eq!(
            refused("Server=a;Server=;Database=d"),
            ConnectionStringError::Missing("Server")
        );
        let emptied = parse("Server=a;Database=d;Encrypt=;User ID='';Password=;Connect Timeout= ");
        assert_eq!(emptied, parse("Server=a;Database=d"));
    }

    #[test]
    fn a_server_is_host_and_port() {
        for (written, host, port) in [
            ("s", "s", 1433),
            ("TCP:S.database.windows.net", "s.database.windows.net", 1433),
            ("tcp: s , 1444 ", "s", 1444),
            (".", "localhost", 1433),
            ("(local)", "localhost", 1433),
            ("(LOCAL),1444", "localhost", 1444),
            ("s\\instance,1444", "s", 1444),
            (".\\sqlexpress,1444", "localhost", 1444),
            ("127.0.0.1,1444", "127.0.0.1", 1444),
            ("::1", "::1", 1433),
            ("tcp:[fe80::1],1444", "fe80::1", 1444),
            ("my_server", "my_server", 1433),
        ] {
            let address = server_address(written);
            let expected = ServerAddress {
                host: host.to_owned(),
                port,
            };
            assert_eq!(address, Ok(expected), "{written}");
        }
        for (written, word) in [
            ("s\\instance", "port"),
            ("np:\\\\s\\pipe\\sql\\query", "TCP"),
            ("\\\\s\\pipe\\sql\\query", "TCP"),
            ("lpc:s", "TCP"),
            ("admin:s", "TCP"),
            ("(localdb)\\MSSQLLocalDB", "LocalDB"),
            ("s:1433", "comma"),
            ("s,0", "65535"),
            ("s,65536", "65535"),
            ("s,", "65535"),
            ("s,1433,1434", "65535"),
            ("https://s", "host"),
            ("a b", "host"),
            (",1433", "host"),
            ("tcp:", "host"),
        ] {
            let remedy = server_address(written).unwrap_err();
            assert!(remedy.contains(word), "{written}: {remedy}");
            let text = format!("Server='{written}';Database=d");
            assert_eq!(refused(&text), Key::Server.wrong(remedy));
        }
    }

    #[test]
    fn a_database_is_always_named() {
        for text in [
            "Server=s",
            "Server=s;Database= ",
            "Server=s;Initial Catalog=''",
        ] {
            assert_eq!(refused(text), ConnectionStringError::Missing("Database"));
        }
        let long = "d".repeat(129);
        assert!(matches!(
            refused(&format!("Server=s;Database={long}")),
            ConnectionStringError::Value {
                key: "Database",
                ..
            }
        ));
        assert_eq!(refused(""), ConnectionStringError::Missing("Server"));
    }

    #[test]
    fn each_authentication_says_how_a_login_is_proven() {
        let authentication = |text: &str| {
            parse(&format!("Server=s;Database=d;{text}"))
                .authentication()
                .clone()
        };
        let id = || Some("id".to_owned());
        for (text, expected) in [
            ("", Authentication::Default { client_id: None }),
            (
                "Authentication=Active Directory Default",
                Authentication::Default { client_id: None },
            ),
            (
                "Authentication=ActiveDirectoryDefault;User ID=id",
                Authentication::Default { client_id: id() },
            ),
            (
                "Authentication=active directory msi",
                Authentication::ManagedIdentity { client_id: None },
            ),
            (
                "Authentication='Active Directory Managed Identity';UID=id",
                Authentication::ManagedIdentity { client_id: id() },
            ),
            (
                "Authentication=Active Directory Workload Identity;User=id",
                Authentication::WorkloadIdentity { client_id: id() },
            ),
            (
                "Authentication=Active Directory Service Principal;User ID=id;Password=hush",
                Authentication::ServicePrincipal {
                    client_id: "id".to_owned(),
                    secret: Secret::new("hush"),
                },
            ),
        ] {
            assert_eq!(authentication(text), expected, "{text}");
        }
        let by_password = Authentication::SqlPassword {
            user: "id".to_owned(),
            password: Secret::new("hush"),
        };
        for text in [
            "",
            "Authentication=SqlPassword;",
            "Authentication=Sql Password;",
        ] {
            let text = format!("{text}User ID=id;Password=hush");
            assert_eq!(authentication(&text), by_password);
        }
    }

    #[test]
    fn a_login_that_cannot_be_proven_is_refused() {
        use ConnectionStringError as Error;
        for (text, expected) in [
            ("User ID=u", Error::UserWithoutPassword),
            ("Password=p", Error::PasswordWithoutUser),
            (
                "Authentication=Sql Password;User ID=u",
                Error::UserWithoutPassword,
            ),
            ("Authentication=Sql Password", Error::Missing("User ID")),
            (
                "Authentication=Active Directory Default;User ID=u;Password=p",
                Error::PasswordBesideToken,
            ),
            (
                "Authentication=Active Directory MSI;Password=p",
                Error::PasswordBesideToken,
            ),
            (
                "Authentication=Active Directory Service Principal;User ID=u",
                Error::UserWithoutPassword,
            ),
            (
                "Authentication=Active Directory Interactive",
                Error::UnsupportedAuthentication("Active Directory Interactive"),
            ),
            (
                "Authentication=ActiveDirectoryIntegrated",
                Error::UnsupportedAuthentication("Active Directory Integrated"),
            ),
            (
                "Authentication=Active Directory Password;User ID=u;Password=p",
                Error::UnsupportedAuthentication("Active Directory Password"),
            ),
            (
                "Authentication=Active Directory Device Code Flow",
                Error::UnsupportedAuthentication("Active Directory Device Code Flow"),
            ),
            (
                "TrustServerCertificate=true",
                Error::TokenWithoutCertificate,
            ),
            (
                "Authentication=Active Directory Service Principal;User ID=u;Password=p;TrustServerCertificate=true",
                Error::TokenWithoutCertificate,
            ),
        ] {
            assert_eq!(refused(&format!("Server=s;Database=d;{text}")), expected);
        }
    }

    #[test]
    fn windows_logins_are_refused_by_name() {
        for text in [
            "Integrated Security=true",
            "Trusted_Connection=yes",
            "Integrated Security=SSPI",
        ] {
            let error = refused(&format!("Server=s;Database=d;{text}"));
            assert!(
                error.to_string().starts_with("Integrated Security "),
                "{error}"
            );
        }
        parse("Server=s;Database=d;Integrated Security=false;Trusted_Connection=No");
    }

    #[test]
    fn keys_that_change_nothing_are_accepted() {
        let plain = parse("Server=s;Database=d");
        for text in [
            "Persist Security Info=True",
            "MultipleActiveResultSets=True",
            "Pooling=false",
            "Min Pool Size=1;Max Pool Size=9",
            "Connect Retry Count=3;ConnectRetryInterval=10",
            "Workstation ID=laptop;WSID=laptop",
            "Packet Size=8000",
            "Asynchronous Processing=True",
            "Column Encryption Setting=Disabled",
            "ApplicationIntent=ReadWrite;Application Intent=",
            "MultiSubnetFailover=True",
        ] {
            assert_eq!(
                parse(&format!("Server=s;Database=d;{text}")),
                plain,
                "{text}"
            );
        }
    }

    #[test]
    fn keys_that_dbvc_would_have_to_heed_are_refused() {
        for (text, key) in [
            ("ApplicationIntent=ReadOnly", "ApplicationIntent"),
            (
                "Column Encryption Setting=Enabled",
                "Column Encryption Setting",
            ),
            ("AttachDbFilename=x", "AttachDBFilename"),
            ("Failover Partner=x", "Failover Partner"),
            ("Network Library=dbnmpntw", "Network Library"),
            ("Server Certificate=x", "Server Certificate"),
            ("User Instance=true", "User Instance"),
        ] {
            let error = refused(&format!("Server=s;Database=d;{text}")).to_string();
            assert!(error.starts_with(key), "{error}");
        }
        assert_eq!(
            refused("Server=s;Datbase=d"),
            ConnectionStringError::UnknownKey { part: 2 }
        );
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_key() {
        for (text, name) in [
            ("Encrypt=perhaps", "Encrypt"),
            ("TrustServerCertificate=1", "TrustServerCertificate"),
            ("Connect Timeout=soon", "Connect Timeout"),
            ("Connect Timeout=-1", "Connect Timeout"),
            ("Command Timeout=1.5", "Command Timeout"),
            ("HostNameInCertificate=a/b", "HostNameInCertificate"),
            ("Authentication=Magic", "Authentication"),
        ] {
            match refused(&format!("Server=s;Database=d;{text}")) {
                ConnectionStringError::Value { key, .. } => assert_eq!(key, name),
                other => panic!("{text}: {other}"),
            }
        }
    }

    #[test]
    fn the_placeholder_of_the_portal_is_told() {
        for (text, key) in [
            ("User ID=ada;Password={your_password}", "Password"),
            ("User ID={your_username};Password=x", "User ID"),
            ("Password={Your_Password_Here}", "Password"),
        ] {
            assert_eq!(
                refused(&format!("Server=s;Database=d;{text}")),
                ConnectionStringError::Placeholder { key }
            );
        }
    }

    #[test]
    fn no_value_is_ever_told() {
        for text in [
            "hush",
            "hush=",
            "hush=hush",
            "Server=hush\\hush;Database=d",
            "Server=hush:1;Database=d",
            "Server=s;Database=d;Encrypt=hush",
            "Server=s;Database=d;Authentication=hush",
            "Server=s;Database=d;Connect Timeout=hush",
            "Server=s;Database=d;User ID=u;Password=a;hush",
            "Server=s;Database=d;User ID=u;Password=a;hush=x",
            "Server=s;Database=d;User ID=u;Password='hush",
            "Server=s;Database=d;User ID=hush",
            "Server=s;Database=d;Password=hush",
            "Server=s;Database=d;ApplicationIntent=hush",
            "Server=s;Database=d;HostNameInCertificate=hush/hush",
        ] {
            let error = refused(text);
            assert!(!error.to_string().contains("hush"), "{error}");
            assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        }
        for text in [
            "User ID=u;Password=hush",
            "Authentication=Active Directory Service Principal;User ID=u;Password=hush",
        ] {
            let connection = parse(&format!("Server=s;Database=d;{text}"));
            assert!(!format!("{connection:?}").contains("hush"));
        }
    }

    #[test]
    fn parts_are_read_as_a_string_of_them() {
        let parts = ConnectionString::from_parts(
            "tcp:s,1444",
            "d",
            Some("u".to_owned()),
            Some("a;b'c ".to_owned()),
        );
        assert_eq!(
            parts.unwrap(),
            parse("Server=s,1444;Database=d;User ID=u;Password=\"a;b'c \"")
        );
        assert!(ConnectionString::from_parts("s", "", None, None).is_err());
        assert!(ConnectionString::for_identity("a\\b", "d").is_err());
    }
}
