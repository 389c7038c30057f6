//! What one container uses, beside what it asked for and may use.

use paramedic_sdk::human;
use paramedic_sdk::kubernetes::{Container, Pod, Usage, quantity};
use std::collections::BTreeMap;

/// What a container uses of what it may.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Share<'a> {
    pub(crate) pod: &'a str,
    pub(crate) container: &'a str,
    /// In cores.
    pub(crate) cpu: f64,
    /// In bytes.
    pub(crate) memory: f64,
    pub(crate) memory_limit: Option<f64>,
    memory_request: Option<f64>,
    cpu_limit: Option<f64>,
    cpu_request: Option<f64>,
}

/// The containers that are measured, nearest to a limit first, and how many running ones are not.
pub(crate) fn of<'a>(pods: &'a [Pod], usage: &[Usage]) -> (Vec<Share<'a>>, usize) {
    let mut measured = BTreeMap::<(&str, &str), &Usage>::new();
    for one in usage {
        measured.insert((&one.pod.name, one.pod.container.as_deref().unwrap_or_default()), one);
    }
    let (mut shares, mut missing) = (Vec::new(), 0);
    for pod in pods {
        for container in pod.lasting_containers() {
            match measured
                .get(&(pod.name.as_str(), container.name.as_str()))
                .and_then(|usage| share(pod, container, usage))
            {
                Some(share) => shares.push(share),
                None if container.state == "running" => missing += 1,
                None => {}
            }
        }
    }
    shares.sort_by(|one, other| other.nearness().total_cmp(&one.nearness()).then(other.memory.total_cmp(&one.memory)));
    (shares, missing)
}

/// None where the numbers are none.
fn share<'a>(pod: &'a Pod, container: &'a Container, usage: &Usage) -> Option<Share<'a>> {
    let is_amount = |number: f64| number.is_finite() && number >= 0.0;
    let given = |text: &Option<String>| text.as_deref().and_then(quantity).filter(|number| *number > 0.0);
    (is_amount(usage.cpu) && is_amount(usage.memory)).then(|| Share {
        pod: &pod.name,
        container: &container.name,
        cpu: usage.cpu,
        memory: usage.memory,
        memory_limit: given(&container.limits.memory),
        memory_request: given(&container.requests.memory),
        cpu_limit: given(&container.limits.cpu),
        cpu_request: given(&container.requests.cpu),
    })
}

/// Cores as people write them: `0.23`, `12`.
pub(crate) fn cores(number: f64) -> String {
    if number >= 10.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}

fn percent(part: f64, whole: Option<f64>) -> Option<f64> {
    whole.map(|whole| human::share(part, whole)).filter(|percent| percent.is_finite())
}

impl Share<'_> {
    pub(crate) fn memory_of_limit(&self) -> Option<f64> {
        percent(self.memory, self.memory_limit)
    }

    pub(crate) fn memory_of_request(&self) -> Option<f64> {
        percent(self.memory, self.memory_request)
    }

    pub(crate) fn cpu_of_limit(&self) -> Option<f64> {
        percent(self.cpu, self.cpu_limit)
    }

    pub(crate) fn cpu_of_request(&self) -> Option<f64> {
        percent(self.cpu, self.cpu_request)
    }

    fn nearness(&self) -> f64 {
        self.memory_of_limit().unwrap_or(0.0).max(self.cpu_of_limit().unwrap_or(0.0))
    }

    pub(crate) fn place(&self) -> String {
        format!("{}/{}", human::shorten(self.pod, 63), human::shorten(self.container, 63))
    }

    pub(crate) fn memory_in_words(&self) -> Option<String> {
        let (limit, percent) = (self.memory_limit?, self.memory_of_limit()?);
        let (used, limit, percent) = (human::bytes(self.memory), human::bytes(limit), human::percent(percent));
        Some(format!("{} uses {used} of the {limit} of memory that it may ({percent})", self.place()))
    }

    pub(crate) fn cpu_in_words(&self) -> Option<String> {
        let used = cores(self.cpu);
        let of_limit = self.cpu_limit.zip(self.cpu_of_limit());
        Some(match of_limit {
            Some((limit, percent)) => {
                let (limit, percent) = (cores(limit), human::percent(percent));
                format!("{} uses {used} of the {limit} cores that it may ({percent}) and is slowed down", self.place())
            }
            None => {
                let (request, percent) = (cores(self.cpu_request?), human::percent(self.cpu_of_request()?));
                format!("{} uses {used} cores and asked for {request} ({percent})", self.place())
            }
        })
    }
}
