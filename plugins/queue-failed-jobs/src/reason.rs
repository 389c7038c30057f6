//! Whether a reason is one that passes by itself. The words are those of Node's own errors, of HTTP and of SMTP; an
//! unknown reason is taken for one that stays, because a retry has effects and waiting has none.

/// Words of errors that are about reaching the other side, or about its load.
const PASSING: &[&str] = &[
    "econnrefused",
    "econnreset",
    "econnaborted",
    "ehostunreach",
    "enetunreach",
    "enotfound",
    "eai_again",
    "epipe",
    "etimedout",
    "esockettimedout",
    "socket hang up",
    "timed out",
    "timeout",
    "rate limit",
    "too many requests",
    "temporarily",
    "try again",
    "service unavailable",
    "bad gateway",
    "stalled more than",
    "greylist",
];

pub(crate) fn passes(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    PASSING.iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_way_pass_and_errors_of_the_job_stay() {
        for reason in [
            "connect ECONNREFUSED *",
            "Error: Connection timeout",
            "429 Too Many Requests",
            "451 Temporarily deferred",
            "job stalled more than allowable limit",
        ] {
            assert!(passes(reason), "{reason}");
        }
        for reason in
            ["550 mailbox unavailable: *", "TypeError: cannot read properties of undefined", "", "no such user"]
        {
            assert!(!passes(reason), "{reason}");
        }
    }
}
