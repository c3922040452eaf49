//! A reference to a connection string: where it is found, never the string itself.

use std::fmt;

/// What an inventory row says about how to reach its database.
///
/// References are limited so that nobody who may edit the inventory can read other settings of the app or have its
/// token sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionReference {
    /// `env:NAME`: an environment variable; only `SQL_…` and `DBVC_CONN_…`.
    Environment(String),
    /// `keyvault:https://….vault.azure.net/secrets/NAME`.
    KeyVault(String),
    /// `identity:server/database`: reached with the app's own identity.
    Identity {
        /// The host, without port.
        server: String,
        /// The database.
        database: String,
    },
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Another form.
    #[error(
        "must be env:NAME, keyvault:https://<vault>.vault.azure.net/secrets/<name> or identity:<server>/<database>; a connection string itself is never stored"
    )]
    Form,
    /// A variable outside the two families.
    #[error(
        "only environment variables whose names begin with SQL_ or DBVC_CONN_ can be referred to"
    )]
    Variable,
    /// A host outside the limits.
    #[error(
        "{0} is not an allowed host; allowed are *.database.windows.net and *.documents.azure.com, others by DBVC_ALLOWED_HOSTS"
    )]
    Host(String),
}

impl ConnectionReference {
    /// Reads a reference. `allowed_hosts` holds further host suffixes for `identity:`, such as `.database.azure.cn`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] says what is allowed. The text itself is not repeated: it may be a connection string.
    pub fn parse(text: &str, allowed_hosts: &[String]) -> Result<Self, ReferenceError> {
        if let Some(name) = text.strip_prefix("env:") {
            let well_formed = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !well_formed {
                return Err(ReferenceError::Form);
            }
            if !(name.starts_with("SQL_") || name.starts_with("DBVC_CONN_")) {
                return Err(ReferenceError::Variable);
            }
            return Ok(Self::Environment(name.to_owned()));
        }
        if let Some(url) = text.strip_prefix("keyvault:") {
            let rest = url.strip_prefix("https://").ok_or(ReferenceError::Form)?;
            let (host, path) = rest.split_once('/').ok_or(ReferenceError::Form)?;
            let name = path.strip_prefix("secrets/").ok_or(ReferenceError::Form)?;
            let vault = host
                .strip_suffix(".vault.azure.net")
                .ok_or(ReferenceError::Form)?;
            let plain = |part: &str| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            if !plain(vault) || !plain(name) {
                return Err(ReferenceError::Form);
            }
            return Ok(Self::KeyVault(url.to_owned()));
        }
        if let Some(place) = text.strip_prefix("identity:") {
            let (server, database) = place.split_once('/').ok_or(ReferenceError::Form)?;
            let host_like = !server.is_empty()
                && server
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
            if !host_like || database.is_empty() || database.contains(['/', ';']) {
                return Err(ReferenceError::Form);
            }
            let server = server.to_ascii_lowercase();
            let allowed = [".database.windows.net", ".documents.azure.com"]
                .into_iter()
                .chain(allowed_hosts.iter().map(String::as_str))
                .any(|suffix| server.len() > suffix.len() && server.ends_with(suffix));
            if !allowed {
                return Err(ReferenceError::Host(server));
            }
            return Ok(Self::Identity {
                server,
                database: database.to_owned(),
            });
        }
        Err(ReferenceError::Form)
    }
}

impl fmt::Display for ConnectionReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::KeyVault(url) => write!(f, "keyvault:{url}"),
            Self::Identity { server, database } => write!(f, "identity:{server}/{database}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_survive_being_written_and_read() {
        for text in [
            "env:SQL_CONNECTION_STRING",
            "env:DBVC_CONN_REPORTING",
            "keyvault:https://lpa-dbvc.vault.azure.net/secrets/sql-dev",
            "identity:lpa.database.windows.net/lpa-bloom-db-dev",
        ] {
            let reference = ConnectionReference::parse(text, &[]).unwrap();
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn a_connection_string_is_refused_without_being_repeated() {
        let secret = "Server=tcp:x;User ID=sa;Password=hush";
        let error = ConnectionReference::parse(secret, &[]).unwrap_err();
        assert!(!error.to_string().contains("hush"));
    }

    #[test]
    fn other_variables_and_other_hosts_are_refused() {
        let parse = |text: &str| ConnectionReference::parse(text, &[]).unwrap_err();
        assert_eq!(parse("env:PATH"), ReferenceError::Variable);
        assert_eq!(parse("env:"), ReferenceError::Form);
        assert_eq!(
            parse("identity:evil.example/db"),
            ReferenceError::Host("evil.example".to_owned())
        );
        assert_eq!(
            parse("identity:.database.windows.net/db"),
            ReferenceError::Host(".database.windows.net".to_owned())
        );
        assert_eq!(
            parse("keyvault:https://evil.example/.vault.azure.net/secrets/x"),
            ReferenceError::Form
        );
    }

    #[test]
    fn another_cloud_is_allowed_by_name() {
        let hosts = [".database.azure.cn".to_owned()];
        assert!(ConnectionReference::parse("identity:a.database.azure.cn/db", &hosts).is_ok());
    }
}
