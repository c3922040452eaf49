//! Decodes the bytes of a script file: UTF-8 with or without byte order mark, UTF-16 with one.

use std::fmt;

use super::cursor::place_behind;

const UTF_8_BOM: &[u8] = b"\xef\xbb\xbf";
const UTF_16_LE_BOM: &[u8] = b"\xff\xfe";
const UTF_16_BE_BOM: &[u8] = b"\xfe\xff";

/// How the text of a file is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8 without byte order mark.
    Utf8,
    /// UTF-8 with byte order mark.
    Utf8Bom,
    /// UTF-16, low byte first, with byte order mark.
    Utf16Le,
    /// UTF-16, high byte first, with byte order mark.
    Utf16Be,
}

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text without its byte order mark.
    pub text: String,
    /// How it was encoded.
    pub encoding: Encoding,
}

/// Why a file is not a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The line of the file, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// The kinds of [`DecodeError`]. `offset` is in bytes from the beginning of the file, byte order mark included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// The bytes are not UTF-8.
    #[error(
        "the byte at offset {offset} is not UTF-8: save the file as UTF-8, or as UTF-16 with a byte order mark"
    )]
    InvalidUtf8 {
        /// The first byte that does not fit.
        offset: usize,
    },
    /// The bytes are not UTF-16, as their byte order mark says.
    #[error(
        "the bytes at offset {offset} are not {encoding}, as the byte order mark says: save the file as UTF-8"
    )]
    InvalidUtf16 {
        /// What the byte order mark says.
        encoding: Encoding,
        /// The first byte that does not fit.
        offset: usize,
    },
    /// The text holds a NUL character, which engines take for its end.
    #[error(
        "the character at offset {offset} is NUL, which no script may hold: save the file as UTF-8"
    )]
    Nul {
        /// The first byte of the character.
        offset: usize,
    },
}

impl Encoding {
    /// The name: `utf-8`, `utf-8-bom`, `utf-16le` or `utf-16be`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf8Bom => "utf-8-bom",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Decodes the bytes of a script file.
///
/// # Errors
///
/// When the bytes are not of their encoding, or the text holds a NUL character.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let (encoding, text) = if let Some(rest) = bytes.strip_prefix(UTF_8_BOM) {
        (Encoding::Utf8Bom, decode_utf8(rest, UTF_8_BOM.len())?)
    } else if let Some(rest) = bytes.strip_prefix(UTF_16_LE_BOM) {
        let encoding = Encoding::Utf16Le;
        (encoding, decode_utf16(rest, encoding, u16::from_le_bytes)?)
    } else if let Some(rest) = bytes.strip_prefix(UTF_16_BE_BOM) {
        let encoding = Encoding::Utf16Be;
        (encoding, decode_utf16(rest, encoding, u16::from_be_bytes)?)
    } else {
        (Encoding::Utf8, decode_utf8(bytes, 0)?)
    };
    if let Some((before, _)) = text.split_once('\0') {
        let offset = match encoding {
            Encoding::Utf8 => before.len(),
            Encoding::Utf8Bom => UTF_8_BOM.len() + before.len(),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                UTF_16_LE_BOM.len() + 2 * before.encode_utf16().count()
            }
        };
        return Err(error(DecodeErrorKind::Nul { offset }, before));
    }
    Ok(Decoded { text, encoding })
}

fn decode_utf8(bytes: &[u8], offset: usize) -> Result<String, DecodeError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
        let valid = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let offset = offset + valid.len();
        error(DecodeErrorKind::InvalidUtf8 { offset }, valid)
    })
}

fn decode_utf16(
    bytes: &[u8],
    encoding: Encoding,
    unit: fn([u8; 2]) -> u16,
) -> Result<String, DecodeError> {
    let (pairs, odd_byte) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut offset = UTF_16_LE_BOM.len();
    for character in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        match character {
            Ok(character) => {
                text.push(character);
                offset += 2 * character.len_utf16();
            }
            Err(_) => {
                return Err(error(
                    DecodeErrorKind::InvalidUtf16 { encoding, offset },
                    &text,
                ));
            }
        }
    }
    if odd_byte.is_empty() {
        Ok(text)
    } else {
        Err(error(
            DecodeErrorKind::InvalidUtf16 { encoding, offset },
            &text,
        ))
    }
}

fn error(kind: DecodeErrorKind, before: &str) -> DecodeError {
    let (line, column) = place_behind(before);
    DecodeError { kind, line, column }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str, bom: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = text.encode_utf16().flat_map(bytes);
        bom.iter().copied().chain(units).collect()
    }

    fn little(text: &str) -> Vec<u8> {
        utf16(text, UTF_16_LE_BOM, u16::to_le_bytes)
    }

    fn big(text: &str) -> Vec<u8> {
        utf16(text, UTF_16_BE_BOM, u16::to_be_bytes)
    }

    fn with_bom(text: &str) -> Vec<u8> {
        [UTF_8_BOM, text.as_bytes()].concat()
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "SELECT N'é€😀';\r\nGO\n";
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), "utf-8"),
            (with_bom(text), "utf-8-bom"),
            (little(text), "utf-16le"),
            (big(text), "utf-16be"),
        ] {
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded.text, text, "{encoding}");
            assert_eq!(decoded.encoding.as_str(), encoding);
        }
    }

    #[test]
    fn an_empty_file_is_an_empty_text() {
        for bytes in [&[], UTF_8_BOM, UTF_16_LE_BOM, UTF_16_BE_BOM] {
            assert_eq!(decode(bytes).unwrap().text, "");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_where_they_stand() {
        let error = decode(b"a\r\nb\rc\n\xc3\xa9x\xe9 d").unwrap_err();
        let kind = DecodeErrorKind::InvalidUtf8 { offset: 10 };
        assert_eq!(
            error,
            DecodeError {
                kind,
                line: 4,
                column: 3
            }
        );
        let error = decode(b"\xef\xbb\xbfab\x80").unwrap_err();
        let kind = DecodeErrorKind::InvalidUtf8 { offset: 5 };
        assert_eq!(
            error,
            DecodeError {
                kind,
                line: 1,
                column: 3
            }
        );
    }

    #[test]
    fn a_lone_surrogate_or_an_odd_byte_is_refused_where_it_stands() {
        let mut bytes = little("a\n😀");
        bytes.extend([0x00, 0xd8, b'b', 0]);
        let encoding = Encoding::Utf16Le;
        let kind = DecodeErrorKind::InvalidUtf16 {
            encoding,
            offset: 10,
        };
        assert_eq!(
            decode(&bytes).unwrap_err(),
            DecodeError {
                kind,
                line: 2,
                column: 2
            }
        );
        let mut bytes = big("ab");
        bytes.push(0);
        let encoding = Encoding::Utf16Be;
        let kind = DecodeErrorKind::InvalidUtf16 {
            encoding,
            offset: 6,
        };
        assert_eq!(
            decode(&bytes).unwrap_err(),
            DecodeError {
                kind,
                line: 1,
                column: 3
            }
        );
    }

    #[test]
    fn a_nul_character_is_refused_where_it_stands() {
        let text = "é\nab\0c";
        for (bytes, offset) in [
            (text.as_bytes().to_vec(), 5),
            (with_bom(text), 8),
            (little(text), 10),
            (big(text), 10),
        ] {
            let kind = DecodeErrorKind::Nul { offset };
            assert_eq!(
                decode(&bytes).unwrap_err(),
                DecodeError {
                    kind,
                    line: 2,
                    column: 3
                }
            );
        }
    }

    #[test]
    fn utf_16_without_byte_order_mark_is_refused() {
        let bytes = &little("SELECT 1")[2..];
        assert!(matches!(
            decode(bytes).unwrap_err().kind,
            DecodeErrorKind::Nul { offset: 1 }
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_decoding_panic(bytes in any::<Vec<u8>>(), bom in 0..4_usize) {
            let bom = [&[], UTF_8_BOM, UTF_16_LE_BOM, UTF_16_BE_BOM][bom];
            let _ = decode(&[bom, &bytes].concat());
        }

        #[test]
        fn every_text_without_nul_survives(text in "[^\0\u{feff}]*") {
            for bytes in [text.as_bytes().to_vec(), with_bom(&text), little(&text), big(&text)] {
                prop_assert_eq!(&decode(&bytes).unwrap().text, &text);
            }
        }
    }
}
