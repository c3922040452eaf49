//! Clients, made at their first use and kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos::options::{
    BinaryEncodingOptions, ConnectionPoolOptionsBuilder, OperationOptionsBuilder,
    PartitionFailoverOptions, PartitionTopologyCacheMode, RoutingStrategy,
    ServerCertificateValidation, UserAgentSuffix,
};
use azure_data_cosmos::{
    AccountReference, ContainerClient, CosmosClient, CosmosRuntime, DatabaseClient,
};
use tokio::sync::{Mutex, OnceCell};

use super::super::identity::Identities;
use super::account::{CosmosAccount, Proof};
use super::fault::{CosmosFault, FaultKind};

/// How long one request may take with all its repetitions. The driver's own limits add up to minutes, in which a delivery
/// would hold up those that come after it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes the clients of a process.
#[derive(Debug, Clone, Default)]
pub struct CosmosClients {
    identities: Arc<Identities>,
}

impl CosmosClients {
    /// With the identities of the process.
    pub fn new(identities: Arc<Identities>) -> Self {
        Self { identities }
    }

    /// A database of an account. Connects to nothing yet.
    pub fn database(&self, account: CosmosAccount, database: &str) -> CosmosHandle {
        CosmosHandle {
            shared: Arc::new(Shared {
                database: database.to_owned(),
                has_key: account.has_key(),
                origin: Origin::Account {
                    account,
                    identities: self.identities.clone(),
                },
                client: OnceCell::new(),
                containers: Mutex::default(),
            }),
        }
    }
}

/// A database of a Cosmos DB account, whose clients are made at their first use and kept: each costs the driver several
/// requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CosmosHandle {
    shared: Arc<Shared>,
}

struct Shared {
    database: String,
    has_key: bool,
    origin: Origin,
    client: OnceCell<CosmosClient>,
    containers: Mutex<HashMap<String, ContainerClient>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CosmosHandle")
            .field("database", &self.database)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Where the client comes from.
enum Origin {
    Account {
        account: CosmosAccount,
        identities: Arc<Identities>,
    },
    Given(CosmosClient),
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account { account, .. } => account.fmt(formatter),
            Self::Given(client) => formatter.write_str(client.endpoint().as_str()),
        }
    }
}

impl CosmosHandle {
    /// A database reached with a client of the caller's making. `has_key`: whether that client has a key.
    pub fn with_client(client: CosmosClient, database: &str, has_key: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                database: database.to_owned(),
                has_key,
                origin: Origin::Given(client),
                client: OnceCell::new(),
                containers: Mutex::default(),
            }),
        }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.shared.database
    }

    /// The account by the host that serves it, with the port where it is not that of HTTPS.
    pub fn account_name(&self) -> String {
        let endpoint = match &self.shared.origin {
            Origin::Account { account, .. } => account.endpoint().clone(),
            Origin::Given(client) => client.endpoint().clone(),
        };
        let host = endpoint.host_str().unwrap_or_default();
        match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether databases and containers can be made, changed and removed.
    pub fn has_key(&self) -> bool {
        self.shared.has_key
    }

    pub(crate) async fn client(&self) -> Result<&CosmosClient, CosmosFault> {
        self.shared
            .client
            .get_or_try_init(|| async {
                match &self.shared.origin {
                    Origin::Given(client) => Ok(client.clone()),
                    Origin::Account {
                        account,
                        identities,
                    } => connect(account, identities).await,
                }
            })
            .await
    }

    pub(crate) async fn database(&self) -> Result<DatabaseClient, CosmosFault> {
        Ok(self
            .client()
            .await?
            .database_client(self.shared.database.clone()))
    }

    /// The client of a container, which must be there.
    ///
    /// # Errors
    ///
    /// [`FaultKind::NotFound`] when it is not; the next call looks again.
    pub(crate) async fn container(&self, name: &str) -> Result<ContainerClient, CosmosFault> {
        let mut containers = self.shared.containers.lock().await;
        if let Some(container) = containers.get(name) {
            return Ok(container.clone());
        }
        let container = self
            .database()
            .await?
            .container_client(name.to_owned(), None)
            .await?;
        containers.insert(name.to_owned(), container.clone());
        Ok(container)
    }

    /// Forgets the client of a container that was removed or made anew: it holds the container's former resource id.
    pub(crate) async fn forget_container(&self, name: &str) {
        self.shared.containers.lock().await.remove(name);
    }
}

async fn connect(
    account: &CosmosAccount,
    identities: &Identities,
) -> Result<CosmosClient, CosmosFault> {
    let reference = match account.proof() {
        Proof::Key(key) => AccountReference::with_authentication_key(
            account.endpoint().clone().into(),
            key.clone(),
        ),
        Proof::Identity => {
            let credential = identities.of_process().map_err(|error| CosmosFault {
                kind: FaultKind::Unavailable,
                status: "401".to_owned(),
                message: error.to_string(),
            })?;
            AccountReference::with_credential(account.endpoint().clone().into(), credential)
        }
    };
    let options = OperationOptionsBuilder::new()
        .with_end_to_end_latency_policy(REQUEST_TIMEOUT.into())
        .build();
    let mut builder = CosmosClient::builder().with_default_operation_options(options);
    if let Ok(suffix) = UserAgentSuffix::try_from(concat!("dbvc/", env!("CARGO_PKG_VERSION"))) {
        builder = builder.with_user_agent_suffix(suffix);
    }
    if account.is_emulator() {
        // Emulators sign their own certificates and need not speak HTTP/2, and the one on Linux does not read the binary form.
        let pool = ConnectionPoolOptionsBuilder::new()
            .with_server_certificate_validation(ServerCertificateValidation::RequiredUnlessEmulator)
            .with_is_http2_allowed(false)
            .build()?;
        let runtime = CosmosRuntime::builder()
            .with_connection_pool(pool)
            .build()
            .await?;
        builder = builder
            .with_runtime(runtime)
            // They need not know of partitions before they are asked for them.
            .with_partition_failover_options(
                PartitionFailoverOptions::builder()
                    .with_partition_topology_cache_mode(PartitionTopologyCacheMode::Lazy)
                    .build()?,
            )
            .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false));
    }
    // The account's own order of regions: an empty list prefers none.
    let routing = RoutingStrategy::PreferredRegions(Vec::new());
    Ok(builder.build(reference, routing).await?)
}
