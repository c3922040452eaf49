//! How a login is proven: by a password, or by a token that is given to Azure SQL only.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::Secret;

use super::super::identity::{Identities, IdentityError, Kind};
use super::connection_string::Authentication;

/// Hosts that are Azure SQL whatever the settings say, by suffix.
const PUBLIC_CLOUD: &str = ".database.windows.net";

/// What a token for Azure SQL is asked for, by suffix of the host. Any other host, such as a name of the team's own or
/// one of Fabric, is allowed by `DBVC_ALLOWED_HOSTS` only and takes the token of the public cloud.
/// <https://learn.microsoft.com/sql/connect/ado-net/sql/azure-active-directory-authentication>
const SCOPES: [(&str, &str); 3] = [
    (PUBLIC_CLOUD, PUBLIC_SCOPE),
    (
        ".database.usgovcloudapi.net",
        "https://database.usgovcloudapi.net/.default",
    ),
    (
        ".database.chinacloudapi.cn",
        "https://database.chinacloudapi.cn/.default",
    ),
];

const PUBLIC_SCOPE: &str = "https://database.windows.net/.default";

/// How long a token may take. Tokens that are at hand take no time; a developer's tool that is started, some seconds.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a login cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The host is none that may have a token.
    #[error(
        "{host} may not have a token of the app: only *.database.windows.net may, and what DBVC_ALLOWED_HOSTS names"
    )]
    HostNotAllowed {
        /// The host that would have got it.
        host: String,
    },
    /// A registered application belongs to a tenant, and the settings name none.
    #[error("Authentication=Active Directory Service Principal needs the setting AZURE_TENANT_ID")]
    NoTenant,
    /// The identity cannot be used at all.
    #[error(transparent)]
    NoIdentity(#[from] IdentityError),
    /// No token came.
    #[error(
        "no token came for the app's identity; in Azure check that it is assigned, elsewhere log in by az login: {0}"
    )]
    NoToken(#[source] azure_core::Error),
    /// No token came in time.
    #[error("no token came for the app's identity within {} s", TOKEN_TIMEOUT.as_secs())]
    TokenTooLate,
}

/// What proves a login. Its `Debug` form shows no secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Password { user: String, password: Secret },
    Token(Secret),
}

/// What a token is asked for. Only a host within the limits has one, so that no token can be asked for, let alone sent,
/// elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scope(&'static str);

impl Scope {
    fn of_host(host: &str, allowed_hosts: &[String]) -> Result<Self, CredentialError> {
        let lies_in = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
        let is_allowed =
            lies_in(PUBLIC_CLOUD) || allowed_hosts.iter().any(|suffix| lies_in(suffix));
        if !is_allowed {
            return Err(CredentialError::HostNotAllowed {
                host: host.to_owned(),
            });
        }
        let own = SCOPES.iter().find(|(suffix, _)| lies_in(suffix));
        Ok(Self(own.map_or(PUBLIC_SCOPE, |(_, scope)| scope)))
    }
}

/// What proves logins of the process.
#[derive(Debug)]
pub(super) struct Credentials {
    identities: Arc<Identities>,
    allowed_hosts: Vec<String>,
}

impl Credentials {
    pub fn new(identities: Arc<Identities>, allowed_hosts: Vec<String>) -> Self {
        Self {
            identities,
            allowed_hosts,
        }
    }

    /// What proves a login at `host`, whose certificate must bear the name `certificate_name`.
    ///
    /// # Errors
    ///
    /// [`CredentialError::HostNotAllowed`] before a token is even asked for.
    pub async fn prove(
        &self,
        authentication: &Authentication,
        host: &str,
        certificate_name: &str,
    ) -> Result<Proof, CredentialError> {
        let identity = self.identities.identity();
        let own = &identity.client_id;
        let kind = match authentication {
            Authentication::SqlPassword { user, password } => {
                return Ok(Proof::Password {
                    user: user.clone(),
                    password: password.clone(),
                });
            }
            Authentication::Default { client_id } => Kind::of_process(identity, client_id.as_ref()),
            Authentication::ManagedIdentity { client_id } => Kind::ManagedIdentity {
                client_id: client_id.as_ref().or(own.as_ref()).cloned(),
            },
            Authentication::WorkloadIdentity { client_id } => Kind::WorkloadIdentity {
                client_id: client_id.as_ref().or(own.as_ref()).cloned(),
            },
            Authentication::ServicePrincipal { client_id, secret } => Kind::ServicePrincipal {
                tenant_id: identity
                    .tenant_id
                    .clone()
                    .ok_or(CredentialError::NoTenant)?,
                client_id: client_id.clone(),
                secret: secret.clone(),
            },
        };
        let Scope(scope) = Scope::of_host(host, &self.allowed_hosts)?;
        // Whoever bears the name of another host is another host.
        Scope::of_host(certificate_name, &self.allowed_hosts)?;
        let credential = self.identities.credential(kind)?;
        let scopes = [scope];
        let token = tokio::time::timeout(TOKEN_TIMEOUT, credential.get_token(&scopes, None))
            .await
            .map_err(|_| CredentialError::TokenTooLate)?
            .map_err(CredentialError::NoToken)?;
        Ok(Proof::Token(token.token))
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};

    use super::super::super::identity::AppIdentity;
    use super::super::testing::CountingCredential;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn scope(host: &str, allowed: &[&str]) -> Option<&'static str> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        Scope::of_host(host, &allowed)
            .ok()
            .map(|Scope(scope)| scope)
    }

    #[test]
    fn only_azure_sql_and_what_the_settings_name_has_a_scope() {
        assert_eq!(scope("lpa.database.windows.net", &[]), Some(PUBLIC_SCOPE));
        assert_eq!(
            scope("w1.tr5.worker.database.windows.net", &[]),
            Some(PUBLIC_SCOPE)
        );
        for outside in [
            "database.windows.net",
            ".database.windows.net",
            "lpa.database.windows.net.evil.example",
            "evil-database.windows.net",
            "lpa.documents.azure.com",
            "lpa.database.chinacloudapi.cn",
            "localhost",
            "10.0.0.1",
            "",
        ] {
            assert_eq!(scope(outside, &[]), None, "{outside}");
        }
        assert_eq!(scope("evil.example", &[".lpa.example"]), None);
    }

    #[test]
    fn each_cloud_has_a_scope_of_its_own() {
        for (host, suffix, expected) in [
            (
                "lpa.database.chinacloudapi.cn",
                ".database.chinacloudapi.cn",
                "https://database.chinacloudapi.cn/.default",
            ),
            (
                "lpa.database.usgovcloudapi.net",
                ".database.usgovcloudapi.net",
                "https://database.usgovcloudapi.net/.default",
            ),
            ("sql.lpa.example", ".lpa.example", PUBLIC_SCOPE),
        ] {
            assert_eq!(scope(host, &[suffix]), Some(expected), "{host}");
        }
    }

    fn credentials(identity: AppIdentity, given: Option<Arc<dyn TokenCredential>>) -> Credentials {
        Credentials::new(Arc::new(Identities::new(identity, given)), vec![])
    }

    async fn proof_of(
        credentials: &Credentials,
        authentication: &Authentication,
    ) -> Result<Proof, CredentialError> {
        let host = "lpa.database.windows.net";
        credentials.prove(authentication, host, host).await
    }

    #[tokio::test]
    async fn a_password_needs_no_token() {
        let given = CountingCredential::new("marked", HOUR);
        let credentials = credentials(AppIdentity::default(), Some(given.clone()));
        let authentication = Authentication::SqlPassword {
            user: "ada".to_owned(),
            password: "hush".into(),
        };
        let proof = credentials
            .prove(&authentication, "anywhere.example", "anywhere.example")
            .await
            .unwrap();
        let expected = Proof::Password {
            user: "ada".to_owned(),
            password: "hush".into(),
        };
        assert_eq!(proof, expected);
        assert!(given.scopes().is_empty());
        assert!(!format!("{proof:?}").contains("hush"));
    }

    #[tokio::test]
    async fn every_other_authentication_is_a_token() {
        let given = CountingCredential::new("marked", HOUR);
        let identity = AppIdentity {
            tenant_id: Some("team".to_owned()),
            ..AppIdentity::default()
        };
        let credentials = credentials(identity, Some(given.clone()));
        for authentication in [
            Authentication::Default { client_id: None },
            Authentication::ManagedIdentity { client_id: None },
            Authentication::WorkloadIdentity { client_id: None },
            Authentication::ServicePrincipal {
                client_id: "app".to_owned(),
                secret: "hush".into(),
            },
        ] {
            let proof = proof_of(&credentials, &authentication).await.unwrap();
            assert_eq!(proof, Proof::Token("marked".into()));
            assert!(!format!("{proof:?}").contains("marked"));
        }
        assert_eq!(given.scopes(), [PUBLIC_SCOPE; 4]);
    }

    #[tokio::test]
    async fn an_application_needs_its_tenant() {
        let credentials = credentials(AppIdentity::default(), None);
        let authentication = Authentication::ServicePrincipal {
            client_id: "app".to_owned(),
            secret: "hush".into(),
        };
        let error = proof_of(&credentials, &authentication).await.unwrap_err();
        assert!(error.to_string().contains("AZURE_TENANT_ID"), "{error}");
    }

    #[derive(Debug)]
    struct SilentCredential;

    #[async_trait]
    impl TokenCredential for SilentCredential {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_does_not_come_is_not_waited_for_without_end() {
        let given = Arc::new(SilentCredential);
        let credentials = credentials(AppIdentity::default(), Some(given));
        let authentication = Authentication::Default { client_id: None };
        let error = proof_of(&credentials, &authentication).await.unwrap_err();
        assert!(error.to_string().contains("within 30 s"), "{error}");
    }
}
