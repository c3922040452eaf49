//! Sending a message to the webhook, a few times if need be. Its address shows in no error.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};

use super::address::WebhookAddress;
use super::message::{EACH_BY_ITSELF, Message};

/// How long the receiver may take for one request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pauses between the requests for one message.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// How long to leave a receiver alone that has too much to do and does not say for how long.
const DEFAULT_REST: Duration = Duration::from_secs(60);

/// The longest that a receiver is left alone at its own wish.
const MAX_REST: Duration = Duration::from_secs(3600);

/// The longest that one message can take, in whole seconds.
const LONGEST: usize = 18;

/// The longest that all messages of a round can take, in seconds.
#[allow(clippy::cast_possible_truncation, reason = "a handful")]
pub const LONGEST_ROUND_SECONDS: u32 = (LONGEST * EACH_BY_ITSELF) as u32;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The receiver does not want it, and would not want it later.
    #[error("the webhook refused it with status {0}")]
    Refused(u16),
    /// Not now.
    #[error("{why}")]
    Later {
        /// What happened.
        why: String,
        /// How long the receiver wants to be left alone.
        rest: Option<Duration>,
    },
}

/// A webhook that announcements are sent to.
#[derive(Debug)]
pub struct Webhook {
    address: WebhookAddress,
    /// Or why this machine cannot send anything.
    client: Result<Client, String>,
}

impl Webhook {
    /// A webhook with this address. Connects to nothing yet.
    pub fn new(address: WebhookAddress) -> Self {
        let mut builder = Client::builder()
            .timeout(PATIENCE)
            .redirect(redirect::Policy::none())
            .https_only(!address.is_local())
            .user_agent(concat!("dbvc/", env!("CARGO_PKG_VERSION")));
        if address.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(in_words);
        Self { address, client }
    }

    /// Sends a message, again after a pause where that may help.
    ///
    /// # Errors
    ///
    /// [`NotTaken`], without the address in it.
    pub async fn send(&self, message: &Message) -> Result<(), NotTaken> {
        let body = self.address.form().body(message).to_string();
        let mut pauses = PAUSES.iter();
        loop {
            let answered = self.send_once(body.clone()).await;
            match (answered, pauses.next()) {
                (Err(NotTaken::Later { rest: None, .. }), Some(pause)) => {
                    tokio::time::sleep(*pause).await;
                }
                (answered, _) => return answered,
            }
        }
    }

    async fn send_once(&self, body: String) -> Result<(), NotTaken> {
        let client = self.client.as_ref().map_err(|why| NotTaken::Later {
            why: why.clone(),
            rest: None,
        })?;
        let request = client
            .post(self.address.url().clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body);
        // The body of the answer is not read: nothing in it changes what follows.
        match request.send().await {
            Ok(response) => judge(response.status(), response.headers()),
            Err(error) => Err(NotTaken::Later {
                why: in_words(error),
                rest: None,
            }),
        }
    }
}

/// What an answer means. A redirect is none: what is announced goes to the address that was set, and to nobody else.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), NotTaken> {
    let later = |rest| NotTaken::Later {
        why: format!("the webhook answers with status {}", status.as_u16()),
        rest,
    };
    if status.is_success() {
        Ok(())
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        let wish = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map_or(DEFAULT_REST, Duration::from_secs);
        Err(later(Some(wish.min(MAX_REST))))
    } else if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        Err(later(None))
    } else {
        Err(NotTaken::Refused(status.as_u16()))
    }
}

/// An error with its causes, and without the address.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return format!(
            "the webhook does not answer within {} s",
            PATIENCE.as_secs()
        );
    }
    let mut words = format!("the webhook cannot be reached: {error}");
    let mut cause = error.source();
    while let Some(next) = cause {
        words.push_str(": ");
        words.push_str(&next.to_string());
        cause = next.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::super::finding::tests::failed;
    use super::super::message::messages;
    use super::*;

    fn judged(status: u16, retry_after: Option<&'static str>) -> Result<(), NotTaken> {
        let mut headers = HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        }
        judge(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn an_answer_is_taken_refused_or_put_off() {
        for status in [200, 202, 204] {
            assert_eq!(judged(status, None), Ok(()));
        }
        // A moved webhook is a wrong address: redirects are not followed.
        for status in [301, 307, 400, 401, 403, 404, 410, 413] {
            assert_eq!(judged(status, None), Err(NotTaken::Refused(status)));
        }
        for status in [408, 500, 502, 503] {
            assert!(
                matches!(
                    judged(status, None),
                    Err(NotTaken::Later { rest: None, .. })
                ),
                "{status}"
            );
        }
    }

    #[test]
    fn a_receiver_with_too_much_to_do_is_left_alone() {
        let rest = |retry_after| match judged(429, retry_after) {
            Err(NotTaken::Later { rest, .. }) => rest.unwrap().as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(rest(Some("7")), 7);
        assert_eq!(rest(Some("Wed, 21 Oct 2026 07:28:00 GMT")), 60);
        assert_eq!(rest(None), 60);
        assert_eq!(rest(Some("99999999")), 3600);
    }

    #[test]
    fn the_longest_time_is_what_requests_and_pauses_can_take() {
        let requests = PATIENCE * u32::try_from(PAUSES.len() + 1).unwrap();
        let all = requests + PAUSES.iter().sum::<Duration>();
        assert!((LONGEST as f64 - all.as_secs_f64()) < 1.0);
        assert!(LONGEST as f64 >= all.as_secs_f64());
    }

    #[tokio::test]
    async fn the_address_is_in_no_error() {
        // A port that nobody listens on.
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let address = format!("http://127.0.0.1:{port}/hush?sig=hush");
        let webhook = Webhook::new(WebhookAddress::parse(&address).unwrap());
        let refused = webhook.send(&messages(vec![failed()], 0)[0]).await;
        let Err(NotTaken::Later { why, rest: None }) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.starts_with("the webhook cannot be reached: "), "{why}");
        assert!(!why.contains("hush"), "{why}");
        assert!(!format!("{webhook:?}").contains("hush"));
    }
}
