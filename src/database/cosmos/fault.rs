//! What went wrong with a request to Cosmos DB, in the words that dbvc decides by.

use azure_data_cosmos::CosmosError;

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It cannot be reached, is throttled, or does not answer in time: the same may succeed later.
    Unavailable,
    /// This request will not be accepted however often it is sent: its item is too large, or not valid.
    Refused,
    /// The identity or key may not do it.
    Forbidden,
    /// There is no such item, container or database.
    NotFound,
    /// There is one of that id already.
    Conflict,
    /// The item was changed by somebody else in between.
    Changed,
}

/// A request to Cosmos DB that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CosmosFault {
    /// What kind of failure it is.
    pub kind: FaultKind,
    /// The HTTP status, with the sub-status when there is one: `404`, `404/1003`.
    pub status: String,
    /// The service's or driver's words, for the log and for a script's errors; they name no key.
    pub message: String,
}

impl From<CosmosError> for CosmosFault {
    fn from(error: CosmosError) -> Self {
        let status = error.status();
        let code = u16::from(status.status_code());
        // Without a wire response the status is one that the driver made up for what happened on this side.
        let is_local = error.response().is_none();
        let kind = match code {
            404 if status.is_read_session_not_available() => FaultKind::Unavailable,
            404 => FaultKind::NotFound,
            409 => FaultKind::Conflict,
            412 => FaultKind::Changed,
            413 => FaultKind::Refused,
            400 if is_local => FaultKind::Unavailable,
            400 => FaultKind::Refused,
            401 | 403 => FaultKind::Forbidden,
            _ => FaultKind::Unavailable,
        };
        let status = match status.sub_status() {
            Some(sub) if sub.value() != 0 => format!("{code}/{}", sub.value()),
            _ => code.to_string(),
        };
        // The words of a service's answer go on for pages of diagnostics behind the first line.
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default().to_owned();
        Self {
            kind,
            status,
            message,
        }
    }
}
