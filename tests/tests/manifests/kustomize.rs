//! As much of kustomize as `deploy/kustomize` uses: resources, components, generated ConfigMaps, patches by strategic merge, and
//! the namespace. Anything else in a kustomization ends the test. Where there is a kubectl, its own answer is compared.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

const KNOWN: [&str; 8] =
    ["apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator", "generatorOptions", "patches"];

/// The objects of a kustomization with further components.
pub fn build(folder: &Path, components: &[&Path]) -> Vec<Value> {
    let file = read(&folder.join("kustomization.yaml")).remove(0);
    for field in file.as_object().unwrap().keys() {
        assert!(KNOWN.contains(&field.as_str()), "{} uses `{field}`, which is not expanded here", folder.display());
    }
    let mut objects: Vec<Value> = Vec::new();
    for resource in texts(&file["resources"]).iter().chain(&texts(&file["components"])) {
        let path = folder.join(resource);
        objects.extend(if path.is_dir() { build(&path, &[]) } else { read(&path) });
    }
    for component in components {
        objects.extend(build(component, &[]));
    }
    for generator in list(&file["configMapGenerator"]) {
        assert_eq!(file["generatorOptions"], json!({ "disableNameSuffixHash": true }), "names get no suffix");
        let generated = config_map(folder, generator);
        objects.retain(|object| generator["behavior"] != "replace" || !is_same(object, &generated));
        objects.push(generated);
    }
    for patch in list(&file["patches"]) {
        for merged in read(&folder.join(patch["path"].as_str().unwrap())) {
            // Without a target it is for the object of its own kind and name.
            let (kind, name) = match &patch["target"] {
                Value::Null => (&merged["kind"], &merged["metadata"]["name"]),
                target => (&target["kind"], &target["name"]),
            };
            let place = objects
                .iter()
                .position(|object| object["kind"] == *kind && object["metadata"]["name"] == *name)
                .unwrap();
            if merged["$patch"] == "delete" {
                objects.remove(place);
                continue;
            }
            let object = &mut objects[place];
            let name = object["metadata"]["name"].clone();
            merge(object, &merged);
            object["metadata"]["name"] = name;
        }
    }
    if let Some(namespace) = file["namespace"].as_str() {
        objects.iter_mut().for_each(|object| object["metadata"]["namespace"] = namespace.into());
    }
    objects
}

/// What kubectl makes of it; none where there is no kubectl that knows how.
pub fn by_kubectl(folder: &Path) -> Option<Vec<Value>> {
    let output = Command::new("kubectl").arg("kustomize").arg(folder).output().ok()?;
    if !output.status.success() {
        let version = Command::new("kubectl").args(["version", "--client"]).output().ok()?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        // Those that have none, or one from before overlays could be resources, say so in the first line.
        assert!(!version.contains("Kustomize Version: v5"), "{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(serde_saphyr::from_multiple(&String::from_utf8(output.stdout).unwrap()).unwrap())
}

/// Objects and the named items of lists in an order of their own, for comparing.
pub fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    objects.iter_mut().for_each(sort_lists);
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    objects
}

fn sort_lists(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(sort_lists),
        Value::Array(items) => {
            items.iter_mut().for_each(sort_lists);
            if items.iter().all(|item| item["name"].is_string()) {
                items.sort_by_key(|item| item["name"].to_string());
            }
        }
        _ => {}
    }
}

/// The documents of a file.
pub fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn config_map(folder: &Path, generator: &Value) -> Value {
    let entry = |file: String| (file.clone(), std::fs::read_to_string(folder.join(file)).unwrap().into());
    let data: Map<String, Value> = texts(&generator["files"]).into_iter().map(entry).collect();
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": generator["name"] }, "data": data })
}

fn is_same(one: &Value, other: &Value) -> bool {
    one["kind"] == other["kind"] && one["metadata"]["name"] == other["metadata"]["name"]
}

/// Lists of things with a name are merged by it, all others replaced.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (field, value) in patch {
                merge(into.entry(field).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(patch)) if patch.iter().all(|item| item["name"].is_string()) => {
            for item in patch {
                match into.iter_mut().find(|known| known["name"] == item["name"]) {
                    Some(known) => merge(known, item),
                    None => into.push(item.clone()),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}
