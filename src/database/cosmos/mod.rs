//! Cosmos DB, reached through azure_data_cosmos.

mod account;
mod client;
mod fault;

pub use account::{CosmosAccount, CosmosAccountError};
pub use client::{CosmosClients, CosmosHandle};
pub use fault::{CosmosFault, FaultKind};
