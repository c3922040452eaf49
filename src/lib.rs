//! dbvc: database version control for Azure SQL Database and Cosmos DB.
//!
//! Imports run one way only: `functions` and `command_line` → `engine` → `alert` → `audit`, `registry`, `database` →
//! `schema`, `script`. `docs/how-it-works.md` draws the flow.

pub mod alert;
pub mod audit;
pub mod command_line;
pub mod crash_points;
pub mod database;
pub mod engine;
pub mod functions;
pub mod registry;
pub mod schema;
pub mod script;
pub mod settings;
pub mod time;
