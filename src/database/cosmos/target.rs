//! Where a managed Cosmos DB database is reached, by the reference in its row of the inventory.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::account::{CosmosAccount, CosmosAccountError};
use super::client::{CosmosClients, CosmosHandle};
use crate::database::identity::Identities;
use crate::database::reference::ConnectionReference;
use crate::database::secrets::{ConnectionVariables, KeyVault, SecretError, SecretPlace, Secrets};

/// Why it is not known where a database is reached.
#[derive(Debug, thiserror::Error)]
pub enum CosmosTargetError {
    /// The variable that a reference names is not set.
    #[error("the environment variable {0} is not set; it is read at the start")]
    NoVariable(String),
    /// The other end of a reference names no account that dbvc may use.
    #[error("{reference} {error}")]
    Account {
        /// Where the text came from.
        reference: String,
        /// What is wrong with it.
        #[source]
        error: CosmosAccountError,
    },
    /// A connection string leads to an account, and not to one of its databases.
    #[error("the inventory does not say which database of the account is meant: put databaseName")]
    NoDatabase,
    /// The secret that a reference names cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Follows references.
#[derive(Debug, Clone)]
pub struct CosmosTargets {
    clients: CosmosClients,
    secrets: Arc<Secrets<CosmosAccount>>,
    variables: ConnectionVariables,
    allowed_hosts: Vec<String>,
}

impl CosmosTargets {
    /// With the identities of the process, the variables that references may name, and further hosts that may have a token.
    pub fn new(
        identities: Arc<Identities>,
        variables: ConnectionVariables,
        allowed_hosts: Vec<String>,
    ) -> Self {
        Self {
            secrets: Arc::new(Secrets::new(Arc::new(KeyVault(identities.clone())))),
            clients: CosmosClients::new(identities),
            variables,
            allowed_hosts,
        }
    }

    /// The database of a reference; `database` is its name where the reference does not tell it. A secret is not read yet.
    ///
    /// # Errors
    ///
    /// When the reference leads nowhere.
    pub fn by(
        &self,
        reference: &ConnectionReference,
        database: Option<&str>,
    ) -> Result<CosmosTarget, CosmosTargetError> {
        let named = || database.ok_or(CosmosTargetError::NoDatabase);
        let wrong = |error| CosmosTargetError::Account {
            reference: reference.to_string(),
            error,
        };
        Ok(match reference {
            ConnectionReference::Environment(name) => {
                let value = self
                    .variables
                    .get(name)
                    .ok_or_else(|| CosmosTargetError::NoVariable(name.clone()))?;
                let account = CosmosAccount::with_key(value.secret()).map_err(wrong)?;
                CosmosTarget::from(self.clients.database(account, named()?))
            }
            ConnectionReference::Identity { server, database } => {
                let endpoint = format!("https://{server}/");
                let account =
                    CosmosAccount::with_identity(&endpoint, &self.allowed_hosts).map_err(wrong)?;
                CosmosTarget::from(self.clients.database(account, database))
            }
            ConnectionReference::KeyVault(url) => CosmosTarget(Kind::Secret(Arc::new(BySecret {
                place: SecretPlace::of(url)?,
                database: named()?.to_owned(),
                clients: self.clients.clone(),
                secrets: self.secrets.clone(),
                made: Mutex::default(),
            }))),
        })
    }
}

/// A database with what it takes to reach it.
#[derive(Debug, Clone)]
pub struct CosmosTarget(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Fixed(CosmosHandle),
    Secret(Arc<BySecret>),
}

/// The account is what a secret says, which may be changed at any time.
#[derive(Debug)]
struct BySecret {
    place: SecretPlace,
    database: String,
    clients: CosmosClients,
    secrets: Arc<Secrets<CosmosAccount>>,
    /// Made for this account.
    made: Mutex<Option<(Arc<CosmosAccount>, CosmosHandle)>>,
}

impl From<CosmosHandle> for CosmosTarget {
    fn from(handle: CosmosHandle) -> Self {
        Self(Kind::Fixed(handle))
    }
}

impl CosmosTarget {
    /// Whether containers can be made, changed and removed. A connection string always holds a key.
    pub fn has_key(&self) -> bool {
        match &self.0 {
            Kind::Fixed(handle) => handle.has_key(),
            Kind::Secret(_) => true,
        }
    }

    /// The clients of the database, for the account as the secret names it now.
    ///
    /// # Errors
    ///
    /// When the secret cannot be read, or is no connection string.
    pub(super) async fn handle(&self) -> Result<CosmosHandle, CosmosTargetError> {
        match &self.0 {
            Kind::Fixed(handle) => Ok(handle.clone()),
            Kind::Secret(by) => {
                let account = by.secrets.get(&by.place, |text| by.parse(text)).await?;
                Ok(by.handle(account).await.0)
            }
        }
    }

    /// The same with the secret read anew: none when the account was refused and nothing has changed since.
    ///
    /// # Errors
    ///
    /// When the secret cannot be read, or is no connection string.
    pub(super) async fn handle_anew(&self) -> Result<Option<CosmosHandle>, CosmosTargetError> {
        match &self.0 {
            Kind::Fixed(_) => Ok(None),
            Kind::Secret(by) => {
                let account = by.secrets.read(&by.place, |text| by.parse(text)).await?;
                let (handle, is_new) = by.handle(account).await;
                Ok(is_new.then_some(handle))
            }
        }
    }
}

impl BySecret {
    fn parse(&self, text: &str) -> Result<CosmosAccount, CosmosTargetError> {
        CosmosAccount::with_key(text).map_err(|error| CosmosTargetError::Account {
            reference: format!("the secret {}", self.place),
            error,
        })
    }

    /// The clients for an account, and whether they were made now.
    async fn handle(&self, account: Arc<CosmosAccount>) -> (CosmosHandle, bool) {
        let mut made = self.made.lock().await;
        if let Some((known, handle)) = made.as_ref()
            && **known == *account
        {
            return (handle.clone(), false);
        }
        let handle = self
            .clients
            .database(CosmosAccount::clone(&account), &self.database);
        *made = Some((account, handle.clone()));
        (handle, true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use azure_core::credentials::Secret;

    use super::*;
    use crate::database::secrets::Vault;

    const SECRET: &str = "keyvault:https://lpa.vault.azure.net/secrets/cosmos";

    fn text(key: &str) -> String {
        format!("AccountEndpoint=https://lpa.documents.azure.com:443/;AccountKey={key};")
    }

    fn targets() -> CosmosTargets {
        let variables = [
            ("DBVC_CONN_COSMOS".to_owned(), text("aHVzaA==")),
            ("SQL_PASSWORD".to_owned(), "hush".to_owned()),
        ];
        CosmosTargets::new(Arc::default(), variables.into_iter().collect(), Vec::new())
    }

    fn target(reference: &str, database: Option<&str>) -> Result<CosmosTarget, CosmosTargetError> {
        let reference = ConnectionReference::parse(reference, &[]).unwrap();
        targets().by(&reference, database)
    }

    #[tokio::test]
    async fn a_reference_leads_to_a_database_with_or_without_a_key() {
        let by_variable = target("env:DBVC_CONN_COSMOS", Some("shop")).unwrap();
        assert!(by_variable.has_key());
        assert_eq!(by_variable.handle().await.unwrap().name(), "shop");
        let by_identity = target("identity:lpa.documents.azure.com/orders", None).unwrap();
        assert!(!by_identity.has_key());
        assert_eq!(by_identity.handle().await.unwrap().name(), "orders");
        assert!(target(SECRET, Some("shop")).unwrap().has_key());
    }

    #[test]
    fn what_leads_nowhere_is_told_without_its_value() {
        for (reference, database, words) in [
            (
                "env:DBVC_CONN_OTHER",
                Some("d"),
                "DBVC_CONN_OTHER is not set",
            ),
            (
                "env:SQL_PASSWORD",
                Some("d"),
                "env:SQL_PASSWORD must be a connection string of Cosmos DB",
            ),
            ("env:DBVC_CONN_COSMOS", None, "put databaseName"),
            (SECRET, None, "put databaseName"),
            (
                "identity:lpa.database.windows.net/d",
                None,
                "lpa.database.windows.net may not have a token",
            ),
        ] {
            let error = target(reference, database).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }

    /// Gives one text after the other.
    #[derive(Debug)]
    struct ToldVault(std::sync::Mutex<VecDeque<String>>);

    #[async_trait]
    impl Vault for ToldVault {
        async fn read(&self, _: &SecretPlace) -> Result<Secret, SecretError> {
            let next = self.0.lock().unwrap().pop_front();
            Ok(Secret::new(next.expect("the vault is asked too often")))
        }
    }

    #[tokio::test]
    async fn a_key_that_was_changed_makes_new_clients() {
        let texts = [text("b25l"), text("b25l"), text("dHdv")];
        let vault = ToldVault(std::sync::Mutex::new(texts.into_iter().collect()));
        let mut targets = targets();
        targets.secrets = Arc::new(Secrets::new(Arc::new(vault)));
        let reference = ConnectionReference::parse(SECRET, &[]).unwrap();
        let target = targets.by(&reference, Some("shop")).unwrap();
        target.handle().await.unwrap();
        target.handle().await.unwrap();
        assert!(target.handle_anew().await.unwrap().is_none());
        assert!(target.handle_anew().await.unwrap().is_some());
        target.handle().await.unwrap();
    }
}
