//! The identity of the process, which vouches for it where no password and no key does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientSecretCredential, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};

/// How long before its end a token is renewed; `azure_identity` does the same.
const RENEWED_BEFORE_END: Duration = Duration::from_secs(300);

/// Who vouches for the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdentitySource {
    /// A person who has logged in to a developer's tools (`az login`): outside Azure.
    #[default]
    DeveloperTools,
    /// Azure itself.
    ManagedIdentity,
    /// Kubernetes, whose tokens are exchanged.
    WorkloadIdentity,
}

/// The identity of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppIdentity {
    /// Who vouches for it.
    pub source: IdentitySource,
    /// The user-assigned identity to use where a connection string names none (`AZURE_CLIENT_ID`). Defaults to the
    /// system-assigned one.
    pub client_id: Option<String>,
    /// The tenant of registered applications (`AZURE_TENANT_ID`).
    pub tenant_id: Option<String>,
}

/// Which credential of `azure_identity` gives a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    DeveloperTools,
    ManagedIdentity {
        client_id: Option<String>,
    },
    WorkloadIdentity {
        client_id: Option<String>,
    },
    ServicePrincipal {
        tenant_id: String,
        client_id: String,
        secret: Secret,
    },
}

impl Kind {
    /// The credential of the process itself.
    pub fn of_process(identity: &AppIdentity, client_id: Option<&String>) -> Self {
        let client_id = client_id.or(identity.client_id.as_ref()).cloned();
        match identity.source {
            IdentitySource::DeveloperTools => Self::DeveloperTools,
            IdentitySource::ManagedIdentity => Self::ManagedIdentity { client_id },
            IdentitySource::WorkloadIdentity => Self::WorkloadIdentity { client_id },
        }
    }

    fn make(self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Self::DeveloperTools => Arc::new(Remembering {
                credential: DeveloperToolsCredential::new(None)?,
                tokens: tokio::sync::Mutex::default(),
            }),
            Self::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.map(UserAssignedId::ClientId),
                    ..Default::default()
                }))?
            }
            Self::WorkloadIdentity { client_id } => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    client_id,
                    ..Default::default()
                }))?
            }
            Self::ServicePrincipal {
                tenant_id,
                client_id,
                secret,
            } => ClientSecretCredential::new(&tenant_id, client_id, secret, None)?,
        })
    }
}

/// Keeps the tokens of a credential that does not: each of a developer's tools is a process that takes seconds to start.
#[derive(Debug)]
struct Remembering {
    credential: Arc<dyn TokenCredential>,
    /// By scope.
    tokens: tokio::sync::Mutex<Vec<(String, AccessToken)>>,
}

#[async_trait]
impl TokenCredential for Remembering {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.join(" ");
        // Held while the tool runs, so that it runs once for all who wait.
        let mut tokens = self.tokens.lock().await;
        let renewed_from = OffsetDateTime::now_utc() + RENEWED_BEFORE_END;
        tokens.retain(|(_, token)| token.expires_on > renewed_from);
        if let Some((_, token)) = tokens.iter().find(|(known, _)| *known == scope) {
            return Ok(token.clone());
        }
        let token = self.credential.get_token(scopes, options).await?;
        tokens.push((scope, token.clone()));
        Ok(token)
    }
}

/// The identity cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("the app's identity cannot be used: {0}")]
pub struct IdentityError(#[source] azure_core::Error);

/// The identities of the process. Each credential is made once and kept, because it keeps its tokens.
#[derive(Debug, Default)]
pub struct Identities {
    identity: AppIdentity,
    made: Mutex<Vec<(Kind, Arc<dyn TokenCredential>)>>,
    /// Stands for every identity, when somebody gave one.
    given: Option<Arc<dyn TokenCredential>>,
}

impl Identities {
    /// Those of a process with this identity; `given` stands for all of them.
    pub fn new(identity: AppIdentity, given: Option<Arc<dyn TokenCredential>>) -> Self {
        Self {
            identity,
            made: Mutex::default(),
            given,
        }
    }

    /// What the settings say of the process.
    pub fn identity(&self) -> &AppIdentity {
        &self.identity
    }

    /// The identity of the process itself. Whoever asks it for a token answers for where that token goes.
    pub(super) fn of_process(&self) -> Result<Arc<dyn TokenCredential>, IdentityError> {
        self.credential(Kind::of_process(&self.identity, None))
    }

    pub(super) fn credential(&self, kind: Kind) -> Result<Arc<dyn TokenCredential>, IdentityError> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, credential)) = made.iter().find(|(known, _)| *known == kind) {
            return Ok(credential.clone());
        }
        let credential = kind.clone().make().map_err(IdentityError)?;
        made.push((kind, credential.clone()));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sql_server::testing::CountingCredential;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn identity(source: IdentitySource) -> AppIdentity {
        AppIdentity {
            source,
            client_id: Some("own".to_owned()),
            tenant_id: None,
        }
    }

    #[test]
    fn the_identity_of_the_process_depends_on_where_it_runs() {
        let of = |source, client_id: Option<&str>| {
            let client_id = client_id.map(str::to_owned);
            Kind::of_process(&identity(source), client_id.as_ref())
        };
        assert_eq!(
            of(IdentitySource::DeveloperTools, Some("named")),
            Kind::DeveloperTools
        );
        for (client_id, expected) in [(None, "own"), (Some("named"), "named")] {
            let expected = Some(expected.to_owned());
            assert_eq!(
                of(IdentitySource::ManagedIdentity, client_id),
                Kind::ManagedIdentity {
                    client_id: expected.clone()
                }
            );
            assert_eq!(
                of(IdentitySource::WorkloadIdentity, client_id),
                Kind::WorkloadIdentity {
                    client_id: expected
                }
            );
        }
    }

    #[test]
    fn each_credential_is_made_once() {
        let credentials = Identities::new(AppIdentity::default(), None);
        let application = |secret: &'static str| {
            let kind = Kind::ServicePrincipal {
                tenant_id: "team".to_owned(),
                client_id: "app".to_owned(),
                secret: secret.into(),
            };
            credentials.credential(kind).unwrap()
        };
        let first = application("hush");
        assert!(Arc::ptr_eq(&first, &application("hush")));
        assert!(!Arc::ptr_eq(&first, &application("hush-hush")));
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[tokio::test]
    async fn a_tool_is_started_anew_only_when_its_token_is_about_to_end() {
        for (lasts, starts) in [(HOUR, 1), (RENEWED_BEFORE_END, 3)] {
            let tool = CountingCredential::new("marked", lasts);
            let remembering = Remembering {
                credential: tool.clone(),
                tokens: tokio::sync::Mutex::default(),
            };
            for _ in 0..3 {
                let token = remembering.get_token(&["a"], None).await.unwrap();
                assert_eq!(token.token.secret(), "marked");
            }
            assert_eq!(tool.scopes().len(), starts);
            remembering.get_token(&["b"], None).await.unwrap();
            assert_eq!(tool.scopes().last().map(String::as_str), Some("b"));
        }
    }
}
