//! Reading the containers of a database with their settings.

use azure_data_cosmos::ContainerClient;
use azure_data_cosmos::models::{ContainerProperties, ThroughputProperties};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::client::CosmosHandle;
use super::fault::{CosmosFault, FaultKind};
use crate::schema::{Container, ContainerThroughput};

/// How many containers are asked for their throughput at once: the service tells it for one at a time.
const AT_ONCE: usize = 8;

/// All containers, by name. What is not told without a key is absent: their throughput.
pub(super) async fn read(handle: &CosmosHandle) -> Result<Vec<Container>, CosmosFault> {
    let database = handle.database().await?;
    let listed: Vec<ContainerProperties> = database
        .query_containers("SELECT * FROM c", None)
        .await?
        .try_collect()
        .await?;
    let described = listed.iter().map(|properties| {
        // What was read from JSON can be written as JSON.
        Container::from_properties(&serde_json::to_value(properties).unwrap_or_default())
    });
    let mut containers: Vec<Container> = if handle.has_key() {
        let asked: Vec<_> = described
            .map(|container| with_throughput(handle, container))
            .collect();
        let told: Vec<Option<Container>> =
            stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        told.into_iter().flatten().collect()
    } else {
        described.collect()
    };
    containers.sort();
    Ok(containers)
}

/// None when the container went away meanwhile.
async fn with_throughput(
    handle: &CosmosHandle,
    mut container: Container,
) -> Result<Option<Container>, CosmosFault> {
    let client = match handle.container(&container.name).await {
        Ok(client) => client,
        Err(fault) if fault.kind == FaultKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    container.throughput = throughput(&client).await?;
    Ok(Some(container))
}

/// The throughput that a container has of its own.
pub(super) async fn throughput(
    client: &ContainerClient,
) -> Result<Option<ContainerThroughput>, CosmosFault> {
    Ok(client.read_throughput(None).await?.as_ref().and_then(told))
}

fn told(offer: &ThroughputProperties) -> Option<ContainerThroughput> {
    // An autoscaled container tells its present throughput as well.
    offer
        .autoscale_maximum()
        .map(ContainerThroughput::AutoscaleMax)
        .or_else(|| offer.throughput().map(ContainerThroughput::Manual))
}

/// A container as the service describes it, word for word.
pub(super) async fn description(client: &ContainerClient) -> Result<Value, CosmosFault> {
    let body = client.read(None).await?.into_body().single()?;
    serde_json::from_slice(&body).map_err(|error| CosmosFault {
        kind: FaultKind::Unavailable,
        status: "200".to_owned(),
        message: format!("the description of the container is no JSON: {error}"),
    })
}
