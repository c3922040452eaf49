//! What several test files share.

// Every test file compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod contract;
pub mod cosmos;
pub mod dbvc;
pub mod drift_script;
pub mod host;
pub mod machine;
pub mod proxy;
pub mod scene;
pub mod server;
pub mod shape;
pub mod stage;
pub mod team;
pub mod webhook;
