//! Running migrations: order, failures and where they are, and that no script reaches beyond itself.

mod support;

#[path = "running/containing.rs"]
mod containing;
#[path = "running/drifting.rs"]
mod drifting;
#[path = "running/failing.rs"]
mod failing;
#[path = "running/many.rs"]
mod many;
#[path = "running/refusing.rs"]
mod refusing;
#[path = "running/waiting.rs"]
mod waiting;
