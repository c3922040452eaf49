//! What a type of a T-SQL column can hold, and whether another one holds less.

use sqlparser::ast::DataType;

use super::parsed;
use crate::script::syntax::Syntax;

/// The type of a column. Types that are not listed here are not compared.
///
/// Lengths and ranges: "Data types (Transact-SQL)",
/// <https://learn.microsoft.com/sql/t-sql/data-types/data-types-transact-sql>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) struct ColumnType {
    shown: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Characters, with the most of them; without a number as many as one likes.
    Text {
        is_unicode: bool,
        length: Option<u64>,
    },
    /// Bytes, with the most of them.
    Bytes { length: Option<u64> },
    /// Whole numbers, by the number of bits.
    Whole { bits: u8 },
    /// Decimal numbers with so many digits before and behind the point.
    Decimal { before: u64, behind: u64 },
    /// Floating point numbers with so many bits of precision.
    Float { bits: u64 },
    /// A date, a time or both.
    Moment(Moment),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    has_date: bool,
    has_time: bool,
    has_offset: bool,
    /// From the year 1, rather than 1753 or 1900.
    from_year_1: bool,
    /// Parts of a day, the finer the more: minutes 0, three milliseconds 1, then by the digits of a second.
    fineness: u64,
}

impl ColumnType {
    /// The type in the definition of a column. `None` when it is not one that is compared, or a type of SQLite, which holds in
    /// every column what it is given.
    pub(super) fn of_definition(definition: &str, syntax: Syntax) -> Option<Self> {
        if syntax == Syntax::Sqlite {
            return None;
        }
        Self::of(&parsed::column(definition, syntax)?.data_type)
    }

    fn of(data_type: &DataType) -> Option<Self> {
        let shown = data_type.to_string();
        let (name, arguments) = match shown.split_once('(') {
            Some((name, arguments)) => (name, arguments.trim_end_matches(')')),
            None => (shown.as_str(), ""),
        };
        let mut numbers = arguments
            .split(',')
            .map(|number| number.trim().parse::<u64>().ok());
        let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
        // VARCHAR alone has one character in the definition of a column.
        let length = if arguments.trim().eq_ignore_ascii_case("max") {
            None
        } else {
            Some(first.unwrap_or(1))
        };
        let name = name.trim().trim_matches(['[', ']', '"']);
        let kind = kind(&name.to_ascii_uppercase(), length, first, second)?;
        Some(Self { shown, kind })
    }

    /// Whether a value of another type may not fit into this one, as far as the two can be compared.
    pub(super) fn is_narrower_than(&self, other: &Self) -> bool {
        match (other.kind, self.kind) {
            (
                Kind::Text {
                    is_unicode: was_unicode,
                    length: old,
                },
                Kind::Text {
                    is_unicode,
                    length: new,
                },
            ) => was_unicode && !is_unicode || is_shorter(new, old),
            (Kind::Bytes { length: old }, Kind::Bytes { length: new }) => is_shorter(new, old),
            (Kind::Whole { bits: old }, Kind::Whole { bits: new }) => new < old,
            (Kind::Whole { bits }, Kind::Decimal { before, .. }) => before < digits(bits),
            (Kind::Decimal { before, behind }, Kind::Whole { bits }) => {
                behind > 0 || before >= digits(bits)
            }
            (
                Kind::Decimal {
                    before: old_before,
                    behind: old_behind,
                },
                Kind::Decimal { before, behind },
            ) => before < old_before || behind < old_behind,
            (Kind::Float { bits: old }, Kind::Float { bits: new }) => new < old,
            (Kind::Float { .. }, Kind::Whole { .. } | Kind::Decimal { .. }) => true,
            (Kind::Moment(old), Kind::Moment(new)) => new.is_narrower_than(old),
            (
                Kind::Text { .. },
                Kind::Whole { .. } | Kind::Decimal { .. } | Kind::Float { .. } | Kind::Moment(_),
            ) => true,
            _ => false,
        }
    }

    /// As people write it.
    pub(in crate::script::lint) fn shown(&self) -> &str {
        &self.shown
    }
}

impl Moment {
    fn is_narrower_than(self, old: Self) -> bool {
        old.has_date && !self.has_date
            || old.has_time && (!self.has_time || self.fineness < old.fineness)
            || old.has_offset && !self.has_offset
            || old.has_date && old.from_year_1 && !self.from_year_1
    }
}

fn is_shorter(new: Option<u64>, old: Option<u64>) -> bool {
    match (new, old) {
        (Some(new), Some(old)) => new < old,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// How many decimal digits every number of so many bits has room in.
fn digits(bits: u8) -> u64 {
    match bits {
        1 => 1,
        8 => 3,
        16 => 5,
        32 => 10,
        _ => 19,
    }
}

fn kind(name: &str, length: Option<u64>, first: Option<u64>, second: Option<u64>) -> Option<Kind> {
    let moment = |has_date, has_time, has_offset, from_year_1, fineness| {
        Kind::Moment(Moment {
            has_date,
            has_time,
            has_offset,
            from_year_1,
            fineness,
        })
    };
    // Seven digits of a second, unless fewer are written.
    let fineness = 2 + first.unwrap_or(7) * 2;
    Some(match name {
        "CHAR" | "CHARACTER" | "VARCHAR" | "CHARACTER VARYING" | "CHAR VARYING" => Kind::Text {
            is_unicode: false,
            length,
        },
        "NCHAR" | "NVARCHAR" => Kind::Text {
            is_unicode: true,
            length,
        },
        "TEXT" => Kind::Text {
            is_unicode: false,
            length: None,
        },
        "NTEXT" => Kind::Text {
            is_unicode: true,
            length: None,
        },
        "BINARY" | "VARBINARY" => Kind::Bytes { length },
        "IMAGE" => Kind::Bytes { length: None },
        "BIT" => Kind::Whole { bits: 1 },
        "TINYINT" => Kind::Whole { bits: 8 },
        "SMALLINT" => Kind::Whole { bits: 16 },
        "INT" | "INTEGER" => Kind::Whole { bits: 32 },
        "BIGINT" => Kind::Whole { bits: 64 },
        "DECIMAL" | "NUMERIC" | "DEC" => {
            let behind = second.unwrap_or_default();
            Kind::Decimal {
                before: first.unwrap_or(18).saturating_sub(behind),
                behind,
            }
        }
        "SMALLMONEY" => Kind::Decimal {
            before: 6,
            behind: 4,
        },
        "MONEY" => Kind::Decimal {
            before: 15,
            behind: 4,
        },
        "REAL" => Kind::Float { bits: 24 },
        "FLOAT" => Kind::Float {
            bits: if first.is_some_and(|bits| bits <= 24) {
                24
            } else {
                53
            },
        },
        "DATE" => moment(true, false, false, true, 0),
        "TIME" => moment(false, true, false, false, fineness),
        "SMALLDATETIME" => moment(true, true, false, false, 0),
        "DATETIME" => moment(true, true, false, false, 7),
        "DATETIME2" => moment(true, true, false, true, fineness),
        "DATETIMEOFFSET" => moment(true, true, true, true, fineness),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::MsSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn of(text: &str) -> Option<ColumnType> {
        let parser = Parser::new(&MsSqlDialect {}).try_with_sql(text);
        let data_type = parser.unwrap().parse_data_type().unwrap();
        ColumnType::of(&data_type)
    }

    fn narrows(old: &str, new: &str) -> bool {
        let known = |text: &str| of(text).unwrap_or_else(|| panic!("{text}"));
        known(new).is_narrower_than(&known(old))
    }

    #[test]
    fn a_type_that_holds_less_is_narrower() {
        for (old, new) in [
            ("NVARCHAR(100)", "nvarchar(50)"),
            ("NVARCHAR(MAX)", "NVARCHAR(4000)"),
            ("NVARCHAR(50)", "VARCHAR(50)"),
            ("VARCHAR(10)", "VARCHAR"),
            ("[varchar](10)", "[char](9)"),
            ("ntext", "nvarchar(4000)"),
            ("VARBINARY(MAX)", "BINARY(8)"),
            ("BIGINT", "INT"),
            ("INT", "SMALLINT"),
            ("TINYINT", "BIT"),
            ("INT", "DECIMAL(9)"),
            ("DECIMAL(18, 4)", "DECIMAL(18, 2)"),
            ("DECIMAL(18, 2)", "DECIMAL(18, 4)"),
            ("DECIMAL(10, 2)", "INT"),
            ("MONEY", "SMALLMONEY"),
            ("FLOAT", "REAL"),
            ("FLOAT", "INT"),
            ("DATETIME2", "DATETIME"),
            ("DATETIME2(7)", "DATETIME2(3)"),
            ("DATETIME", "SMALLDATETIME"),
            ("DATETIME", "DATE"),
            ("DATETIMEOFFSET", "DATETIME2"),
            ("DATE", "DATETIME"),
            ("TIME", "TIME(0)"),
            ("VARCHAR(10)", "INT"),
        ] {
            assert!(narrows(old, new), "{old} to {new}");
        }
    }

    #[test]
    fn a_type_that_holds_as_much_or_more_is_not() {
        for (old, new) in [
            ("NVARCHAR(50)", "NVARCHAR(50)"),
            ("NVARCHAR(50)", "NVARCHAR(MAX)"),
            ("VARCHAR(50)", "NVARCHAR(50)"),
            ("CHAR(5)", "VARCHAR(5)"),
            ("INT", "BIGINT"),
            ("INT", "DECIMAL(10)"),
            ("DECIMAL(9)", "INT"),
            ("DECIMAL(18, 2)", "DECIMAL(20, 2)"),
            ("SMALLMONEY", "MONEY"),
            ("MONEY", "DECIMAL(19, 4)"),
            ("REAL", "FLOAT"),
            ("DATETIME", "DATETIME2"),
            ("DATETIME", "DATETIME2(3)"),
            ("DATE", "DATETIME2(0)"),
            ("DATETIME2", "DATETIMEOFFSET"),
            ("INT", "VARCHAR(3)"),
        ] {
            assert!(!narrows(old, new), "{old} to {new}");
        }
    }

    #[test]
    fn other_types_are_not_compared() {
        for text in [
            "UNIQUEIDENTIFIER",
            "XML",
            "dbo.Money2",
            "GEOGRAPHY",
            "SYSNAME",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
