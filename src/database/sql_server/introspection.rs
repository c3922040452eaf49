//! Reads the schema of a database on a server, in one request whatever the number of tables.
//!
//! Where the catalog gives no definition, because the module is encrypted or the user may not see it, the object is kept
//! with an empty text. What the server has no view for is noted in the schema and not compared.

mod assembly;
mod data_type;
mod queries;

use std::time::Duration;

use super::super::DatabaseError;
use super::session::{Session, translate};
use crate::schema::Schema;

/// How long the server may take over all queries together. Catalogs of tens of thousands of objects take seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const PHASE: &str = "reading the schema";

/// One state of the database for all queries, without holding anybody up.
const ONE_STATE: (&str, &str) = (
    "SET TRANSACTION ISOLATION LEVEL SNAPSHOT;\nBEGIN TRANSACTION;\n",
    "COMMIT TRANSACTION;\nSET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n",
);

/// What puts the session back when a query failed within [`ONE_STATE`].
const RESTORE: &str =
    "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;\nSET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n";

/// The schema of the session's database, dbvc's own tables included. Objects are in canonical order.
///
/// `one_state`: in a transaction of its own that sees one state of the database. Not within another one.
///
/// # Errors
///
/// Those of the server.
pub(super) async fn read_schema(
    session: &mut Session,
    one_state: bool,
) -> Result<Schema, DatabaseError> {
    let (before, after) = if one_state { ONE_STATE } else { ("", "") };
    let text = format!("{before}{}{after}", queries::text());
    let answer = match session.language(&text, PATIENCE).await {
        Ok(answer) => answer,
        Err(error) => {
            if one_state && session.language(RESTORE, PATIENCE).await.is_err() {
                session.break_off();
            }
            return Err(translate(&error, PHASE));
        }
    };
    let answers = queries::Answers::of(answer).map_err(|message| DatabaseError::Refused {
        phase: PHASE,
        number: None,
        message,
    })?;
    Ok(assembly::assemble(&answers)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Tokens, client_of};
    use super::*;

    async fn session(replies: &[Tokens]) -> Session {
        let replies: Vec<Reply> = replies.iter().cloned().map(Reply::Say).collect();
        Session::of_client(client_of(&replies).await)
    }

    fn refusal() -> Tokens {
        const FAILED: u16 = 0x02;
        Tokens::default().error(1222, "a lock").done(FAILED, 0)
    }

    fn nothing() -> Tokens {
        Tokens::default().done(0, 0)
    }

    #[tokio::test]
    async fn a_session_that_is_put_back_after_an_error_goes_on() {
        let mut session = session(&[refusal(), nothing()]).await;
        let read = read_schema(&mut session, true).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(session.is_usable());
    }

    #[tokio::test]
    async fn a_session_that_cannot_be_put_back_is_given_up() {
        let mut session = session(&[refusal(), refusal()]).await;
        let read = read_schema(&mut session, true).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(!session.is_usable());
    }

    #[tokio::test]
    async fn within_the_callers_transaction_nothing_is_put_back() {
        let mut session = session(&[refusal(), refusal()]).await;
        let read = read_schema(&mut session, false).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(session.is_usable());
    }

    #[tokio::test]
    async fn too_few_answers_are_no_schema() {
        let mut session = session(&[nothing()]).await;
        let error = read_schema(&mut session, false).await.unwrap_err();
        assert!(
            error.to_string().contains("0 answers came to 20 queries"),
            "{error}"
        );
    }
}
