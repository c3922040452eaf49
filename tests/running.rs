//! Running migrations: order, failures and where they are, and that no script reaches beyond itself.

mod support;

#[path = "running/choosing.rs"]
mod choosing;
#[path = "running/containing.rs"]
mod containing;
#[path = "running/drifting.rs"]
mod drifting;
#[path = "running/failing.rs"]
mod failing;
#[path = "running/many.rs"]
mod many;
#[path = "running/waiting.rs"]
mod waiting;
