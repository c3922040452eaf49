//! The page: one document with its style and its script in it, and the headers that let nothing else run.

use std::sync::LazyLock;

use warp::http::StatusCode;

use crate::functions::accept::MediaType;
use crate::functions::answer::Answer;
use crate::schema::page::hash_source;
use crate::schema::report;

/// The document without style and script. No data is ever written into it: the script asks for the data and shows it as
/// text.
const DOCUMENT: &str = include_str!("page.html");
/// Where the style goes.
const STYLE_PLACE: &str = "/* style */";
/// Where the script goes.
const SCRIPT_PLACE: &str = "/* script */";

const STYLE: &str = include_str!("page.css");

/// Parts of one script: later ones use what earlier ones declare.
const SCRIPT: &str = concat!(
    include_str!("script/words.js"),
    include_str!("script/elements.js"),
    include_str!("script/asking.js"),
    include_str!("script/dialogs.js"),
    include_str!("script/databases.js"),
    include_str!("script/runs.js"),
    include_str!("script/history.js"),
    include_str!("script/page.js"),
);

static PAGE: LazyLock<String> = LazyLock::new(|| {
    DOCUMENT
        .replacen(STYLE_PLACE, STYLE, 1)
        .replacen(SCRIPT_PLACE, SCRIPT, 1)
});

/// What the page may do (<https://www.w3.org/TR/CSP3/>): run its own script and no other, and ask its own origin for data.
/// The drift report, which it shows in a frame that inherits this policy, brings a style and a script of its own. Nothing becomes
/// markup but by the policy `report`, which the script uses for that report alone
/// (<https://www.w3.org/TR/trusted-types/>).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {} {}; style-src {} {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types report",
        hash_source(SCRIPT),
        hash_source(report::SCRIPT),
        hash_source(STYLE),
        hash_source(report::STYLE),
    )
});

pub(super) fn answer() -> Answer {
    let html = MediaType::Html.content_type();
    Answer::text(StatusCode::OK, html, PAGE.clone())
        .with_header("content-security-policy", POLICY.as_str())
        // A key may stand in the address until the script takes it out.
        .with_header("referrer-policy", "no-referrer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_have_their_places_and_end_where_they_should() {
        assert_eq!(DOCUMENT.matches(STYLE_PLACE).count(), 1);
        assert_eq!(DOCUMENT.matches(SCRIPT_PLACE).count(), 1);
        assert!(PAGE.contains(STYLE) && PAGE.contains(SCRIPT));
        let script = SCRIPT.to_ascii_lowercase();
        assert!(!script.contains("</script") && !script.contains("<!--"));
        assert!(!STYLE.to_ascii_lowercase().contains("</style"));
    }
}
