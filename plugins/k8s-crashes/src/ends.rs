//! Containers that ended by a fault, and what their exit codes stand for.

use paramedic_sdk::kubernetes::{Container, Pod};
use paramedic_sdk::{Instant, human};

/// The cluster's word for a container that was killed because memory ran out.
const OUT_OF_MEMORY: &str = "OOMKilled";

/// A container that ended by a fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    /// The others wait until it is done.
    pub(crate) is_init: bool,
    /// It does not run now.
    pub(crate) is_down: bool,
    /// It was not started again, so its log is the current one and not the previous.
    pub(crate) is_last: bool,
    /// The cluster's reason, such as `OOMKilled`; empty if none is given.
    pub(crate) reason: String,
    pub(crate) signal: Option<i32>,
    pub(crate) code: Option<i32>,
    /// When it ended, if that is known.
    pub(crate) at: Option<Instant>,
}

/// The ends by a fault of a pod's containers, those of init containers first.
pub(crate) fn of_pod(pod: &Pod) -> impl Iterator<Item = End<'_>> {
    let init = pod.init_containers.iter().map(|container| (container, !container.sidecar));
    let all = init.chain(pod.containers.iter().map(|container| (container, false)));
    all.filter_map(move |(container, is_init)| of_container(pod, container, is_init))
}

fn of_container<'a>(pod: &'a Pod, container: &'a Container, is_init: bool) -> Option<End<'a>> {
    let is_last = container.state == "terminated";
    let loops = container.state == "waiting" && container.reason.as_deref() == Some("CrashLoopBackOff");
    let end = if is_last { container.end.as_ref() } else { container.last_end.as_ref() };
    let said = end.and_then(|end| end.reason.as_ref()).or(container.reason.as_ref().filter(|_| is_last));
    let reason = human::shorten(said.map_or("", String::as_str), 60);
    let code = end.map(|end| end.exit_code);
    if is_last && was_told_to(pod, container) && reason != OUT_OF_MEMORY {
        return None;
    }
    // A container that ended without an error did what it was meant to, unless that goes on and on.
    let by_fault = loops || code.is_some_and(|code| code != 0) || !matches!(reason.as_str(), "" | "Completed");
    by_fault.then(|| End {
        pod,
        container,
        is_init,
        is_down: is_last || loops,
        is_last,
        reason,
        signal: end.and_then(|end| end.signal),
        code,
        at: end.and_then(|end| end.finished),
    })
}

/// With its pod, or as a sidecar after the others: with whatever status, that is no fault.
fn was_told_to(pod: &Pod, container: &Container) -> bool {
    let is_over = matches!(pod.phase.as_str(), "Succeeded" | "Failed");
    pod.removal.is_some() || (container.sidecar && is_over)
}

impl End<'_> {
    pub(crate) fn place(&self) -> String {
        let init = if self.is_init { " (init container)" } else { "" };
        format!("{}/{}{init}", human::shorten(&self.pod.name, 63), human::shorten(&self.container.name, 63))
    }

    /// The limit of its memory, if it has one.
    pub(crate) fn memory(&self) -> Option<&str> {
        self.container.limits.memory.as_deref()
    }

    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.reason == OUT_OF_MEMORY
    }

    /// What became of it, after its name: `was killed for …`.
    pub(crate) fn in_words(&self) -> String {
        let code = self.code.map(|code| format!("exit {code}"));
        let signal = self.signal.map(|signal| format!("signal {signal}"));
        let reason = Some(self.reason.clone()).filter(|reason| !reason.is_empty());
        let sign = [reason, signal, code].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let cause = match (self.memory(), self.code) {
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
