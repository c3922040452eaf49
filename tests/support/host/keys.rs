//! Access keys as Azure asks for them: of one function, of the whole app, and the master key.

use hyper::HeaderMap;

use super::app::AuthLevel;
use super::wire;

/// Opens every function of level `function`.
pub const HOST_KEY: &str = "host-key-of-the-double";

/// Opens everything, level `admin` included.
pub const MASTER_KEY: &str = "master-key-of-the-double";

/// Opens one function only.
pub fn function_key(function: &str) -> String {
    format!("key-of-{}", function.to_ascii_lowercase())
}

/// Whether the key of a request (`x-functions-key`, or `code` of its query) opens the function.
pub fn open(level: AuthLevel, function: &str, headers: &HeaderMap, query: &str) -> bool {
    if level == AuthLevel::Anonymous {
        return true;
    }
    let header = headers
        .get("x-functions-key")
        .and_then(|value| value.to_str().ok());
    let code = wire::parse_query(query)
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("code"))
        .map(|(_, values)| values.join(","));
    let Some(key) = header.map(str::to_owned).or(code) else {
        return false;
    };
    key == MASTER_KEY
        || (level == AuthLevel::Function && (key == HOST_KEY || key == function_key(function)))
}
