//! What can go wrong between a client and an API server, on demand.

use std::time::Duration;

use crate::request::Request;

/// One way to go wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// 429 with a `Retry-After` of so many seconds; nothing is applied.
    TooManyRequests {
        /// Seconds in the header.
        retry_after: u64,
    },
    /// 500; nothing is applied.
    InternalError,
    /// 503; nothing is applied.
    Unavailable,
    /// The request is read and never answered; nothing is applied.
    HangBeforeApplying,
    /// The request is applied and never answered.
    HangAfterApplying,
    /// The request is applied and answered so much later.
    Slow(Duration),
    /// The request is applied, and the connection ends in the middle of the answer; of a watch, in the middle of the
    /// line after so many whole ones.
    Cut {
        /// Whole lines of a watch before the cut.
        after_lines: usize,
    },
    /// Something is answered that is so many bytes long; nothing is applied.
    Large {
        /// Length of the body.
        bytes: usize,
    },
    /// The caller's token is no good from now on.
    TokenRevoked,
}

/// A fault, and the requests that meet it.
#[derive(Clone, Debug)]
pub struct Trouble {
    fault: Fault,
    method: Option<String>,
    part: Option<String>,
    times: usize,
}

impl From<Fault> for Trouble {
    /// The next request, whatever it is.
    fn from(fault: Fault) -> Self {
        Trouble { fault, method: None, part: None, times: 1 }
    }
}

impl Trouble {
    /// Only requests of this method.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path has this part.
    #[must_use]
    pub fn at(mut self, part: &str) -> Self {
        self.part = Some(part.to_owned());
        self
    }

    /// So many requests, not just one.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn meets(&self, request: &Request) -> bool {
        self.times > 0
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.part.as_ref().is_none_or(|part| request.path.contains(part.as_str()))
    }
}

/// The fault that a request meets, if any; it is used up.
pub fn take(troubles: &mut Vec<Trouble>, request: &Request) -> Option<Fault> {
    let trouble = troubles.iter_mut().find(|trouble| trouble.meets(request))?;
    trouble.times -= 1;
    let fault = trouble.fault.clone();
    troubles.retain(|trouble| trouble.times > 0);
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_the_requests_it_is_for_and_so_many_of_them() {
        let mut troubles = vec![Trouble::from(Fault::Unavailable).on("PATCH").at("/scale").times(2)];
        let request = |method: &str, path: &str| Request {
            method: method.to_owned(),
            path: path.to_owned(),
            ..Request::default()
        };
        assert_eq!(take(&mut troubles, &request("GET", "/x/scale")), None);
        assert_eq!(take(&mut troubles, &request("PATCH", "/x")), None);
        for wanted in [Some(Fault::Unavailable), Some(Fault::Unavailable), None] {
            assert_eq!(take(&mut troubles, &request("PATCH", "/x/scale")), wanted);
        }
    }
}
