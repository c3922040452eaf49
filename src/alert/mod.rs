//! Announcing what the trail tells of drift and failures to a webhook.
//!
//! [`finding`] says what of an event is news, [`message`] puts it into words, [`form`] writes it as the receiver wants it, and
//! [`webhook`] sends it. When to send, and what was sent before, is the business of `engine`.

mod address;
mod finding;
mod form;
mod message;
mod webhook;

pub use address::{AddressError, WebhookAddress};
pub use finding::{Finding, FindingKind};
pub use message::{Message, messages};
pub use webhook::{LONGEST_ROUND_SECONDS, NotTaken, Webhook};
