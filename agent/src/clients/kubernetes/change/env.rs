//! Environment variables of containers: set, removed, and put back as they were.
//!
//! All three turn the list that is there into the list that is wanted, and the rest follows from the two: differences, ground, patch, and
//! what puts the first one back. A patch names single variables where it can. Only where the order could not be kept does
//! it replace the list, at the version that was looked at.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::Kubernetes;
use super::super::rollout::Workload;
use super::super::seal::Seal;
use super::super::transport::Verb;
use super::edit::{Alteration, Back, Draft, Place};
use super::{EnvRequest, care, template};
use crate::domain::{CallError, Difference, Fact, Operation};
use crate::journal::canonical;

/// Most variables of one call.
const MOST: usize = 100;

/// Longest value.
const VALUE_BYTES: usize = 32 << 10;

/// A variable and what it is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Variables get values.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetEnv {
    workload: Workload,
    container: Option<String>,
    variables: Vec<Variable>,
}

/// Variables are removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnsetEnv {
    workload: Workload,
    container: Option<String>,
    names: Vec<String>,
}

/// Variables are as they were. What they were is under seal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    workload: Workload,
    /// Which variables, for readers: `api: CACHE_TTL`.
    variables: Vec<String>,
    sealed: String,
}

/// What a recorded `set-env` can be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum SetOrRestore {
    Set(SetEnv),
    Restore(Restore),
}

/// How one variable was, as it is put back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Was {
    container: String,
    name: String,
    /// The entry and its place in the list; none where there was none.
    entry: Option<(usize, Value)>,
}

pub(super) fn check_variables(variables: &[Variable]) -> Result<(), CallError> {
    check_names(variables.iter().map(|variable| variable.name.as_str()))?;
    let long = variables.iter().find(|variable| variable.value.len() > VALUE_BYTES || variable.value.contains('\0'));
    long.map_or(Ok(()), |variable| {
        let name = &variable.name;
        Err(CallError::Invalid(format!("the value of {name} is longer than {VALUE_BYTES} bytes or holds a zero byte")))
    })
}

fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), CallError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let mut seen = Vec::new();
    for name in names {
        let begins = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !begins || name.len() > 253 || !name.bytes().all(is_letter) {
            return Err(CallError::Invalid("this is no name of an environment variable, such as CACHE_TTL".to_owned()));
        }
        if seen.contains(&name) {
            return Err(CallError::Invalid(format!("the variable {name} is named twice")));
        }
        seen.push(name);
    }
    match seen.len() {
        0 => Err(CallError::Invalid("there is no variable to set or to remove".to_owned())),
        1..=MOST => Ok(()),
        more => Err(CallError::Invalid(format!("{more} variables are more than the {MOST} of one call"))),
    }
}

impl SetEnv {
    pub(super) fn new(request: EnvRequest, variables: Vec<Variable>) -> Result<Self, CallError> {
        check_variables(&variables)?;
        Ok(Self { workload: request.workload, container: request.container, variables })
    }
}

impl UnsetEnv {
    pub(super) fn new(request: EnvRequest, names: Vec<String>) -> Result<Self, CallError> {
        check_names(names.iter().map(String::as_str))?;
        Ok(Self { workload: request.workload, container: request.container, names })
    }
}

pub(super) fn environment(container: &Value) -> Vec<Value> {
    container.get("env").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn find<'a>(list: &'a [Value], name: &str) -> Option<(usize, &'a Value)> {
    list.iter().enumerate().find(|(_, entry)| template::name(entry) == name)
}

/// What a variable is set to, if that is a plain value.
fn plain(entry: &Value) -> Option<&str> {
    entry.get("value")?.as_str()
}

/// The list with `variable` in it, in its place or at the end.
pub(super) fn set(list: &mut Vec<Value>, variable: &Variable) {
    let Variable { name, value } = variable;
    // As the server writes it.
    let entry = if value.is_empty() { json!({ "name": name }) } else { json!({ "name": name, "value": value }) };
    match list.iter_mut().find(|entry| template::name(entry) == name) {
        Some(there) if there.get("valueFrom").is_none() && plain(there).unwrap_or_default() == value => {}
        Some(there) => *there = entry,
        None => list.push(entry),
    }
}

/// How a variable stands, without its value: whoever has the key can compare it.
fn state(entry: Option<&Value>, seal: &Seal) -> String {
    let Some(entry) = entry else { return "absent".to_owned() };
    let mark = seal.mark(&canonical(entry));
    format!("{} ({mark})", kind(entry))
}

/// What a variable is set to, in words that tell no value.
fn kind(entry: &Value) -> String {
    let Some(source) = entry.get("valueFrom").and_then(Value::as_object) else { return "a value".to_owned() };
    let of = |name: &str| {
        source.get(name).map(|of| (of.get("name").and_then(Value::as_str), of.get("key").and_then(Value::as_str)))
    };
    match (of("secretKeyRef"), of("configMapKeyRef")) {
        (Some((Some(name), Some(key))), _) => format!("{key} of the Secret {name}"),
        (_, Some((Some(name), Some(key)))) => format!("{key} of the ConfigMap {name}"),
        _ => "a field of the pod".to_owned(),
    }
}

/// The containers that a call is for.
fn chosen<'a>(object: &'a Value, container: Option<&str>) -> Result<Vec<&'a Value>, CallError> {
    match container {
        Some(name) => Ok(vec![template::container(object, name)?]),
        None => Ok(template::containers(object).collect()),
    }
}

/// The lists of one container, as they are and as they shall be, and the variables that matter.
struct Turn<'a> {
    container: &'a str,
    is: Vec<Value>,
    wanted: Vec<Value>,
    names: Vec<&'a str>,
    /// True where values may be shown: they are those of the plugin.
    shows: bool,
}

impl Turn<'_> {
    fn title(&self, name: &str) -> String {
        format!("{name} of {}", self.container)
    }

    /// The variables that are not as they shall be.
    fn different(&self) -> impl Iterator<Item = &str> {
        let differs = |name: &&str| {
            find(&self.is, name).map(|(_, entry)| entry) != find(&self.wanted, name).map(|(_, entry)| entry)
        };
        self.names.iter().copied().filter(differs)
    }

    fn differences(&self) -> Vec<Difference> {
        let shown = |entry: &Value| match plain(entry) {
            Some(value) if self.shows => value.to_owned(),
            _ => kind(entry),
        };
        let difference = |name: &str| Difference {
            field: self.title(name),
            before: find(&self.is, name).map(|(_, entry)| kind(entry)),
            after: find(&self.wanted, name).map(|(_, entry)| shown(entry)),
        };
        self.different().map(difference).collect()
    }

    fn facts(&self, list: &[Value], seal: &Seal) -> Vec<Fact> {
        let fact =
            |name: &&str| Fact { name: self.title(name), value: state(find(list, name).map(|(_, entry)| entry), seal) };
        self.names.iter().map(fact).collect()
    }

    /// How the variables that change are now.
    fn was(&self) -> impl Iterator<Item = Was> {
        self.different().map(|name| Was {
            container: self.container.to_owned(),
            name: name.to_owned(),
            entry: find(&self.is, name).map(|(place, entry)| (place, entry.clone())),
        })
    }

    fn patch(&self) -> Value {
        json!({ "name": self.container, "env": self.by_name().unwrap_or_else(|| self.as_a_whole()) })
    }

    /// Single variables; none where that would leave them in another order, or join what must not be joined.
    fn by_name(&self) -> Option<Value> {
        let names = |list: &[Value]| list.iter().map(|entry| template::name(entry).to_owned()).collect::<Vec<_>>();
        let mut reached = names(&self.is);
        reached.retain(|name| names(&self.wanted).contains(name));
        let added = names(&self.wanted).into_iter().filter(|name| !names(&self.is).contains(name));
        reached.extend(added);
        if reached != names(&self.wanted) {
            return None;
        }
        let single = |name: &str| match (find(&self.is, name), find(&self.wanted, name)) {
            (_, None) => Some(json!({ "name": name, "$patch": "delete" })),
            (None, Some((_, wanted))) => Some(wanted.clone()),
            (Some((_, is)), Some((_, wanted))) => over(is, wanted),
        };
        // New ones are appended in the order in which they are named.
        let mut different: Vec<_> = self.different().collect();
        different.sort_by_key(|name| find(&self.wanted, name).map(|(place, _)| place));
        different.into_iter().map(single).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn as_a_whole(&self) -> Value {
        if self.wanted.is_empty() {
            return Value::Null;
        }
        let list = [json!({ "$patch": "replace" })].into_iter().chain(self.wanted.iter().cloned());
        Value::Array(list.collect())
    }
}

/// The patch that makes one entry of another; none where both have sources, which would be joined.
fn over(is: &Value, wanted: &Value) -> Option<Value> {
    let (is, wanted) = (is.as_object()?, wanted.as_object()?);
    if is.contains_key("valueFrom") && wanted.contains_key("valueFrom") {
        return None;
    }
    let gone = is.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    Some(Value::Object(wanted.clone().into_iter().chain(gone).collect::<Map<_, _>>()))
}

/// A draft of the turns, whatever they came from.
fn draft(
    cluster: &Kubernetes,
    workload: &Workload,
    object: &Value,
    turns: &[Turn<'_>],
    deed: &str,
) -> Result<Draft, CallError> {
    for turn in turns {
        let twice = |name: &&&str| turn.is.iter().filter(|entry| template::name(entry) == **name).count() > 1;
        if let Some(name) = turn.names.iter().find(twice) {
            let container = turn.container;
            return Err(CallError::Invalid(format!(
                "the variable {name} stands twice in {container}: mend that first"
            )));
        }
    }
    let seal = &cluster.seal;
    let changing: Vec<_> = turns.iter().filter(|turn| turn.different().next().is_some()).collect();
    let was: Vec<Was> = changing.iter().flat_map(|turn| turn.was()).collect();
    let variables = was.iter().map(|was| format!("{}: {}", was.container, was.name)).collect();
    let restore = Restore { workload: workload.clone(), variables, sealed: seal.close(&json!(was).to_string()) };
    let left = changing.iter().flat_map(|turn| {
        let different: Vec<_> = turn.different().map(|name| turn.title(name)).collect();
        turn.facts(&turn.wanted, seal).into_iter().filter(move |fact| different.contains(&fact.name))
    });
    let mut notes = vec![template::consequence(workload.kind, object)];
    notes.extend(care::reconcilers(object));
    Ok(Draft {
        summary: format!("{deed} in {}", template::place(workload).title(cluster)),
        differences: changing.iter().flat_map(|turn| turn.differences()).collect(),
        ground: turns.iter().flat_map(|turn| turn.facts(&turn.is, seal)).collect(),
        verb: Verb::Strategic,
        patch: template::patch(changing.iter().map(|turn| turn.patch()).collect()),
        back: Ok(Back {
            how: "to set what was before, or to remove what was not there, gives it back, as long as nobody else changed it"
                .to_owned(),
            operation: Operation::KubernetesSetEnv,
            arguments: canonical(&restore),
            left: left.collect(),
        }),
        doubt: None,
        notes,
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Alteration for SetEnv {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let names = || self.variables.iter().map(|variable| variable.name.as_str());
        let turn = |container: &'_ Value| {
            let is = environment(container);
            let mut wanted = is.clone();
            self.variables.iter().for_each(|variable| set(&mut wanted, variable));
            (is, wanted)
        };
        let turns: Vec<_> = chosen(object, self.container.as_deref())?
            .into_iter()
            .map(|container| {
                let (is, wanted) = turn(container);
                Turn { container: template::name(container), is, wanted, names: names().collect(), shows: true }
            })
            .collect();
        draft(cluster, &self.workload, object, &turns, &format!("set {}", listed(names())))
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }
}

#[async_trait]
impl Alteration for UnsetEnv {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let names = || self.names.iter().map(String::as_str);
        let turns: Vec<_> = chosen(object, self.container.as_deref())?
            .into_iter()
            .map(|container| {
                let is = environment(container);
                let stays = |entry: &&Value| !self.names.iter().any(|name| template::name(entry) == *name);
                let wanted = is.iter().filter(stays).cloned().collect();
                Turn { container: template::name(container), is, wanted, names: names().collect(), shows: true }
            })
            .collect();
        draft(cluster, &self.workload, object, &turns, &format!("remove {}", listed(names())))
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }
}

impl Restore {
    fn open(&self, seal: &Seal) -> Result<Vec<Was>, CallError> {
        let opened = seal.open(&self.sealed).and_then(|text| serde_json::from_str(&text).ok());
        opened.ok_or_else(|| {
            let message = "what the variables were set to is sealed with a key that the agent does not have any more";
            CallError::Invalid(message.to_owned())
        })
    }
}

/// The list with the variables in it as they were, each in its old place where the list is otherwise the same.
fn restored(is: &[Value], was: &[&Was]) -> Vec<Value> {
    let is_new = |entry: &Value| was.iter().any(|was| was.entry.is_none() && template::name(entry) == was.name);
    let mut list: Vec<Value> = is.iter().filter(|entry| !is_new(entry)).cloned().collect();
    let mut entries: Vec<_> = was.iter().filter_map(|was| was.entry.as_ref()).collect();
    entries.sort_by_key(|(place, _)| *place);
    for (place, entry) in entries {
        match list.iter_mut().find(|there| template::name(there) == template::name(entry)) {
            Some(there) => *there = entry.clone(),
            None => list.insert((*place).min(list.len()), entry.clone()),
        }
    }
    list
}

#[async_trait]
impl Alteration for Restore {
    type Around = ();

    fn place(&self) -> Place {
        template::place(&self.workload)
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, (): &()) -> Result<Draft, CallError> {
        let was = self.open(&cluster.seal)?;
        let mut turns = Vec::new();
        for container in template::containers(object) {
            let name = template::name(container);
            let here: Vec<_> = was.iter().filter(|was| was.container == name).collect();
            let is = environment(container);
            let wanted = restored(&is, &here);
            let names: Vec<_> = here.iter().map(|was| was.name.as_str()).collect();
            turns.push(Turn { container: name, is, wanted, names, shows: false });
        }
        let gone = was.iter().find(|was| turns.iter().all(|turn| turn.container != was.container));
        if let Some(gone) = gone {
            return Err(CallError::Conflict(format!("the container {} is not there any more", gone.container)));
        }
        let deed = format!("put back {}", listed(was.iter().map(|was| was.name.as_str())));
        draft(cluster, &self.workload, object, &turns, &deed)
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        care::stand_down(self.workload.kind, object)
    }
}

#[async_trait]
impl Alteration for SetOrRestore {
    type Around = ();

    fn place(&self) -> Place {
        match self {
            Self::Set(set) => set.place(),
            Self::Restore(restore) => restore.place(),
        }
    }

    fn draft(&self, cluster: &Kubernetes, object: &Value, around: &()) -> Result<Draft, CallError> {
        match self {
            Self::Set(set) => set.draft(cluster, object, around),
            Self::Restore(restore) => restore.draft(cluster, object, around),
        }
    }

    fn object_to(&self, object: &Value) -> Result<(), CallError> {
        match self {
            Self::Set(set) => set.object_to(object),
            Self::Restore(restore) => restore.object_to(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(is: Value, wanted: Value) -> Value {
        let list = |list: &Value| list.as_array().unwrap().clone();
        let names = ["A", "B", "C"].to_vec();
        Turn { container: "api", is: list(&is), wanted: list(&wanted), names, shows: true }.patch()["env"].clone()
    }

    #[test]
    fn a_patch_names_single_variables_unless_their_order_or_their_sources_need_more() {
        let (a, b) = (json!({ "name": "A", "value": "1" }), json!({ "name": "B", "value": "2" }));
        let from = |key: &str| json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": key } } });
        let replace = json!({ "$patch": "replace" });
        let table = [
            (json!([]), json!([a]), json!([a])),
            (json!([a]), json!([a, b]), json!([b])),
            (json!([]), json!([b, a]), json!([b, a])),
            (json!([a, b]), json!([b]), json!([{ "name": "A", "$patch": "delete" }])),
            (json!([a]), json!([]), json!([{ "name": "A", "$patch": "delete" }])),
            (
                json!([a]),
                json!([from("k")]),
                json!([{
                    "name": "A", "value": null, "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } },
                }]),
            ),
            (json!([from("k")]), json!([a]), json!([{ "name": "A", "value": "1", "valueFrom": null }])),
            (json!([from("k")]), json!([from("other")]), json!([replace, from("other")])),
            (json!([b]), json!([a, b]), json!([replace, a, b])),
        ];
        for (is, wanted, patch) in table {
            assert_eq!(turn(is.clone(), wanted.clone()), patch, "{is} to {wanted}");
        }
    }

    #[test]
    fn what_was_removed_changed_or_added_is_put_back_in_its_place() {
        let entry = |name: &str, value: &str| json!({ "name": name, "value": value });
        let before = vec![entry("A", "1"), entry("B", "2"), entry("C", "3"), entry("D", "4")];
        let after = vec![entry("C", "other"), entry("D", "4"), entry("E", "5")];
        let was = |name: &str, place: Option<usize>| Was {
            container: "api".to_owned(),
            name: name.to_owned(),
            entry: place.map(|place| (place, before[place].clone())),
        };
        let was = [was("E", None), was("C", Some(2)), was("B", Some(1)), was("A", Some(0))];
        assert_eq!(restored(&after, &was.iter().collect::<Vec<_>>()), before);
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for names in [&[""][..], &["A=B"], &["1A"], &["A B"], &["A", "A"], &[]] {
            assert!(check_names(names.iter().copied()).is_err(), "{names:?}");
        }
        assert!(check_names(["A", "b.c-d_1"].into_iter()).is_ok());
    }
}
