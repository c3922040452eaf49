//! The checksum of a script, by which a later change of its text is found.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use sha2::{Digest, Sha256};

use super::text_form::serde_as_text;

/// How a checksum is written begins with its algorithm, so that another one can follow one day.
const PREFIX: &str = "sha256:";

/// SHA-256 over a text without byte order mark and with LF line ends, written `sha256:<64 hexadecimal digits>`.
///
/// The encoding of a file and its line ends are changed by editors and by git without anybody meaning it; a checksum
/// that noticed them would refuse scripts that nobody changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
pub struct Checksum(
    #[schemars(with = "String", regex(pattern = "^sha256:[0-9a-f]{64}$"))] [u8; 32],
);

/// Why a text is not a [`Checksum`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a checksum must be 'sha256:' and 64 hexadecimal digits")]
pub struct ChecksumError;

impl Checksum {
    /// The checksum of a script. A leading byte order mark does not count; CRLF and a lone CR count as LF.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes();
        let mut hasher = Sha256::new();
        while let Some(at) = rest.iter().position(|&byte| byte == b'\r') {
            let (before, from_cr) = rest.split_at(at);
            hasher.update(before);
            hasher.update(b"\n");
            rest = from_cr
                .strip_prefix(b"\r\n")
                .or_else(|| from_cr.strip_prefix(b"\r"))
                .unwrap_or_default();
        }
        hasher.update(rest);
        Self(hasher.finalize().into())
    }

    /// Reads `sha256:` and 64 hexadecimal digits of either case.
    ///
    /// # Errors
    ///
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ChecksumError)?.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != bytes.len() * 2 {
            return Err(ChecksumError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair
                .iter()
                .try_fold(0, |value, &digit| Ok(value << 4 | hex_value(digit)?))?;
        }
        Ok(Self(bytes))
    }
}

fn hex_value(digit: u8) -> Result<u8, ChecksumError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ChecksumError),
    }
}

/// Bytes as lower case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(PREFIX)?;
        formatter.write_str(&hex(&self.0))
    }
}

impl FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

serde_as_text!(Checksum);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // SHA-256 of "SELECT 1;\nSELECT 2;\n".
    const TWO_LINES: &str =
        "sha256:82efb67f3010c6eb7ead02e4f6d9550633dbc1407f99aa487468e7b2567aebbc";

    #[test]
    fn byte_order_mark_and_line_ends_make_no_difference() {
        for text in [
            "SELECT 1;\nSELECT 2;\n",
            "SELECT 1;\r\nSELECT 2;\r\n",
            "SELECT 1;\rSELECT 2;\r",
            "\u{feff}SELECT 1;\nSELECT 2;\r\n",
        ] {
            assert_eq!(Checksum::of_text(text).to_string(), TWO_LINES, "{text:?}");
        }
    }

    #[test]
    fn every_other_character_makes_a_difference() {
        for text in [
            "SELECT 1;\n\nSELECT 2;\n",
            "SELECT 1;\n\rSELECT 2;\n",
            "SELECT 1;\nSELECT 2;",
            "SELECT 1;\nSELECT 2; \n",
            "\u{feff}\u{feff}SELECT 1;\nSELECT 2;\n",
        ] {
            assert_ne!(Checksum::of_text(text).to_string(), TWO_LINES, "{text:?}");
        }
    }

    #[test]
    fn the_empty_text_has_the_known_checksum() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Checksum::of_text("").to_string(), known);
        assert_eq!(Checksum::of_text("\u{feff}").to_string(), known);
    }

    #[test]
    fn a_checksum_is_read_in_either_case_and_written_in_lower_case() {
        let checksum = Checksum::of_text("x");
        let upper = checksum
            .to_string()
            .to_uppercase()
            .replace("SHA256", "sha256");
        assert_eq!(Checksum::parse(&upper), Ok(checksum));
        assert_eq!(
            serde_json::to_string(&checksum).unwrap(),
            format!("\"{checksum}\"")
        );
    }

    #[test]
    fn what_is_not_a_checksum_is_refused() {
        let digits = "0".repeat(64);
        for text in [
            String::new(),
            digits.clone(),
            format!("md5:{digits}"),
            format!("SHA256:{digits}"),
            format!("sha256:{digits}0"),
            format!("sha256:{}", &digits[1..]),
            format!("sha256:{}g", &digits[1..]),
            format!("sha256:{}é", &digits[2..]),
        ] {
            assert_eq!(Checksum::parse(&text), Err(ChecksumError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_checksum_is_that_of_the_normalised_text(text in "[a\r\n\u{feff}é]{0,20}") {
            let normalised = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n").replace('\r', "\n");
            let expected: [u8; 32] = Sha256::digest(normalised.as_bytes()).into();
            prop_assert_eq!(Checksum::of_text(&text), Checksum(expected));
        }
    }
}
