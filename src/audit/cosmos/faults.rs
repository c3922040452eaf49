//! What a fault of Cosmos DB means for whoever writes to the archive or reads from it.

use crate::database::cosmos::{CosmosFault, FaultKind};

use super::super::archive::{Added, ArchiveError, ArchiveErrorKind};
use super::CosmosArchive;
use super::containers::Spec;

fn error(kind: ArchiveErrorKind, phase: &'static str, fault: &CosmosFault) -> ArchiveError {
    ArchiveError {
        kind,
        phase,
        message: fault.message.clone(),
    }
}

/// Nothing that goes wrong with reading is about a document that waits.
pub(super) fn while_reading(phase: &'static str) -> impl Fn(CosmosFault) -> ArchiveError {
    move |fault| error(ArchiveErrorKind::Unavailable, phase, &fault)
}

/// Only a document that will never be accepted is refused. Everything else, missing rights and containers and a full partition
/// included, may be better later.
pub(super) fn while_writing(phase: &'static str) -> impl Fn(CosmosFault) -> ArchiveError {
    move |fault| {
        let kind = match fault.kind {
            FaultKind::Refused => ArchiveErrorKind::Refused,
            _ => ArchiveErrorKind::Unavailable,
        };
        error(kind, phase, &fault)
    }
}

impl CosmosArchive {
    pub(super) async fn added(
        &self,
        spec: &'static Spec,
        phase: &'static str,
        count: usize,
        fault: Option<CosmosFault>,
    ) -> Added {
        if let Some(fault) = &fault {
            self.containers.look_again_after(spec, fault).await;
        }
        Added {
            count,
            stopped: fault.map(while_writing(phase)),
        }
    }

    pub(super) async fn wrote<T>(
        &self,
        spec: &'static Spec,
        phase: &'static str,
        outcome: Result<T, CosmosFault>,
    ) -> Result<T, ArchiveError> {
        if let Err(fault) = &outcome {
            self.containers.look_again_after(spec, fault).await;
        }
        outcome.map_err(while_writing(phase))
    }

    pub(super) async fn read<T>(
        &self,
        spec: &'static Spec,
        phase: &'static str,
        outcome: Result<T, CosmosFault>,
    ) -> Result<T, ArchiveError> {
        if let Err(fault) = &outcome {
            self.containers.look_again_after(spec, fault).await;
        }
        outcome.map_err(while_reading(phase))
    }
}
