//! Registry statements put together into as few requests as the server allows.
//!
//! Each statement gives exactly one result set: a SELECT its rows, anything else its row count, read with `@@ROWCOUNT` since
//! NOCOUNT may be on. NULL is written into the text: a parameter without a value has no type that every server takes.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::{Dialect, RegistrySchema, Statement, Value};

/// SQL Server takes 2 100 parameters in a request; the rest is for the two of `sp_executesql` itself and to spare.
const MOST_PARAMETERS: usize = 2_000;

/// Statements that are sent at once.
#[derive(Debug)]
pub(super) struct Request {
    /// The T-SQL text.
    pub text: String,
    /// The values of `@P1`, `@P2`, …; none is [`Value::Null`].
    pub parameters: Vec<Value>,
    /// Which of the statements they are.
    pub statements: Range<usize>,
}

/// Puts statements together, in order; dbvc's own tables are in `schema`.
pub(super) fn requests(statements: &[Statement], schema: &RegistrySchema) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let values = statement.parameters.iter();
        let bound = values.filter(|value| **value != Value::Null).count();
        let fits = requests
            .last()
            .is_some_and(|last| last.parameters.len() + bound <= MOST_PARAMETERS);
        if !fits {
            requests.push(Request {
                text: String::new(),
                parameters: Vec::new(),
                statements: index..index,
            });
        }
        if let Some(request) = requests.last_mut() {
            request.push(statement, schema);
        }
    }
    requests
}

impl Request {
    fn push(&mut self, statement: &Statement, schema: &RegistrySchema) {
        let text = Dialect::TransactSql(schema).render(statement.template);
        let names: Vec<String> = statement
            .parameters
            .iter()
            .map(|value| match value {
                Value::Null => "NULL".to_owned(),
                bound => {
                    self.parameters.push(bound.clone());
                    format!("@P{}", self.parameters.len())
                }
            })
            .collect();
        self.statements.end += 1;
        rename_parameters(&mut self.text, &text, &names);
        let reads = text
            .trim_start()
            .get(..6)
            .is_some_and(|verb| verb.eq_ignore_ascii_case("SELECT"));
        self.text.push_str(if reads {
            ";\n"
        } else {
            ";\nSELECT @@ROWCOUNT AS affected;\n"
        });
    }
}

/// Copies a statement with `@P1`, `@P2`, … replaced by these names. dbvc's own statements hold no string with such a word.
fn rename_parameters(into: &mut String, statement: &str, names: &[String]) {
    let mut rest = statement;
    while let Some(at) = rest.find("@P") {
        let digits = rest[at + 2..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let end = at + 2 + digits;
        let number: Option<usize> = rest[at + 2..end].parse().ok();
        let name = number.and_then(|number| names.get(number.checked_sub(1)?));
        into.push_str(&rest[..at]);
        match name {
            Some(name) => into.push_str(name),
            // Refused by the server, which says what is missing.
            None => into.push_str(&rest[at..end]),
        }
        rest = &rest[end..];
    }
    let _ = write!(into, "{rest}");
}

#[cfg(test)]
mod tests {
    use super::super::super::Sql;
    use super::*;

    #[test]
    fn parameters_are_numbered_through_and_null_is_written() {
        let statements = [
            Sql("SELECT a FROM t WHERE b = @P2 AND c = @P1 AND d = @P2")
                .bind([1_i64.into(), "x".into()]),
            Sql("UPDATE t SET a = @P2, b = @P3 WHERE c = @P1").bind([
                2_i64.into(),
                Value::Null,
                "y".into(),
            ]),
        ];
        let requests = requests(&statements, &RegistrySchema::default());
        assert_eq!(requests.len(), 1);
        assert_eq!(
            requests[0].text,
            "SELECT a FROM t WHERE b = @P2 AND c = @P1 AND d = @P2;\n\
             UPDATE t SET a = NULL, b = @P4 WHERE c = @P3;\nSELECT @@ROWCOUNT AS affected;\n"
        );
        assert_eq!(
            requests[0].parameters,
            [1_i64.into(), "x".into(), 2_i64.into(), "y".into()]
        );
    }

    #[test]
    fn a_tenth_parameter_is_not_the_first_with_a_nought() {
        let values: [Value; 11] = std::array::from_fn(|n| Value::Integer(n as i64));
        let request = &requests(
            &[Sql("SELECT @P1, @P10, @P11").bind(values)],
            &RegistrySchema::default(),
        )[0];
        assert!(
            request.text.ends_with("SELECT @P1, @P10, @P11;\n"),
            "{}",
            request.text
        );
    }

    #[test]
    fn no_request_has_more_parameters_than_the_server_takes() {
        let many: Vec<Statement> = (0..1500_i64)
            .map(|n| Sql("UPDATE t SET a = @P1 WHERE b = @P2").bind([n.into(), n.into()]))
            .collect();
        let requests = requests(&many, &RegistrySchema::default());
        assert_eq!(requests.len(), 2);
        assert!(
            requests
                .iter()
                .all(|request| request.parameters.len() <= MOST_PARAMETERS)
        );
        assert_eq!(requests[0].statements, 0..1000);
        assert_eq!(requests[1].statements, 1000..1500);
    }
}
