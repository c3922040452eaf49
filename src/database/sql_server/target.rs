//! Where a managed database is reached: by the settings, or by the reference in its row of the inventory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::Secret;
use azure_core::http::StatusCode;
use azure_security_keyvault_secrets::SecretClient;
use tokio::time::{Instant, timeout};

use super::connection_string::{ConnectionString, ConnectionStringError};
use super::credentials::{CredentialError, Credentials};
use crate::database::reference::ConnectionReference;

/// How long a secret that was read is taken to be as it was.
const SECRET_KEPT: Duration = Duration::from_secs(600);

/// How long reading a secret may take, the token for it included.
const SECRET_TIMEOUT: Duration = Duration::from_secs(30);

/// The environment variables that `env:` references may name, as they were at the start. Their values are secrets, so that
/// the `Debug` form shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionVariables(BTreeMap<String, Secret>);

impl ConnectionVariables {
    fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }
}

impl FromIterator<(String, String)> for ConnectionVariables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let secret = |(name, value)| (name, Secret::new::<String>(value));
        Self(variables.into_iter().map(secret).collect())
    }
}

impl fmt::Debug for ConnectionVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why it is not known where a database is reached.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The variable that a reference names is not set.
    #[error("the environment variable {0} is not set; it is read at the start")]
    NoVariable(String),
    /// The text at the other end of a reference is no connection string.
    #[error("{reference} is no connection string that dbvc can use: {error}")]
    ConnectionString {
        /// Where the text came from.
        reference: String,
        /// What is wrong with it.
        #[source]
        error: ConnectionStringError,
    },
    /// A reference to a secret outside Azure Key Vault.
    #[error("a secret is referred to as keyvault:https://<vault>.vault.azure.net/secrets/<name>")]
    SecretReference,
    /// The vault has no such secret.
    #[error("the secret {url} does not exist")]
    NoSecret {
        /// Which one.
        url: String,
    },
    /// The app may not read the secret.
    #[error(
        "the app's identity may not read the secret {url}; give it the role Key Vault Secrets User"
    )]
    SecretDenied {
        /// Which one.
        url: String,
    },
    /// The vault did not answer.
    #[error("the secret {url} could not be read: {error}")]
    Vault {
        /// Which one.
        url: String,
        /// What went wrong.
        #[source]
        error: azure_core::Error,
    },
    /// The vault did not answer in time.
    #[error("the secret {url} could not be read within {} s", SECRET_TIMEOUT.as_secs())]
    VaultTooLate {
        /// Which one.
        url: String,
    },
    /// There is no identity to read the secret with.
    #[error(transparent)]
    Credential(#[from] CredentialError),
}

impl TargetError {
    /// Whether the vault, and not what it said, is the reason.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Vault { .. } | Self::VaultTooLate { .. })
    }
}

/// A secret in Azure Key Vault, by its vault and name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SecretPlace {
    vault: String,
    name: String,
}

impl SecretPlace {
    /// Only hosts of Azure Key Vault, whatever made the reference: reading sends the app's token there.
    fn of(url: &str) -> Result<Self, TargetError> {
        let parts = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once(".vault.azure.net/secrets/"));
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        match parts {
            Some((vault, name)) if plain(vault) && plain(name) => Ok(Self {
                vault: vault.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(TargetError::SecretReference),
        }
    }
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "https://{}.vault.azure.net/secrets/{}",
            self.vault, self.name
        )
    }
}

/// Reads secrets.
#[async_trait]
pub(super) trait Vault: fmt::Debug + Send + Sync {
    async fn read(&self, place: &SecretPlace) -> Result<Secret, TargetError>;
}

/// Azure Key Vault, read with the identity of the process.
#[derive(Debug)]
pub(super) struct KeyVault(pub Arc<Credentials>);

#[async_trait]
impl Vault for KeyVault {
    async fn read(&self, place: &SecretPlace) -> Result<Secret, TargetError> {
        let endpoint = format!("https://{}.vault.azure.net", place.vault);
        let failed = |error: azure_core::Error| {
            let url = place.to_string();
            match error.http_status() {
                Some(StatusCode::NotFound) => TargetError::NoSecret { url },
                Some(StatusCode::Forbidden | StatusCode::Unauthorized) => {
                    TargetError::SecretDenied { url }
                }
                _ => TargetError::Vault { url, error },
            }
        };
        let client = SecretClient::new(&endpoint, self.0.of_process()?, None).map_err(failed)?;
        let reading = async { client.get_secret(&place.name, None).await?.into_model() };
        let secret = timeout(SECRET_TIMEOUT, reading)
            .await
            .map_err(|_| TargetError::VaultTooLate {
                url: place.to_string(),
            })?
            .map_err(failed)?;
        Ok(Secret::new(secret.value.unwrap_or_default()))
    }
}

/// The secrets that were read, kept for all connections of the process.
#[derive(Debug)]
pub(super) struct Secrets {
    vault: Arc<dyn Vault>,
    kept: Mutex<HashMap<SecretPlace, Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    connection: Arc<ConnectionString>,
    read_at: Instant,
}

impl Secrets {
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self {
            vault,
            kept: Mutex::default(),
        }
    }

    fn kept(&self, place: &SecretPlace) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(place).cloned()
    }

    /// The connection string in a secret, at most [`SECRET_KEPT`] old; older only while the vault is silent, because the
    /// database may well be there.
    async fn get(&self, place: &SecretPlace) -> Result<Arc<ConnectionString>, TargetError> {
        let kept = self.kept(place);
        match kept {
            Some(kept) if kept.read_at.elapsed() < SECRET_KEPT => Ok(kept.connection),
            Some(kept) => match self.read(place).await {
                Err(error) if error.is_silence() => {
                    tracing::warn!(%error, "using a secret as it was read before");
                    Ok(kept.connection)
                }
                read => read,
            },
            None => self.read(place).await,
        }
    }

    async fn read(&self, place: &SecretPlace) -> Result<Arc<ConnectionString>, TargetError> {
        let secret = self.vault.read(place).await?;
        let connection = parse(secret.secret(), || format!("the secret {place}"))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(
            place.clone(),
            Kept {
                connection: connection.clone(),
                read_at: Instant::now(),
            },
        );
        Ok(connection)
    }
}

fn parse(
    text: &str,
    reference: impl FnOnce() -> String,
) -> Result<Arc<ConnectionString>, TargetError> {
    ConnectionString::parse(text)
        .map(Arc::new)
        .map_err(|error| TargetError::ConnectionString {
            reference: reference(),
            error,
        })
}

/// Where a database is reached.
#[derive(Debug, Clone)]
pub struct Target(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// Does not change while the process lives.
    Fixed(Arc<ConnectionString>),
    /// May be changed by somebody at any time.
    Secret {
        place: SecretPlace,
        secrets: Arc<Secrets>,
    },
}

impl From<ConnectionString> for Target {
    fn from(connection: ConnectionString) -> Self {
        Self(Kind::Fixed(Arc::new(connection)))
    }
}

impl Target {
    /// The target of a reference. A secret is not read yet.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoVariable`], [`TargetError::ConnectionString`] and [`TargetError::SecretReference`].
    pub(super) fn of_reference(
        reference: &ConnectionReference,
        variables: &ConnectionVariables,
        secrets: &Arc<Secrets>,
    ) -> Result<Self, TargetError> {
        let kind = match reference {
            ConnectionReference::Environment(name) => {
                let value = variables
                    .get(name)
                    .ok_or_else(|| TargetError::NoVariable(name.clone()))?;
                Kind::Fixed(parse(value.secret(), || {
                    format!("the environment variable {name}")
                })?)
            }
            ConnectionReference::KeyVault(url) => Kind::Secret {
                place: SecretPlace::of(url)?,
                secrets: secrets.clone(),
            },
            ConnectionReference::Identity { server, database } => {
                let connection = ConnectionString::for_identity(server, database);
                Kind::Fixed(Arc::new(connection.map_err(|error| {
                    TargetError::ConnectionString {
                        reference: reference.to_string(),
                        error,
                    }
                })?))
            }
        };
        Ok(Self(kind))
    }

    /// The connection string, read from the vault at the first use and every ten minutes.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read, or is no connection string.
    pub async fn resolve(&self) -> Result<Arc<ConnectionString>, TargetError> {
        match &self.0 {
            Kind::Fixed(connection) => Ok(connection.clone()),
            Kind::Secret { place, secrets } => secrets.get(place).await,
        }
    }

    /// The connection string as it is now, if it differs from the one with which a login was refused: its password may have
    /// been changed meanwhile.
    ///
    /// # Errors
    ///
    /// When a secret cannot be read, or is no connection string.
    pub async fn resolve_anew(
        &self,
        refused: &ConnectionString,
    ) -> Result<Option<Arc<ConnectionString>>, TargetError> {
        match &self.0 {
            Kind::Fixed(_) => Ok(None),
            Kind::Secret { place, secrets } => {
                let connection = secrets.read(place).await?;
                Ok((*connection != *refused).then_some(connection))
            }
        }
    }
}
