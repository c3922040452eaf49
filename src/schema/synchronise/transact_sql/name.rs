//! Names of the model as T-SQL writes them.

/// The parts of a full name: schema and object. The reader put those in brackets that would be ambiguous without.
pub(super) fn parts(full: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = full;
    loop {
        let (part, behind) = match rest.strip_prefix('[') {
            Some(inner) => {
                let mut part = String::new();
                let mut inner = inner;
                loop {
                    let Some(end) = inner.find(']') else {
                        part += inner;
                        inner = "";
                        break;
                    };
                    part += &inner[..end];
                    inner = &inner[end + 1..];
                    match inner.strip_prefix(']') {
                        Some(more) => {
                            part.push(']');
                            inner = more;
                        }
                        None => break,
                    }
                }
                (part, inner)
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        parts.push(part);
        match behind.strip_prefix('.') {
            Some(more) => rest = more,
            None => return parts,
        }
    }
}

/// `[name]`
pub(super) fn bracket(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// `[schema].[name]`
pub(super) fn quoted(full: &str) -> String {
    let parts: Vec<String> = parts(full).iter().map(|part| bracket(part)).collect();
    parts.join(".")
}

/// The name without its schema.
pub(super) fn own_name(full: &str) -> String {
    parts(full).pop().unwrap_or_default()
}

/// The schema of a full name.
pub(super) fn schema_of(full: &str) -> String {
    let mut parts = parts(full);
    if parts.len() < 2 {
        return "dbo".to_owned();
    }
    parts.swap_remove(0)
}

/// `N'text'`
pub(super) fn literal(text: &str) -> String {
    format!("N'{}'", text.replace('\'', "''"))
}

/// The id of an object by its full name.
pub(super) fn object_id(full: &str) -> String {
    format!("OBJECT_ID({})", literal(&quoted(full)))
}

/// Names in brackets, with a comma between.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| bracket(name)).collect();
    names.join(", ")
}

/// The type of a column: a user's one has a schema, a built-in one has none.
pub(super) fn data_type(text: &str) -> String {
    if is_of_user(text) {
        quoted(text)
    } else {
        text.to_owned()
    }
}

pub(super) fn is_of_user(data_type: &str) -> bool {
    let name = data_type.split('(').next().unwrap_or_default();
    name.contains('.') || data_type.starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_as_the_catalog_had_them() {
        for (full, quoted_name) in [
            ("dbo.orders", "[dbo].[orders]"),
            ("dbo.order details", "[dbo].[order details]"),
            ("dbo.[a.b]", "[dbo].[a.b]"),
            ("[dbo.a].b", "[dbo.a].[b]"),
            ("dbo.[[b]]]", "[dbo].[[b]]]"),
        ] {
            assert_eq!(quoted(full), quoted_name);
        }
        assert_eq!(parts("dbo.[[b]]]"), ["dbo", "[b]"]);
        assert_eq!(own_name("dbo.[a.b]"), "a.b");
        assert_eq!(schema_of("[dbo.a].b"), "dbo.a");
    }

    #[test]
    fn a_users_type_is_quoted_and_a_built_in_one_is_not() {
        assert_eq!(data_type("decimal(10,2)"), "decimal(10,2)");
        assert_eq!(data_type("nvarchar(max)"), "nvarchar(max)");
        assert_eq!(data_type("sales.code"), "[sales].[code]");
    }
}
