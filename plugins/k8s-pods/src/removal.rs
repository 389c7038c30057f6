//! Pods that are being removed. Within their grace period that is how every rollout goes; one that is still there afterwards waits for
//! somebody who does not come.

use paramedic_sdk::kubernetes::{Pod, Removal};
use paramedic_sdk::{Metric, Outcome, Seconds, Status, human};
use std::collections::BTreeMap;

/// Who did not end by itself is killed when the grace period is over, and its node needs a moment to tell.
const MOMENT: Seconds = 15.0;
/// Names in one sentence.
const NAMES: usize = 3;

/// Whether a pod is still there although it should be gone.
pub(crate) fn is_late(pod: &Pod) -> bool {
    pod.removal.as_ref().is_some_and(|removal| removal.overdue > MOMENT)
}

/// Tell the pods that are being removed, and warn of those that stay.
pub(crate) fn judge(outcome: &mut Outcome, going: &[&Pod]) {
    let late = going.iter().filter(|pod| is_late(pod));
    let mut by_holder = BTreeMap::<&[String], Vec<(&Pod, &Removal)>>::new();
    for pod in late.clone() {
        if let Some(removal) = &pod.removal {
            by_holder.entry(&removal.finalizers).or_default().push((pod, removal));
        }
    }
    for (finalizers, pods) in &by_holder {
        outcome.find(Status::Warning, accuse(finalizers, pods));
    }
    if by_holder.keys().any(|finalizers| finalizers.is_empty()) {
        outcome.note(
            "A pod without finalizers goes when its node tells that the containers have ended: one that stays is mostly on a node that \
             does not answer, or has a volume that cannot be taken from it.",
        );
    }
    let late = late.count();
    let in_time = going.len() - late;
    if in_time > 0 {
        let pods = human::plural(in_time as u64, "pod");
        outcome.note(format!("Not counted, because they are being removed and within their grace period: {pods}."));
    }
    outcome.metric(Metric::count("pods_removed_late", late as u64));
}

fn accuse(finalizers: &[String], pods: &[(&Pod, &Removal)]) -> String {
    let names: Vec<String> = pods.iter().take(NAMES).map(|(pod, _)| human::shorten(&pod.name, 63)).collect();
    let more = if pods.len() > NAMES { ", …" } else { "" };
    let longest = pods.iter().map(|(_, removal)| removal.overdue).fold(0.0, f64::max);
    let held = match finalizers {
        [] => "no finalizer holds them".to_owned(),
        [first] => format!("held by the finalizer {}", human::shorten(first, 80)),
        [first, rest @ ..] => format!("held by the finalizer {} and {} more", human::shorten(first, 80), rest.len()),
    };
    let held = if pods.len() == 1 { held.replace("holds them", "holds it") } else { held };
    let (count, over) = (human::plural(pods.len() as u64, "pod"), human::duration(longest));
    format!("{count} Terminating for {over} longer than the grace period ({}{more}; {held})", names.join(", "))
}
