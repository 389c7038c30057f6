//! What keeps a pod from being ready, by what the cluster gives as its reason.

use paramedic_sdk::human;
use paramedic_sdk::kubernetes::{Container, ContainerEnd, Pod};

/// What keeps a pod from being ready, gravest first: what no wait and no restart mends, then what may pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// A container ends again and again.
    Crashing { reason: String, last_end: String },
    /// The image of a container does not come.
    NoImage { reason: String, image: String },
    /// A container cannot be made, for example because a Secret is missing.
    NotMade { reason: String },
    /// There is no node for it.
    NotPlaced { reason: String },
    /// A container ended and was not started again.
    Ended { reason: String },
    /// It runs and does not pass its readiness probe.
    NotReady,
    /// It is on its way; at its init containers, such as `Init:0/2`, or beyond them.
    Starting { reason: String },
    /// Its node has not been heard of.
    Lost,
}

/// One that ended for good: it is not counted among those that should be ready, because it is replaced by another.
pub(crate) fn is_over(pod: &Pod) -> bool {
    matches!(pod.phase.as_str(), "Succeeded" | "Failed")
}

pub(crate) fn of(pod: &Pod) -> Option<Trouble> {
    if pod.ready {
        return None;
    }
    if pod.phase == "Unknown" {
        return Some(Trouble::Lost);
    }
    let unplaced = pod.reason.as_deref().filter(|_| pod.node.is_none());
    if let Some(reason) = unplaced {
        return Some(Trouble::NotPlaced { reason: name(reason) });
    }
    let held_up_by = pod.held_up_by();
    let waits_for_it = |container: &Container| held_up_by.is_some() && is_before_its_start(container);
    let others = pod.lasting_containers().filter(|container| !container.ready && !waits_for_it(container));
    let others = others.filter(|container| held_up_by.is_none_or(|holding| holding.name != container.name));
    let found = others.map(of_container).chain(held_up_by.map(|container| of_init(container, pod))).min();
    Some(found.unwrap_or(Trouble::NotReady))
}

/// One that waits for its init containers, or for the node to begin.
fn is_before_its_start(container: &Container) -> bool {
    let reason = container.reason.as_deref().unwrap_or_default();
    container.state == "waiting" && matches!(reason, "" | "ContainerCreating" | "PodInitializing")
}

fn of_container(container: &Container) -> Trouble {
    let reason = name(container.reason.as_deref().unwrap_or_default());
    match (container.state.as_str(), reason.as_str()) {
        ("running", _) => Trouble::NotReady,
        ("terminated", _) => Trouble::Ended { reason: container.end.as_ref().map_or(reason, ContainerEnd::in_words) },
        (_, "" | "ContainerCreating" | "PodInitializing") => Trouble::Starting { reason: String::new() },
        (_, "CrashLoopBackOff") => Trouble::Crashing { reason, last_end: last_end(container) },
        (_, "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable") => {
            Trouble::NoImage { reason, image: human::shorten(&container.image, 80) }
        }
        _ => Trouble::NotMade { reason },
    }
}

/// The same of the init container that the others wait for, in the cluster's way of saying so.
fn of_init(container: &Container, pod: &Pod) -> Trouble {
    let said = |reason: String| format!("Init:{reason} in {}", human::shorten(&container.name, 63));
    match of_container(container) {
        Trouble::Crashing { reason, last_end } => Trouble::Crashing { reason: said(reason), last_end },
        Trouble::NoImage { reason, image } => Trouble::NoImage { reason: said(reason), image },
        Trouble::NotMade { reason } => Trouble::NotMade { reason: said(reason) },
        Trouble::Ended { reason } => Trouble::Ended { reason: said(reason) },
        // One that is at work is on its way to its end, and a sidecar to its start.
        Trouble::NotReady | Trouble::Starting { .. } => Trouble::Starting { reason: name(&pod.status) },
        other @ (Trouble::NotPlaced { .. } | Trouble::Lost) => other,
    }
}

/// How the container ended before, such as `OOMKilled, exit 137`; empty if it never did.
pub(crate) fn last_end(container: &Container) -> String {
    container.last_end.as_ref().map(ContainerEnd::in_words).unwrap_or_default()
}

/// Reasons are short words; whatever else somebody wrote there must not fill a sentence.
fn name(reason: &str) -> String {
    human::shorten(reason, 60)
}

impl Trouble {
    /// What the pods that have it are, after their number.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Crashing { .. } => "crashing again and again".to_owned(),
            Self::NoImage { image, .. } => format!("without the image {image}"),
            Self::NotMade { .. } => "that cannot be started".to_owned(),
            Self::NotPlaced { .. } => "without a node to run on".to_owned(),
            Self::Ended { .. } => "with a container that ended".to_owned(),
            Self::NotReady => "running and not ready".to_owned(),
            Self::Starting { .. } => "starting".to_owned(),
            Self::Lost => "on a node that does not report".to_owned(),
        }
    }

    /// Whether a container of it ends and should not.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(self, Self::Crashing { .. } | Self::Ended { .. })
    }

    /// Whether it waits for something outside of its containers.
    pub(crate) fn lacks_something(&self) -> bool {
        matches!(self, Self::NoImage { .. } | Self::NotMade { .. } | Self::NotPlaced { .. } | Self::Lost)
    }

    /// The cluster's own word for it; empty if it has none.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Crashing { reason, last_end } if !last_end.is_empty() => format!("{reason}, last end {last_end}"),
            Self::Crashing { reason, .. }
            | Self::NoImage { reason, .. }
            | Self::NotMade { reason }
            | Self::NotPlaced { reason }
            | Self::Ended { reason }
            | Self::Starting { reason } => reason.clone(),
            Self::NotReady => String::new(),
            Self::Lost => "Unknown".to_owned(),
        }
    }
}
