//! The paths of files as other programs want them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What needs no escape in the path of a URI: RFC 3986, "unreserved" and the slash between segments.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A path with slashes only, and without `./` before it.
pub(super) fn slashed(path: &str) -> String {
    let path = if cfg!(windows) {
        path.replace('\\', "/")
    } else {
        path.to_owned()
    };
    path.strip_prefix("./").map_or(path.clone(), str::to_owned)
}

/// A path as a URI: relative as the path is, or with `file:` when it is absolute.
pub(super) fn of_path(path: &str) -> String {
    let path = slashed(path);
    let escaped = utf8_percent_encode(&path, ESCAPED).to_string();
    if path.starts_with('/') {
        format!("file://{escaped}")
    } else if std::path::Path::new(&path).is_absolute() {
        // A drive of Windows.
        format!("file:///{escaped}")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri_that_is_as_relative_as_it_was() {
        assert_eq!(of_path("./a/V1__a b.sql"), "a/V1__a%20b.sql");
        assert_eq!(of_path("../é:%.sql"), "../%C3%A9%3A%25.sql");
        assert_eq!(of_path("/a/b.sql"), "file:///a/b.sql");
    }
}
