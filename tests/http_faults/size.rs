//! Bodies around the limit of 10 MiB, whether their length was said before or not.

use crate::fault::{expect_problem, host};
use crate::support::host::{Mode, RequestBuilder};

const LIMIT: usize = 10 * 1024 * 1024;
const PATH: &str = "/api/dbvc/migrations";

/// JSON of exactly so many bytes, in which every required field is missing.
fn sized(request: RequestBuilder, length: usize) -> RequestBuilder {
    let body = format!("{{{}}}", " ".repeat(length - 2));
    request
        .body(body)
        .header("content-type", "application/json")
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_in_both_framings() {
    let (host, _data) = host(Mode::Forwarding).await;
    for length in [LIMIT + 1, 30 * 1024 * 1024] {
        for is_chunked in [false, true] {
            let request = sized(host.direct().request("POST", PATH), length);
            let answer = if is_chunked {
                request.chunked()
            } else {
                request
            }
            .send()
            .await;
            expect_problem(
                &answer,
                413,
                "too-large",
                PATH,
                &format!("{length} {is_chunked}"),
            );
        }
    }
    host.expect_silent_stderr();
}

#[tokio::test]
async fn a_body_at_the_limit_is_read() {
    for mode in Mode::ALL {
        let (host, _data) = host(mode).await;
        let answer = sized(host.request("POST", PATH), LIMIT).send().await;
        expect_problem(&answer, 400, "invalid-request", PATH, &format!("{mode:?}"));
        let answer = sized(host.request("POST", PATH), LIMIT + 1).send().await;
        expect_problem(&answer, 413, "too-large", PATH, &format!("{mode:?}"));
    }
}

#[tokio::test]
async fn a_body_that_is_larger_than_anything_read_ends_the_connection_and_nothing_else() {
    let (host, _data) = host(Mode::Forwarding).await;
    // Whether the caller still sees the answer depends on how much of the body is under way.
    if let Ok(answer) = sized(host.direct().request("POST", PATH), 64 * 1024 * 1024)
        .try_send()
        .await
    {
        assert_eq!(answer.status, 413);
    }
    host.direct().get("/").await.expect_status(200);
    assert_eq!(host.starts(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_in_the_middle_of_a_body_harms_nobody() {
    let (host, _data) = host(Mode::Forwarding).await;
    for _ in 0..20 {
        sized(host.direct().request("POST", PATH), 100_000)
            .begin_with(50_000)
            .await
            .hang_up();
    }
    host.direct().get("/").await.expect_status(200);
    assert_eq!(host.starts(), 1);
    host.expect_silent_stderr();
}
