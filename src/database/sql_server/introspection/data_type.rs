//! A column's type as one would write it in T-SQL, from what the catalog tells of it.

/// The type of a column in the catalog.
#[derive(Debug, Clone, Copy)]
pub(super) struct DataType<'a> {
    /// `nvarchar`, or the name of a user's type.
    pub name: &'a str,
    /// Of a user's type, which says by itself how long and how precise it is.
    pub schema: Option<&'a str>,
    /// In bytes; -1 is `max`.
    pub max_length: i64,
    pub precision: i64,
    pub scale: i64,
}

impl DataType<'_> {
    /// `nvarchar(100)`, `decimal(10,2)`, `dbo.Email`.
    pub fn render(&self) -> String {
        let Self {
            name,
            schema,
            precision,
            scale,
            ..
        } = self;
        if let Some(schema) = schema {
            return full_name(schema, name);
        }
        match *name {
            "char" | "varchar" | "binary" | "varbinary" => format!("{name}({})", self.length(1)),
            // Two bytes a character.
            "nchar" | "nvarchar" => format!("{name}({})", self.length(2)),
            "decimal" | "numeric" => format!("{name}({precision},{scale})"),
            "time" | "datetime2" | "datetimeoffset" => format!("{name}({scale})"),
            // The rest has no length, or, as `float`, one that shows in the name.
            _ => (*name).to_owned(),
        }
    }

    fn length(&self, bytes: i64) -> String {
        match self.max_length {
            -1 => "max".to_owned(),
            length => (length / bytes).to_string(),
        }
    }
}

/// The name of an object or type with its schema. A part that would make it ambiguous is put in brackets.
pub(super) fn full_name(schema: &str, name: &str) -> String {
    let part = |name: &str| {
        if name.contains(['.', '[', ']']) {
            format!("[{}]", name.replace(']', "]]"))
        } else {
            name.to_owned()
        }
    };
    format!("{}.{}", part(schema), part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(name: &str, max_length: i64, precision: i64, scale: i64) -> String {
        let data_type = DataType {
            name,
            schema: None,
            max_length,
            precision,
            scale,
        };
        data_type.render()
    }

    #[test]
    fn lengths_are_in_characters_and_not_in_bytes() {
        assert_eq!(built_in("nvarchar", 200, 0, 0), "nvarchar(100)");
        assert_eq!(built_in("nchar", 10, 0, 0), "nchar(5)");
        assert_eq!(built_in("varchar", 100, 0, 0), "varchar(100)");
        assert_eq!(built_in("char", 5, 0, 0), "char(5)");
        assert_eq!(built_in("binary", 16, 0, 0), "binary(16)");
    }

    #[test]
    fn no_limit_is_max() {
        for name in ["varchar", "nvarchar", "varbinary"] {
            assert_eq!(built_in(name, -1, 0, 0), format!("{name}(max)"));
        }
    }

    #[test]
    fn numbers_and_times_have_what_they_are_declared_with() {
        assert_eq!(built_in("decimal", 9, 10, 2), "decimal(10,2)");
        assert_eq!(built_in("numeric", 9, 18, 0), "numeric(18,0)");
        assert_eq!(built_in("datetime2", 7, 23, 3), "datetime2(3)");
        assert_eq!(built_in("datetimeoffset", 8, 26, 0), "datetimeoffset(0)");
        assert_eq!(built_in("time", 5, 16, 7), "time(7)");
    }

    #[test]
    fn a_type_without_a_choice_is_its_name() {
        for (name, max_length, precision, scale) in [
            ("int", 4, 10, 0),
            ("bit", 1, 1, 0),
            ("float", 8, 53, 0),
            ("real", 4, 24, 0),
            ("money", 8, 19, 4),
            ("date", 3, 10, 0),
            ("datetime", 8, 23, 3),
            ("smalldatetime", 4, 16, 0),
            ("xml", -1, 0, 0),
            ("ntext", 16, 0, 0),
            ("sysname", 256, 0, 0),
            ("sql_variant", 8016, 0, 0),
            ("geography", -1, 0, 0),
            ("timestamp", 8, 0, 0),
        ] {
            assert_eq!(built_in(name, max_length, precision, scale), name);
        }
    }

    #[test]
    fn a_type_of_the_user_has_its_schema_and_nothing_else() {
        let email = DataType {
            name: "varchar",
            schema: Some("sales"),
            max_length: 100,
            precision: 0,
            scale: 0,
        };
        assert_eq!(email.render(), "sales.varchar");
    }

    #[test]
    fn two_names_are_never_written_the_same() {
        assert_eq!(full_name("dbo", "orders"), "dbo.orders");
        assert_eq!(full_name("dbo", "order details"), "dbo.order details");
        assert_eq!(full_name("dbo", "a.b"), "dbo.[a.b]");
        assert_eq!(full_name("dbo.a", "b"), "[dbo.a].b");
        assert_eq!(full_name("dbo", "[b]"), "dbo.[[b]]]");
    }
}
