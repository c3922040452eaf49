//! A page for people that stands alone: one file with its style and its script, which asks for nothing from elsewhere.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use sha2::{Digest, Sha256};

/// How a kind of page looks and behaves. Neither part ever holds data: both are known by their hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub style: &'static str,
    pub script: &'static str,
}

impl Look {
    /// What a browser may do with the page, as a `Content-Security-Policy` (<https://www.w3.org/TR/CSP3/>): use this style
    /// and run this script, and nothing else, whatever a name from a database turns out to be.
    pub fn policy(&self) -> String {
        format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash_source(self.style),
            hash_source(self.script)
        )
    }

    /// The whole page. It carries its policy, so that it is held to it as a file as well.
    pub fn page(&self, title: &str, body: &Markup) -> String {
        let page = markup! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(self.policy());
                    meta name="referrer" content="no-referrer";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    style { (PreEscaped(self.style)) }
                }
                body {
                    (body)
                    script { (PreEscaped(self.script)) }
                }
            }
        };
        page.into_string()
    }
}

/// The hash by which a policy allows a text in a document, as it stands in the policy. A browser reads CR LF as LF before it
/// counts.
pub fn hash_source(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n"));
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_exactly_what_the_page_holds() {
        let look = Look {
            style: "a{}b{}",
            script: "1",
        };
        // echo -n 'a{}b{}' | openssl dgst -sha256 -binary | base64
        let policy = look.policy();
        assert!(
            policy.contains("style-src 'sha256-cR0WXeDFPUxoynVcPpDZ1iYEOmjKwa49ZNxsL/qKIpk='"),
            "{policy}"
        );
        assert!(
            policy.contains("script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='"),
            "{policy}"
        );
        let page = look.page("<&>", &markup! {});
        assert!(page.contains("<style>a{}b{}</style>"), "{page}");
        assert!(page.contains("<script>1</script>"), "{page}");
        assert!(page.contains("<title>&lt;&amp;&gt;</title>"), "{page}");
    }
    #[test]
    fn line_ends_make_no_difference_to_a_hash() {
        assert_eq!(hash_source("a\r\nb\r\n"), hash_source("a\nb\n"));
        // `printf 'a\nb\n' | openssl dgst -sha256 -binary | base64`
        assert_eq!(
            hash_source("a\nb\n"),
            "'sha256-kRFp3arxRq/1OfWMJsSJrzuJLf8P4oPBwmTGWuWqWaI='"
        );
    }
}
