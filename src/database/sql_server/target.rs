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

use super::super::identity::{Identities, IdentityError};
use super::connection_string::{ConnectionString, ConnectionStringError};
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
        "the app's identity may not read the secret {url}: give it the role Key Vault Secrets User, and let the vault's firewall admit the app"
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
    Identity(#[from] IdentityError),
}

impl TargetError {
    /// What the vault's answer says about a secret.
    fn of_vault(place: &SecretPlace, error: azure_core::Error) -> Self {
        let url = place.to_string();
        match error.http_status() {
            Some(StatusCode::NotFound) => Self::NoSecret { url },
            Some(StatusCode::Forbidden | StatusCode::Unauthorized) => Self::SecretDenied { url },
            _ => Self::Vault { url, error },
        }
    }

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
pub(super) struct KeyVault(pub Arc<Identities>);

#[async_trait]
impl Vault for KeyVault {
    async fn read(&self, place: &SecretPlace) -> Result<Secret, TargetError> {
        let endpoint = format!("https://{}.vault.azure.net", place.vault);
        let failed = |error| TargetError::of_vault(place, error);
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
pub(super) struct Target(Kind);

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
    pub fn of_reference(
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use azure_core::error::ErrorKind;

    use super::*;

    const URL: &str = "https://lpa.vault.azure.net/secrets/sql-dev";

    /// What a vault does when it is asked.
    #[derive(Debug)]
    enum Says {
        Database(&'static str),
        Nonsense,
        NoSuchSecret,
        Nothing,
    }

    /// Says what it is told to, and nothing more.
    #[derive(Debug)]
    struct ToldVault(Mutex<VecDeque<Says>>);

    #[async_trait]
    impl Vault for ToldVault {
        async fn read(&self, place: &SecretPlace) -> Result<Secret, TargetError> {
            let url = place.to_string();
            let says = self.0.lock().unwrap().pop_front();
            match says.expect("the vault is asked too often") {
                Says::Database(name) => Ok(Secret::new(text(name))),
                Says::Nonsense => Ok(Secret::new("hush")),
                Says::NoSuchSecret => Err(TargetError::NoSecret { url }),
                Says::Nothing => Err(TargetError::VaultTooLate { url }),
            }
        }
    }

    fn text(database: &str) -> String {
        format!("Server=s;Database={database};User ID=ada;Password=hush")
    }

    fn secrets(says: impl IntoIterator<Item = Says>) -> Arc<Secrets> {
        let vault = ToldVault(Mutex::new(says.into_iter().collect()));
        Arc::new(Secrets::new(Arc::new(vault)))
    }

    fn target(reference: &str, secrets: &Arc<Secrets>) -> Result<Target, TargetError> {
        let variables = [
            ("DBVC_CONN_SHOP".to_owned(), text("shop")),
            ("SQL_PASSWORD".to_owned(), "hush".to_owned()),
        ];
        let reference = ConnectionReference::parse(reference, &[]).unwrap();
        Target::of_reference(&reference, &variables.into_iter().collect(), secrets)
    }

    async fn database(target: &Target) -> Result<String, TargetError> {
        let connection = target.resolve().await?;
        Ok(connection.database_name().to_owned())
    }

    #[tokio::test]
    async fn a_variable_and_an_identity_lead_to_a_database() {
        let secrets = secrets([]);
        let by_variable = target("env:DBVC_CONN_SHOP", &secrets).unwrap();
        assert_eq!(database(&by_variable).await.unwrap(), "shop");
        let by_identity = target("identity:lpa.database.windows.net/orders", &secrets).unwrap();
        let connection = by_identity.resolve().await.unwrap();
        let expected = ConnectionString::for_identity("lpa.database.windows.net", "orders");
        assert_eq!(*connection, expected.unwrap());
        assert!(
            by_identity
                .resolve_anew(&connection)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn what_leads_nowhere_is_told_without_its_value() {
        let nonsense = secrets([Says::Nonsense]);
        let by_secret = target(&format!("keyvault:{URL}"), &nonsense).unwrap();
        for (error, words) in [
            (
                target("env:DBVC_CONN_OTHER", &nonsense).unwrap_err(),
                "DBVC_CONN_OTHER is not set",
            ),
            (
                target("env:SQL_PASSWORD", &nonsense).unwrap_err(),
                "variable SQL_PASSWORD is no connection string",
            ),
            (
                by_secret.resolve().await.unwrap_err(),
                "sql-dev is no connection string",
            ),
        ] {
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }

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
                TargetError::of_vault(&place, azure_core::Error::with_message(kind, "busy"));
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
            assert!(matches!(error, TargetError::SecretReference), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_read_at_the_first_use_and_every_ten_minutes() {
        let secrets = secrets([Says::Database("a"), Says::Database("b")]);
        let first = target(&format!("keyvault:{URL}"), &secrets).unwrap();
        assert_eq!(database(&first).await.unwrap(), "a");
        // Another connector to the same database shares it.
        let second = target(&format!("keyvault:{URL}"), &secrets).unwrap();
        tokio::time::advance(SECRET_KEPT - Duration::from_secs(1)).await;
        assert_eq!(database(&second).await.unwrap(), "a");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(database(&second).await.unwrap(), "b");
        assert_eq!(database(&first).await.unwrap(), "b");
        assert!(!format!("{first:?}").contains("hush"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_vault_does_not_stop_who_knows_the_secret() {
        let secrets = secrets([
            Says::Nothing,
            Says::Database("a"),
            Says::Nothing,
            Says::NoSuchSecret,
        ]);
        let target = target(&format!("keyvault:{URL}"), &secrets).unwrap();
        let error = database(&target).await.unwrap_err();
        assert!(matches!(error, TargetError::VaultTooLate { .. }));
        assert_eq!(database(&target).await.unwrap(), "a");
        tokio::time::advance(SECRET_KEPT).await;
        assert_eq!(database(&target).await.unwrap(), "a");
        // A secret that was taken away is not used any more.
        let error = database(&target).await.unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_secret_is_read_anew() {
        let secrets = secrets([
            Says::Database("a"),
            Says::Database("a"),
            Says::Database("b"),
        ]);
        let target = target(&format!("keyvault:{URL}"), &secrets).unwrap();
        let refused = target.resolve().await.unwrap();
        assert!(target.resolve_anew(&refused).await.unwrap().is_none());
        let changed = target.resolve_anew(&refused).await.unwrap().unwrap();
        assert_eq!(changed.database_name(), "b");
        assert_eq!(database(&target).await.unwrap(), "b");
    }

    #[test]
    fn variables_show_their_names_only() {
        let variables: ConnectionVariables = [("SQL_X".to_owned(), "hush".to_owned())]
            .into_iter()
            .collect();
        assert_eq!(format!("{variables:?}"), r#"{"SQL_X"}"#);
    }
}
