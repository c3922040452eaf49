//! The parts of a batch with their places in the file.

use crate::script::batch::Batch;
use crate::script::cursor::Mark;
use crate::script::statement::part::{Part, Parts};
use crate::script::syntax::Syntax;

/// A part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script::lint) struct Token<'a> {
    pub(in crate::script::lint) part: Part<'a>,
    /// Line and column of the file.
    pub(in crate::script::lint) place: (u32, u32),
    /// Byte offset in the batch.
    pub(super) offset: usize,
}

impl Token<'_> {
    /// Byte offset behind it in the batch. Behind what has no end the rest is not known.
    pub(super) fn end(&self) -> usize {
        self.offset
            + match self.part {
                Part::Word(text) | Part::Quoted(text) => text.len(),
                Part::Symbol(_) => 1,
                Part::Unterminated => 0,
            }
    }
}

/// The parts of a batch in order. Columns are counted on from one to the next, so that a long line is walked once.
pub(super) fn tokens<'a>(
    batch: &Batch<'a>,
    syntax: Syntax,
) -> impl Iterator<Item = Token<'a>> + use<'a> {
    let (text, first_line) = (batch.text, batch.line);
    let mut counted = Counted {
        line_start: 0,
        offset: 0,
        column: 1,
    };
    Parts::of(text, syntax).map(move |(part, mark)| Token {
        part,
        place: (
            first_line.saturating_add(mark.line.saturating_sub(1)),
            counted.column(text, mark),
        ),
        offset: mark.offset,
    })
}

/// How far the columns of a line are counted.
struct Counted {
    line_start: usize,
    offset: usize,
    column: u32,
}

impl Counted {
    fn column(&mut self, text: &str, mark: Mark) -> u32 {
        if mark.line_start != self.line_start {
            *self = Self {
                line_start: mark.line_start,
                offset: mark.line_start,
                column: 1,
            };
        }
        let between = text.get(self.offset..mark.offset).unwrap_or_default();
        let more = u32::try_from(between.chars().count()).unwrap_or(u32::MAX);
        self.column = self.column.saturating_add(more);
        self.offset = mark.offset;
        self.column
    }
}
