//! Texts in pieces that fit into a document.

use sha2::{Digest, Sha256};

/// Most bytes that a piece takes as JSON text. A document holds at most 2 MB of JSON, its other fields included.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits#per-item-limits>
const MOST_BYTES: usize = 2_000_000;

/// How many bytes a character takes within JSON text.
fn size(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\u{0}'..='\u{1f}' => 6,
        _ => character.len_utf8(),
    }
}

/// How many bytes a text takes as JSON text, without its quotation marks.
pub(super) fn size_as_json(text: &str) -> usize {
    text.chars().map(size).sum()
}

/// The text in pieces, cut between characters; a text that fits is one piece.
pub(super) fn cut(text: &str) -> Vec<&str> {
    cut_at(text, MOST_BYTES)
}

fn cut_at(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut taken = 0;
    for (at, character) in text.char_indices() {
        let next = size(character);
        if taken + next > most && at > start {
            pieces.push(&text[start..at]);
            start = at;
            taken = 0;
        }
        taken += next;
    }
    pieces.push(&text[start..]);
    pieces
}

/// The name of a piece by its content: 64 hexadecimal digits.
pub(super) fn name(piece: &str) -> String {
    let digest = Sha256::digest(piece.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_its_size_as_json_between_characters() {
        assert_eq!(cut_at("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(cut_at("a\"\"b", 4), ["a\"", "\"b"]);
        assert_eq!(cut_at("\u{1}\u{1}", 6), ["\u{1}", "\u{1}"]);
        assert_eq!(cut_at("aä€😀", 4), ["aä", "€", "😀"]);
        assert_eq!(cut_at("", 4), [""]);
        // A character that does not fit at all is a piece of its own.
        assert_eq!(cut_at("a€b", 2), ["a", "€", "b"]);
    }

    #[test]
    fn the_size_is_that_of_the_json_text() {
        let all: String = ('\u{0}'..='\u{ff}').chain("€😀\u{2028}".chars()).collect();
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(size_as_json(&all) + 2, json.len());
    }

    #[test]
    fn a_piece_is_named_by_its_content() {
        // Computed with another implementation of SHA-256.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(name("abc"), of_abc);
    }
}
