//! What keeps a pod from being ready, by what the cluster gives as its reason.

use paramedic_sdk::human;
use paramedic_sdk::kubernetes::{Container, Pod};

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
    /// It is on its way.
    Starting,
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
    let found = pod.containers.iter().filter(|container| !container.ready).map(of_container).min();
    Some(found.unwrap_or(Trouble::NotReady))
}

fn of_container(container: &Container) -> Trouble {
    let reason = name(container.reason.as_deref().unwrap_or_default());
    match (container.state.as_str(), reason.as_str()) {
        ("running", _) => Trouble::NotReady,
        ("terminated", _) => Trouble::Ended { reason },
        (_, "" | "ContainerCreating" | "PodInitializing") => Trouble::Starting,
        (_, "CrashLoopBackOff") => Trouble::Crashing { reason, last_end: last_end(container) },
        (_, "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable") => {
            Trouble::NoImage { reason, image: human::shorten(&container.image, 80) }
        }
        _ => Trouble::NotMade { reason },
    }
}

/// How the container ended before, such as `OOMKilled, exit 137`; empty if it never did.
pub(crate) fn last_end(container: &Container) -> String {
    let reason = container.last_end_reason.as_deref().map(name).unwrap_or_default();
    match (reason.as_str(), container.last_exit_code) {
        ("", None) => String::new(),
        ("", Some(code)) => format!("exit {code}"),
        (_, None) => reason,
        (_, Some(code)) => format!("{reason}, exit {code}"),
    }
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
            Self::Starting => "starting".to_owned(),
            Self::Lost => "on a node that does not report".to_owned(),
        }
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
            | Self::Ended { reason } => reason.clone(),
            Self::NotReady | Self::Starting => String::new(),
            Self::Lost => "Unknown".to_owned(),
        }
    }
}
