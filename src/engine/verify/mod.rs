//! Verifying: whether the records of a database agree with themselves, with each other and with the archive.
//!
//! Everything is read first, then judged by one file for each check, in the order of the contract. Mending comes after
//! judging, and what was mended is judged again: nothing counts as mended that the checks still find.

mod applied_status;
mod archived;
mod checksums;
mod down_scripts;
mod drift;
mod examination;
mod execution_history;
mod locks;
mod mending;
mod registry_backup;
mod registry_schema;
mod resolve;
#[cfg(test)]
mod tests;
mod texts;
mod trail;
mod version_order;

use super::Engine;
use super::error::EngineError;
use super::request::{Caller, VerifyRequest};
use super::view::{Check, CheckStatus, Verification};

/// How many items a check lists.
const ITEMS: usize = 100;

/// What a check is called.
#[derive(Debug, Clone, Copy)]
struct Title {
    code: &'static str,
    title: &'static str,
}

impl Title {
    fn ended(
        self,
        status: CheckStatus,
        detail: impl Into<String>,
        mut items: Vec<String>,
    ) -> Check {
        if items.len() > ITEMS {
            let more = items.len() - ITEMS;
            items.truncate(ITEMS);
            items.push(format!("and {more} more"));
        }
        Check {
            code: self.code,
            title: self.title,
            status,
            detail: detail.into(),
            items,
        }
    }

    fn pass(self, detail: impl Into<String>) -> Check {
        self.ended(CheckStatus::Pass, detail, Vec::new())
    }

    fn warn(self, detail: impl Into<String>, items: Vec<String>) -> Check {
        self.ended(CheckStatus::Warn, detail, items)
    }

    fn fail(self, detail: impl Into<String>, items: Vec<String>) -> Check {
        self.ended(CheckStatus::Fail, detail, items)
    }
}

fn verification(checks: Vec<Check>) -> Verification {
    Verification {
        healthy: checks.iter().all(|check| check.status != CheckStatus::Fail),
        checks,
    }
}

/// The checks after mending, where those that were better for it say so.
fn compared(before: Vec<Check>, after: Vec<Check>) -> Vec<Check> {
    before
        .into_iter()
        .zip(after)
        .map(|(before, after)| {
            if after.status >= before.status {
                return after;
            }
            let detail = if after.status == CheckStatus::Pass {
                "mended".to_owned()
            } else {
                format!("mended; {}", after.detail)
            };
            Check {
                status: CheckStatus::Fixed,
                detail,
                items: before.items,
                ..after
            }
        })
        .collect()
}

impl Engine {
    /// Verifies the records of a database. Without `fix` and `resolve` it writes nothing.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached; [`EngineError::Invalid`] for an execution that needs no resolution, and
    /// [`EngineError::Locked`] when a run holds what is to be resolved or mended.
    pub async fn verify(
        &self,
        caller: &Caller,
        request: VerifyRequest,
    ) -> Result<Verification, EngineError> {
        self.check_environment(&request.environment)?;
        let managed = self.managed(&request.database_id).await?;
        if let Some(resolution) = &request.resolve {
            self.resolve(caller, &managed, resolution).await?;
            self.try_to_deliver(&managed).await?;
        }
        let before = self.examine(&managed).await?;
        if !request.fix || !self.mend(caller, &managed, &before.mendable).await? {
            return Ok(verification(before.checks));
        }
        let after = self.examine(&managed).await?;
        Ok(verification(compared(before.checks, after.checks)))
    }
}
