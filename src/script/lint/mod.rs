//! The checks of scripts and of folders of them, without a database.

mod allow;
mod encoding;
mod folder;
mod operations;
mod reading;
mod rules;
mod script;

pub use allow::{AboutFile, AllowedFinding, Checked, Neighbours};
pub use encoding::check_decoding;
pub use folder::{CheckedFile, FolderFinding, check_folder};
pub use operations::check_operations;
pub use reading::KnownColumns;
pub use rules::{RULES, missing_down_script};
pub use script::{check_script, check_split};

use super::file_name::Prefix;
use super::rule::{Rule, Scope};

/// What a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// It applies a migration, a versioned or a repeatable one.
    Up,
    /// It rolls one back, so that it drops by nature.
    Down,
}

impl From<Prefix> for ScriptKind {
    fn from(prefix: Prefix) -> Self {
        match prefix {
            Prefix::Up | Prefix::Repeatable => Self::Up,
            Prefix::Down => Self::Down,
        }
    }
}

/// What a script without anything to send is told.
const EMPTY_SCRIPT: &str = "the script holds nothing that could be sent: write the statements, or a comment that says \
                            why there are none";
