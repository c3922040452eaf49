//! Which Cosmos DB account is meant, and what proves who asks.

use azure_core::credentials::Secret;
use azure_core::http::Url;
use azure_data_cosmos_driver::models::ConnectionString;

/// Hosts that are Cosmos DB whatever the settings say, by suffix.
const PUBLIC_CLOUD: &str = ".documents.azure.com";

/// Hosts of emulators, as the driver knows them: only these may be reached without TLS or with a certificate of their own.
const EMULATOR_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A Cosmos DB account. Its `Debug` form shows no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosmosAccount {
    endpoint: Url,
    proof: Proof,
}

/// What proves who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The key of the account.
    Key(Secret),
    /// A token of the app's identity.
    Identity,
}

/// Why a text names no account that dbvc may use. The text itself is not repeated: it may hold a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosmosAccountError {
    /// No connection string.
    #[error(
        "must be a connection string of Cosmos DB: AccountEndpoint=https://<account>.documents.azure.com:443/;AccountKey=<key>;"
    )]
    ConnectionString,
    /// The key is not what Azure gives as one.
    #[error(
        "must hold the whole key as the portal shows it, which is base64: the AccountKey is not"
    )]
    Key,
    /// No endpoint.
    #[error(
        "must be the endpoint of a Cosmos DB account, such as https://<account>.documents.azure.com:443/"
    )]
    Endpoint,
    /// Plain HTTP to something that is no emulator.
    #[error("must begin with https://; only an emulator on this machine may be reached by http://")]
    NotEncrypted,
    /// A host that may not have a token of the app.
    #[error(
        "{host} may not have a token of the app: only *.documents.azure.com may, and what DBVC_ALLOWED_HOSTS names"
    )]
    HostNotAllowed {
        /// The host that would have got it.
        host: String,
    },
}

impl CosmosAccount {
    /// The account of a connection string, which holds its key.
    ///
    /// # Errors
    ///
    /// When it is none, or leads elsewhere than to an account by TLS or to an emulator.
    pub fn with_key(connection_string: &str) -> Result<Self, CosmosAccountError> {
        let parsed: ConnectionString = connection_string
            .parse()
            .map_err(|_| CosmosAccountError::ConnectionString)?;
        let key = parsed.account_key().secret();
        if key.trim().is_empty() {
            return Err(CosmosAccountError::ConnectionString);
        }
        if azure_core::base64::decode(key).is_err() {
            return Err(CosmosAccountError::Key);
        }
        Ok(Self {
            endpoint: endpoint(parsed.account_endpoint())?,
            proof: Proof::Key(parsed.account_key().clone()),
        })
    }

    /// The account at an endpoint, reached with the app's identity. `allowed_hosts` holds further host suffixes that may have
    /// a token, such as `.documents.azure.cn`.
    ///
    /// # Errors
    ///
    /// [`CosmosAccountError::HostNotAllowed`] for every other host.
    pub fn with_identity(
        endpoint_text: &str,
        allowed_hosts: &[String],
    ) -> Result<Self, CosmosAccountError> {
        let endpoint = endpoint(endpoint_text)?;
        let host = endpoint.host_str().unwrap_or_default().to_ascii_lowercase();
        let lies_in = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
        let is_allowed =
            lies_in(PUBLIC_CLOUD) || allowed_hosts.iter().any(|suffix| lies_in(suffix));
        if !is_allowed || endpoint.scheme() != "https" {
            return Err(CosmosAccountError::HostNotAllowed { host });
        }
        Ok(Self {
            endpoint,
            proof: Proof::Identity,
        })
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// Whether its key is known: only with a key can databases and containers be made, changed and removed.
    pub fn has_key(&self) -> bool {
        matches!(self.proof, Proof::Key(_))
    }

    /// Whether it is an emulator on this machine.
    pub fn is_emulator(&self) -> bool {
        is_emulator(&self.endpoint)
    }

    pub(super) fn proof(&self) -> &Proof {
        &self.proof
    }
}

fn is_emulator(endpoint: &Url) -> bool {
    endpoint.host_str().is_some_and(|host| {
        EMULATOR_HOSTS
            .iter()
            .any(|known| host.eq_ignore_ascii_case(known))
    })
}

fn endpoint(text: &str) -> Result<Url, CosmosAccountError> {
    let url: Url = text
        .trim()
        .parse()
        .map_err(|_| CosmosAccountError::Endpoint)?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if url.host_str().is_none_or(str::is_empty) || !is_bare {
        return Err(CosmosAccountError::Endpoint);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_emulator(&url) => Ok(url),
        "http" => Err(CosmosAccountError::NotEncrypted),
        _ => Err(CosmosAccountError::Endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_key(text: &str) -> Result<CosmosAccount, CosmosAccountError> {
        CosmosAccount::with_key(text)
    }

    #[test]
    fn a_connection_string_gives_an_account_whose_key_does_not_show() {
        let account =
            with_key("AccountEndpoint=https://lpa.documents.azure.com:443/;AccountKey=aHVzaA==;")
                .unwrap();
        assert_eq!(
            account.endpoint().as_str(),
            "https://lpa.documents.azure.com/"
        );
        assert!(account.has_key() && !account.is_emulator());
        assert!(!format!("{account:?}").contains("aHVzaA"));
    }

    #[test]
    fn what_is_no_connection_string_is_refused_without_being_repeated() {
        for text in [
            "hush",
            "AccountKey=hush",
            "AccountEndpoint=https://lpa.documents.azure.com/;AccountKey= ;",
            "Server=tcp:lpa;Password=hush",
        ] {
            let error = with_key(text).unwrap_err();
            assert_eq!(error, CosmosAccountError::ConnectionString, "{text}");
            assert!(!error.to_string().contains("hush"));
        }
        for endpoint in [
            "nothing",
            "ftp://x/",
            "https://u:hush@x/",
            "https://x/path",
            "https://x/?q",
        ] {
            let error =
                with_key(&format!("AccountEndpoint={endpoint};AccountKey=aHVzaA==")).unwrap_err();
            assert_eq!(error, CosmosAccountError::Endpoint, "{endpoint}");
        }
    }

    #[test]
    fn only_an_emulator_may_do_without_encryption() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let text = format!("AccountEndpoint=http://{host}:8081/;AccountKey=aHVzaA==");
            assert!(with_key(&text).unwrap().is_emulator());
        }
        for host in ["lpa.documents.azure.com", "localhost.evil.example"] {
            let text = format!("AccountEndpoint=http://{host}/;AccountKey=aHVzaA==");
            assert_eq!(
                with_key(&text).unwrap_err(),
                CosmosAccountError::NotEncrypted
            );
        }
    }

    #[test]
    fn a_token_goes_to_hosts_within_the_limits_only() {
        let with_identity =
            |text: &str, allowed: &[String]| CosmosAccount::with_identity(text, allowed);
        let account = with_identity("https://lpa.documents.azure.com:443/", &[]).unwrap();
        assert!(!account.has_key());
        for text in [
            "https://documents.azure.com/",
            "https://lpa.documents.azure.com.evil.example/",
            "https://lpa.documents.azure.cn/",
            "https://localhost:8081/",
            "http://localhost:8081/",
        ] {
            assert!(
                matches!(
                    with_identity(text, &[]),
                    Err(CosmosAccountError::HostNotAllowed { .. })
                ),
                "{text}"
            );
        }
        let china = [".documents.azure.cn".to_owned()];
        assert!(with_identity("https://lpa.documents.azure.cn/", &china).is_ok());
    }
}
