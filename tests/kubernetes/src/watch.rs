//! Watches: lines that tell what changed, from a version on, until the time is up.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::events;
use crate::failure::Failure;
use crate::objects;
use crate::read::{self, Selection};
use crate::request::{Request, Target};
use crate::schema;
use crate::store::{Change, Happening};
use crate::world::World;

/// A watch that is going on.
#[derive(Clone, Debug)]
pub struct Watch {
    target: Target,
    storage: String,
    selection: Selection,
    /// The last version that was looked at.
    seen: u64,
    /// The version that it began with.
    start: u64,
    first: Vec<Value>,
    is_broken: bool,
    deadline: Option<Timestamp>,
    sends_bookmarks: bool,
}

/// What a look at the world gave.
#[derive(Debug)]
pub struct Lines {
    /// New lines.
    pub lines: Vec<Value>,
    /// Whether these were the last.
    pub is_over: bool,
}

/// Begins a watch.
pub fn answer(world: &World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let selection = Selection::parse(request, target)?;
    let sends_initial = request.flag("sendInitialEvents");
    let from = read::wanted_version(request)?.filter(|_| !sends_initial);
    let current = world.store.version();
    if let Some(version) = from.filter(|version| *version > current) {
        return Err(Failure::from_the_future(version, current));
    }
    let timeout = request.parameter("timeoutSeconds").and_then(|text| text.parse().ok());
    let mut watch = Watch {
        target: target.clone(),
        storage: target.resource.storage(),
        selection,
        seen: from.unwrap_or(current),
        start: from.unwrap_or(current),
        first: Vec::new(),
        is_broken: false,
        deadline: timeout.and_then(|seconds| world.clock.now().checked_add(SignedDuration::from_secs(seconds)).ok()),
        sends_bookmarks: request.flag("allowWatchBookmarks"),
    };
    match from {
        Some(version) if version < world.store.oldest() => watch.tell_expired(version, world.store.oldest()),
        Some(_) => {}
        None => watch.tell_what_is_there(world, sends_initial),
    }
    Ok(Answer::watch(watch))
}

impl Watch {
    /// Looks what is new in the world.
    pub fn look(&mut self, world: &World) -> Lines {
        let mut lines = std::mem::take(&mut self.first);
        if self.is_broken {
            return Lines { lines, is_over: true };
        }
        let changes = world.store.changes_after(&self.storage, self.seen);
        lines.extend(changes.filter_map(|change| self.line(change)));
        self.seen = world.store.version();
        let is_over = self.deadline.is_some_and(|deadline| world.clock.now() >= deadline);
        // A bookmark says how far the watch has come; when it has not, there is nothing to say.
        if is_over && self.sends_bookmarks && self.seen > self.start {
            lines.push(self.bookmark(None));
        }
        Lines { lines, is_over }
    }

    fn line(&self, change: &Change) -> Option<Value> {
        let is_in_place = self.target.namespace.as_ref().is_none_or(|space| *space == change.key.1);
        let was = change.before.as_ref().is_some_and(|object| self.selection.matches(object));
        let is = change.happening != Happening::Deleted && self.selection.matches(&change.object);
        let kind = match (is_in_place, was, is) {
            (false, ..) | (_, false, false) => return None,
            (true, false, true) => "ADDED",
            (true, true, true) => "MODIFIED",
            (true, true, false) => "DELETED",
        };
        Some(json!({"type": kind, "object": events::present(self.target.resource, change.object.as_ref().clone())}))
    }

    fn tell_expired(&mut self, version: u64, oldest: u64) {
        let failure = Failure::expired(&format!("too old resource version: {version} ({oldest})"), None);
        self.first = vec![json!({"type": "ERROR", "object": failure.to_status()})];
        self.is_broken = true;
    }

    fn tell_what_is_there(&mut self, world: &World, ends_with_bookmark: bool) {
        let there = world.store.list(&self.storage, self.target.namespace.as_deref());
        let there = there.filter(|object| self.selection.matches(object)).cloned();
        let lines =
            there.map(|object| json!({"type": "ADDED", "object": events::present(self.target.resource, object)}));
        self.first = lines.collect();
        if ends_with_bookmark && self.sends_bookmarks {
            self.first.push(self.bookmark(Some("k8s.io/initial-events-end")));
        }
    }

    /// A bookmark carries an object that is empty but for its version.
    fn bookmark(&self, annotation: Option<&str>) -> Value {
        let resource = self.target.resource;
        let mut object = schema::type_of(&resource.group, &resource.kind).map_or(json!({}), schema::zero);
        objects::set(&mut object, "/kind", resource.kind.clone());
        objects::set(&mut object, "/apiVersion", resource.api_version());
        objects::set(&mut object, "/metadata/resourceVersion", self.seen.to_string());
        // Inside the server replicas are a plain number, which is why it shows here and nowhere else.
        if matches!(resource.kind.as_str(), "Deployment" | "ReplicaSet" | "StatefulSet") {
            objects::set(&mut object, "/spec/replicas", 0);
        }
        if let Some(annotation) = annotation {
            objects::set(&mut object, "/metadata/annotations", json!({annotation: "true"}));
        }
        json!({"type": "BOOKMARK", "object": object})
    }
}
