//! dbvc's own tables in each managed SQL database.
//!
//! Functions here make statements and read rows; whoever calls them decides in which transaction they are sent.

pub mod announcements;
pub mod definition;
pub mod events;
pub mod executions;
pub mod inventory;
pub mod lock;
pub mod migrations;
pub mod presence;
pub mod runs;
pub mod snapshots;
pub mod state;
mod statements;
mod testing;
