//! Containers that ended by a fault, and what their exit codes stand for.

use paramedic_sdk::kubernetes::{Container, Pod};
use paramedic_sdk::{Instant, human};

/// A container that ended by a fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End<'a> {
    pub(crate) pod: &'a Pod,
    /// Name of the container.
    pub(crate) container: String,
    pub(crate) restarts: u32,
    /// It does not run now.
    pub(crate) is_down: bool,
    /// It was not started again, so its log is the current one and not the previous.
    pub(crate) is_last: bool,
    /// The cluster's reason, such as `OOMKilled`; empty if none is given.
    pub(crate) reason: String,
    pub(crate) code: Option<i32>,
    /// The limit of its memory, if it has one.
    pub(crate) memory: Option<String>,
    /// When it ended, if that is known.
    pub(crate) at: Option<Instant>,
}

/// The ends by a fault that a list of pods tells, those of init containers not among them.
pub(crate) fn of_pod(pod: &Pod) -> impl Iterator<Item = End<'_>> {
    pod.containers.iter().filter_map(move |container| of_container(pod, container))
}

fn of_container<'a>(pod: &'a Pod, container: &Container) -> Option<End<'a>> {
    let is_last = container.state == "terminated";
    let loops = container.state == "waiting" && container.reason.as_deref() == Some("CrashLoopBackOff");
    let reason = if is_last { &container.reason } else { &container.last_end_reason };
    let code = if is_last { None } else { container.last_exit_code };
    let reason = human::shorten(reason.as_deref().unwrap_or_default(), 60);
    // A container that ended without an error did what it was meant to, unless that goes on and on.
    let by_fault = loops || code.is_some_and(|code| code != 0) || !matches!(reason.as_str(), "" | "Completed");
    by_fault.then(|| End {
        pod,
        container: container.name.clone(),
        restarts: container.restarts,
        is_down: is_last || loops,
        is_last,
        reason,
        code,
        memory: container.limits.memory.clone(),
        at: None,
    })
}

impl End<'_> {
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", human::shorten(&self.pod.name, 63), human::shorten(&self.container, 63))
    }

    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.reason == "OOMKilled"
    }

    /// What became of it, after its name: `was killed for …`.
    pub(crate) fn in_words(&self) -> String {
        let code = self.code.map_or_else(String::new, |code| format!("exit {code}"));
        let sign = [self.reason.as_str(), code.as_str()].into_iter().filter(|part| !part.is_empty());
        let sign = sign.collect::<Vec<_>>().join(", ");
        let cause = match (&self.memory, self.code) {
            (Some(limit), _) if self.is_out_of_memory() => {
                format!("was killed for more memory than its limit of {}", human::shorten(limit, 20))
            }
            (None, _) if self.is_out_of_memory() => {
                "was killed because its node ran out of memory; it has no limit of its own".to_owned()
            }
            (_, Some(code)) => explain(code),
            (_, None) => by_reason(&self.reason).to_owned(),
        };
        if sign.is_empty() { cause } else { format!("{cause} ({sign})") }
    }
}

fn by_reason(reason: &str) -> &'static str {
    match reason {
        "ContainerCannotRun" | "StartError" => "could not be started",
        "DeadlineExceeded" => "took longer than it may",
        _ => "ended",
    }
}

/// What an exit code stands for. From 128 on it is 128 and the number of the signal that ended the container.
fn explain(code: i32) -> String {
    let text = match code {
        0 => "ended by itself, without an error",
        1 => "ended with an error of its own",
        2 => "ended with an error, such as a panic or a wrong argument",
        126 => "has a command that cannot be executed",
        127 => "has a command that is not in the image",
        128 => "could not be started",
        130 => "was interrupted (SIGINT)",
        132 => "tried an instruction that its processor lacks (SIGILL)",
        134 => "gave up by itself (SIGABRT)",
        135 => "touched memory that is not there (SIGBUS)",
        136 => "failed in arithmetic (SIGFPE)",
        137 => "was killed (SIGKILL), by a failing liveness probe that it did not heed, or for memory",
        139 => "touched memory that is not its own (SIGSEGV)",
        143 => "was told to stop (SIGTERM), mostly by a failing liveness probe",
        129..=192 => return format!("was ended by signal {}", code - 128),
        _ => "ended with an error",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_explained() {
        let table = [
            (1, "an error of its own"),
            (127, "not in the image"),
            (137, "SIGKILL"),
            (139, "SIGSEGV"),
            (143, "SIGTERM"),
            (159, "signal 31"),
            (255, "ended with an error"),
            (-1, "ended with an error"),
            (i32::MIN, "ended with an error"),
            (i32::MAX, "ended with an error"),
        ];
        for (code, words) in table {
            assert!(explain(code).contains(words), "{code}: {}", explain(code));
        }
    }
}
