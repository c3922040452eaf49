//! Cosmos DB, reached through azure_data_cosmos.

mod account;
mod client;
mod connection;
mod containers;
mod fault;
mod managed;
mod perform;
mod target;

pub use account::{CosmosAccount, CosmosAccountError};
pub use client::{CosmosClients, CosmosHandle};
pub use fault::{CosmosFault, FaultKind};
pub use managed::CosmosDatabase;
pub use target::{CosmosTarget, CosmosTargetError, CosmosTargets};
