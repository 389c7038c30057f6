//! What is used of which limit, what happens at the limit, and how fragmented the memory is.

use crate::Params;
use crate::groups::Group;
use paramedic_sdk::redis::Info;
use paramedic_sdk::{Metric, Outcome, Status, Threshold, human, judge as judge_value, unit};

/// Memory of a server.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes used, as the server counts them.
    pub(crate) used: Option<f64>,
    /// Bytes that count against the limit.
    counted: Option<f64>,
    limit: Option<f64>,
    limited_by: LimitedBy,
    /// `maxmemory-policy`.
    pub(crate) policy: String,
    fragmentation: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitedBy {
    /// The server refuses or evicts.
    Maxmemory,
    /// The kernel ends the server.
    Container,
    Machine,
}

impl Memory {
    pub(crate) fn read(info: &Info, params: &Params) -> Self {
        let positive = |field| info.number(field).filter(|number| *number > 0.0);
        let used = info.number("used_memory");
        let (limit, limited_by) = match (positive("maxmemory"), params.memory_limit_bytes) {
            (Some(limit), _) => (Some(limit), LimitedBy::Maxmemory),
            (None, Some(limit)) => (Some(limit as f64), LimitedBy::Container),
            (None, None) => (positive("total_system_memory"), LimitedBy::Machine),
        };
        let counted = match limited_by {
            // Replication and persistence buffers do not count against `maxmemory`.
            LimitedBy::Maxmemory => used.map(|used| used - info.number("mem_not_counted_for_evict").unwrap_or(0.0)),
            LimitedBy::Container | LimitedBy::Machine => info.number("used_memory_rss").or(used),
        };
        Self {
            used,
            counted,
            limit,
            limited_by,
            policy: info.text("maxmemory_policy").unwrap_or("unknown policy").to_owned(),
            fragmentation: info.number("mem_fragmentation_ratio"),
        }
    }

    pub(crate) fn percent(&self) -> Option<f64> {
        Some(human::share(self.counted?, self.limit?))
    }

    pub(crate) fn describe(&self, target: &str) -> String {
        let (Some(used), Some(limit), Some(percent)) = (self.counted, self.limit, self.percent()) else {
            return format!("{target} uses {} and has no limit", human::bytes(self.used.unwrap_or(f64::NAN)));
        };
        let (used, limit, percent) = (human::bytes(used), human::bytes(limit), human::percent(percent));
        let of = match self.limited_by {
            LimitedBy::Maxmemory => format!("of {limit}"),
            LimitedBy::Container => format!("of the {limit} it may have"),
            LimitedBy::Machine => format!("of the machine's {limit}, without a limit of its own"),
        };
        format!("{target} uses {used} {of} ({percent}); {}", self.at_the_limit())
    }

    fn at_the_limit(&self) -> &'static str {
        match self.limited_by {
            LimitedBy::Container | LimitedBy::Machine => "at the limit the kernel ends it",
            LimitedBy::Maxmemory if self.policy == "noeviction" => "at the limit writes fail (noeviction)",
            LimitedBy::Maxmemory if self.evicts_all() => "at the limit it evicts any keys",
            LimitedBy::Maxmemory if self.policy.starts_with("volatile-") => {
                "at the limit it evicts keys that have an expiry"
            }
            LimitedBy::Maxmemory => "what happens at the limit is not known",
        }
    }

    /// A cache that may evict any key is meant to be full.
    fn evicts_all(&self) -> bool {
        self.limited_by == LimitedBy::Maxmemory && self.policy.starts_with("allkeys-")
    }
}

pub(crate) fn judge(outcome: &mut Outcome, memory: &Memory, culprit: Option<&Group>, params: &Params) {
    judge_use(outcome, memory, culprit, params);
    judge_fragmentation(outcome, memory, params);
    if let Some(used) = memory.used {
        outcome.metric(Metric::new("memory_used_bytes", used, unit::BYTES));
    } else {
        outcome.find(Status::Unknown, format!("{} does not tell how much memory it uses", params.target));
    }
}

fn judge_use(outcome: &mut Outcome, memory: &Memory, culprit: Option<&Group>, params: &Params) {
    let Some(percent) = memory.percent() else {
        return;
    };
    let (warning, critical) = match memory.evicts_all() {
        true => (Threshold::never(), Threshold::never()),
        false => (params.warning, params.critical),
    };
    let blame = culprit.map_or_else(String::new, |group| blame(group, memory));
    outcome.find(judge_value(percent, &warning, &critical), memory.describe(&params.target) + &blame);
    let metric = Metric::new("memory_used_percent", percent, unit::PERCENT);
    outcome.metric(metric.limits(&warning, &critical));
}

/// What was sampled need not be what fills the memory, and then is not said to.
fn blame(group: &Group, memory: &Memory) -> String {
    let most = memory.used.is_some_and(|used| group.estimated_bytes() * 2.0 >= used);
    let what = if most { "most of it is" } else { "the largest group of keys is" };
    format!("; {what} {}", group.describe())
}

fn judge_fragmentation(outcome: &mut Outcome, memory: &Memory, params: &Params) {
    let Some(ratio) = memory.fragmentation else {
        return;
    };
    let large = memory.used.is_some_and(|used| used >= params.fragmentation_floor_bytes as f64);
    let warning = if large { params.fragmentation_warning } else { Threshold::never() };
    let text = format!("{} takes {ratio:.2} times the memory that it uses, because it is fragmented", params.target);
    outcome.find(judge_value(ratio, &warning, &Threshold::never()), text);
    outcome.metric(Metric::new("fragmentation_ratio", ratio, unit::COUNT).limits(&warning, &Threshold::never()));
}
