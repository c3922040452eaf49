//! Where a managed database is reached: by the settings, or by the reference in its row of the inventory.

use std::sync::Arc;

use super::super::secrets::{ConnectionVariables, SecretError, SecretPlace, Secrets};
use super::connection_string::{ConnectionString, ConnectionStringError};
use crate::database::reference::ConnectionReference;

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
    /// The secret that a reference names cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

fn parse(text: &str, reference: impl FnOnce() -> String) -> Result<ConnectionString, TargetError> {
    ConnectionString::parse(text).map_err(|error| TargetError::ConnectionString {
        reference: reference(),
        error,
    })
}

fn parse_secret(place: &SecretPlace, text: &str) -> Result<ConnectionString, TargetError> {
    parse(text, || format!("the secret {place}"))
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
        secrets: Arc<Secrets<ConnectionString>>,
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
    /// [`TargetError::NoVariable`], [`TargetError::ConnectionString`] and [`SecretError::Reference`].
    pub fn of_reference(
        reference: &ConnectionReference,
        variables: &ConnectionVariables,
        secrets: &Arc<Secrets<ConnectionString>>,
    ) -> Result<Self, TargetError> {
        let kind = match reference {
            ConnectionReference::Environment(name) => {
                let value = variables
                    .get(name)
                    .ok_or_else(|| TargetError::NoVariable(name.clone()))?;
                Kind::Fixed(Arc::new(parse(value.secret(), || {
                    format!("the environment variable {name}")
                })?))
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
            Kind::Secret { place, secrets } => {
                secrets.get(place, |text| parse_secret(place, text)).await
            }
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
                let connection = secrets
                    .read(place, |text| parse_secret(place, text))
                    .await?;
                Ok((*connection != *refused).then_some(connection))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use azure_core::credentials::Secret;

    use super::super::super::secrets::{SECRET_KEPT, Vault};
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
        async fn read(&self, place: &SecretPlace) -> Result<Secret, SecretError> {
            let url = place.to_string();
            let says = self.0.lock().unwrap().pop_front();
            match says.expect("the vault is asked too often") {
                Says::Database(name) => Ok(Secret::new(text(name))),
                Says::Nonsense => Ok(Secret::new("hush")),
                Says::NoSuchSecret => Err(SecretError::Absent { url }),
                Says::Nothing => Err(SecretError::TooLate { url }),
            }
        }
    }

    fn text(database: &str) -> String {
        format!("Server=s;Database={database};User ID=ada;Password=hush")
    }

    fn secrets(says: impl IntoIterator<Item = Says>) -> Arc<Secrets<ConnectionString>> {
        let vault = ToldVault(Mutex::new(says.into_iter().collect()));
        Arc::new(Secrets::new(Arc::new(vault)))
    }

    fn target(
        reference: &str,
        secrets: &Arc<Secrets<ConnectionString>>,
    ) -> Result<Target, TargetError> {
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
        assert!(matches!(
            error,
            TargetError::Secret(SecretError::TooLate { .. })
        ));
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
}
