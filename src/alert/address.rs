//! The address of a webhook: who knows it may write to the channel, so that it shows nowhere.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::form::Form;

/// An address that announcements may be sent to. Shows its host at most.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookAddress {
    url: Url,
}

/// Why a text is no such address. The text is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No address at all, or one of another kind.
    #[error("must be an address that begins with https://")]
    NotHttps,
    /// Without TLS, and not on this machine.
    #[error("must begin with https://; http:// is for localhost only")]
    NotEncrypted,
    /// Names a user or a password.
    #[error("must not hold a user or a password before the host")]
    HasCredentials,
}

impl WebhookAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`AddressError`] for everything but `https://…` and, on this machine, `http://…`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError::NotHttps)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(AddressError::NotEncrypted),
            _ => return Err(AddressError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::HasCredentials);
        }
        Ok(Self { url })
    }

    /// Where requests go.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// In what form the receiver takes announcements, by its host.
    pub(super) fn form(&self) -> Form {
        Form::of_host(self.url.host_str().unwrap_or_default())
    }

    /// Whether it is on this machine.
    pub(super) fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl fmt::Debug for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookAddress")
            .field("host", &self.url.host_str().unwrap_or_default())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_this_machine() {
        for text in [
            "https://hooks.slack.com/services/T0/B0/hush",
            "https://example.com:8443/x?sig=hush",
            "http://localhost:9000/hush",
            "http://127.0.0.1/hush",
            "http://[::1]:80/hush",
        ] {
            assert!(WebhookAddress::parse(text).is_ok(), "{text}");
        }
        for (text, error) in [
            ("http://example.com/hush", AddressError::NotEncrypted),
            ("http://127.0.0.1.example.com/", AddressError::NotEncrypted),
            ("hooks.slack.com/services/hush", AddressError::NotHttps),
            ("ftp://localhost/hush", AddressError::NotHttps),
            ("https://", AddressError::NotHttps),
            (
                "https://user:hush@example.com/",
                AddressError::HasCredentials,
            ),
        ] {
            let refused = WebhookAddress::parse(text).unwrap_err();
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("hush"));
        }
    }

    #[test]
    fn nothing_but_the_host_shows() {
        let address = WebhookAddress::parse("https://example.com/hush?sig=hush").unwrap();
        assert!(!format!("{address:?}").contains("hush"));
    }
}
