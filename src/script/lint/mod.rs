//! The checks of scripts and of folders of them, without a database.

mod encoding;
mod folder;
mod operations;
mod script;

pub use encoding::check_decoding;
pub use folder::{CheckedFile, FolderFinding, check_folder};
pub use operations::check_operations;
pub use script::{check_script, check_split};

/// The place of what concerns a whole file.
const WHOLE_FILE: (u32, u32) = (1, 1);

/// What a script without anything to send is told.
const EMPTY_SCRIPT: &str = "the script holds nothing that could be sent: write the statements, or a comment that says \
                            why there are none";
