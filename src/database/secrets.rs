//! Connection strings that lie elsewhere: environment variables as they were at the start, and secrets in Azure Key Vault.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::Secret;
use azure_core::http::StatusCode;
use azure_security_keyvault_secrets::SecretClient;
use tokio::time::{Instant, timeout};

use super::identity::{Identities, IdentityError};

/// How long a secret that was read is taken to be as it was.
pub(super) const SECRET_KEPT: Duration = Duration::from_secs(600);

/// How long reading a secret may take, the token for it included.
const SECRET_TIMEOUT: Duration = Duration::from_secs(30);

/// The environment variables that `env:` references may name, as they were at the start. Their values are secrets, so that
/// the `Debug` form shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConnectionVariables(BTreeMap<String, Secret>);

impl ConnectionVariables {
    pub(super) fn get(&self, name: &str) -> Option<&Secret> {
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

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A reference to a secret outside Azure Key Vault.
    #[error("a secret is referred to as keyvault:https://<vault>.vault.azure.net/secrets/<name>")]
    Reference,
    /// The vault has no such secret.
    #[error("the secret {url} does not exist")]
    Absent {
        /// Which one.
        url: String,
    },
    /// The app may not read the secret.
    #[error(
        "the app's identity may not read the secret {url}: give it the role Key Vault Secrets User, and let the vault's firewall admit the app"
    )]
    Denied {
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
    TooLate {
        /// Which one.
        url: String,
    },
    /// There is no identity to read the secret with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl SecretError {
    /// What the vault's answer says about a secret.
    fn of_vault(place: &SecretPlace, error: azure_core::Error) -> Self {
        let url = place.to_string();
        match error.http_status() {
            Some(StatusCode::NotFound) => Self::Absent { url },
            Some(StatusCode::Forbidden | StatusCode::Unauthorized) => Self::Denied { url },
            _ => Self::Vault { url, error },
        }
    }

    /// Whether the vault, and not what it said, is the reason.
    fn is_silence(&self) -> bool {
        matches!(self, Self::Vault { .. } | Self::TooLate { .. })
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
    pub fn of(url: &str) -> Result<Self, SecretError> {
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
            _ => Err(SecretError::Reference),
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
    async fn read(&self, place: &SecretPlace) -> Result<Secret, SecretError>;
}

/// Azure Key Vault, read with the identity of the process.
#[derive(Debug)]
pub(super) struct KeyVault(pub Arc<Identities>);

#[async_trait]
impl Vault for KeyVault {
    async fn read(&self, place: &SecretPlace) -> Result<Secret, SecretError> {
        let endpoint = format!("https://{}.vault.azure.net", place.vault);
        let failed = |error| SecretError::of_vault(place, error);
        let client = SecretClient::new(&endpoint, self.0.of_process()?, None).map_err(failed)?;
        let reading = async { client.get_secret(&place.name, None).await?.into_model() };
        let secret = timeout(SECRET_TIMEOUT, reading)
            .await
            .map_err(|_| SecretError::TooLate {
                url: place.to_string(),
            })?
            .map_err(failed)?;
        Ok(Secret::new(secret.value.unwrap_or_default()))
    }
}

/// What was read from secrets, kept for all connections of the process.
#[derive(Debug)]
pub(super) struct Secrets<T> {
    vault: Arc<dyn Vault>,
    kept: Mutex<HashMap<SecretPlace, Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    content: Arc<T>,
    read_at: Instant,
}

impl<T> Secrets<T> {
    pub fn new(vault: Arc<dyn Vault>) -> Self {
        Self {
            vault,
            kept: Mutex::default(),
        }
    }

    fn kept(&self, place: &SecretPlace) -> Option<(Arc<T>, Instant)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(place)
            .map(|kept| (kept.content.clone(), kept.read_at))
    }

    /// What is in a secret, at most [`SECRET_KEPT`] old; older only while the vault is silent, because the database may well
    /// be there.
    pub async fn get<E: From<SecretError>>(
        &self,
        place: &SecretPlace,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let kept = self.kept(place);
        if let Some((content, read_at)) = &kept
            && read_at.elapsed() < SECRET_KEPT
        {
            return Ok(content.clone());
        }
        match (self.vault.read(place).await, kept) {
            (Err(error), Some((content, _))) if error.is_silence() => {
                tracing::warn!(%error, "using a secret as it was read before");
                Ok(content)
            }
            (read, _) => self.keep(place, read?, parse),
        }
    }

    /// What is in a secret now.
    pub async fn read<E: From<SecretError>>(
        &self,
        place: &SecretPlace,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let secret = self.vault.read(place).await?;
        self.keep(place, secret, parse)
    }

    fn keep<E>(
        &self,
        place: &SecretPlace,
        secret: Secret,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let content = Arc::new(parse(secret.secret())?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(
            place.clone(),
            Kept {
                content: content.clone(),
                read_at: Instant::now(),
            },
        );
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use azure_core::error::ErrorKind;

    use super::*;

    const URL: &str = "https://lpa.vault.azure.net/secrets/sql-dev";

    #[test]
    fn the_vaults_answer_says_what_to_do() {
        let place = SecretPlace::of(URL).unwrap();
        for (status, words) in [
            (StatusCode::NotFound, "does not exist"),
            (StatusCode::Forbidden, "Key Vault Secrets User"),
            (StatusCode::Unauthorized, "Key Vault Secrets User"),
            (StatusCode::ServiceUnavailable, "could not be read: busy"),
        ] {
            let kind = ErrorKind::HttpResponse {
                status,
                error_code: None,
                raw_response: None,
            };
            let error =
                SecretError::of_vault(&place, azure_core::Error::with_message(kind, "busy"));
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.to_string().contains(URL), "{error}");
            let is_silence = status == StatusCode::ServiceUnavailable;
            assert_eq!(error.is_silence(), is_silence);
        }
    }

    #[test]
    fn only_a_vault_of_azure_is_read() {
        assert_eq!(SecretPlace::of(URL).unwrap().to_string(), URL);
        for url in [
            "http://lpa.vault.azure.net/secrets/x",
            "https://evil.example/.vault.azure.net/secrets/x",
            "https://lpa.vault.azure.net.evil.example/secrets/x",
            "https://lpa.vault.azure.net/secrets/x/version",
            "https://lpa.vault.azure.net/secrets/",
            "https://.vault.azure.net/secrets/x",
            "https://evil.example#.vault.azure.net/secrets/x",
        ] {
            let error = SecretPlace::of(url).unwrap_err();
            assert!(matches!(error, SecretError::Reference), "{url}");
        }
    }

    #[test]
    fn variables_show_their_names_only() {
        let variables: ConnectionVariables = [("SQL_X".to_owned(), "hush".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(format!("{variables:?}"), r#"{"SQL_X"}"#);
    }
}
