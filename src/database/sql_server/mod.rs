//! SQL Server and Azure SQL Database, by tiberius.

mod connect;
mod connection_string;
mod credentials;
mod retry;
mod target;
#[cfg(test)]
mod testing;

pub use connect::{ConnectError, ConnectOptions, Connector, Connectors};
pub use connection_string::{
    Authentication, ConnectionString, ConnectionStringError, Encryption, ServerAddress,
};
pub use credentials::{AppIdentity, CredentialError, IdentitySource};
pub use retry::RetryPolicy;
pub use target::{ConnectionVariables, Target, TargetError};
