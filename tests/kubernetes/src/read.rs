//! Getting and listing: versions, pages and the three forms in which an object can be asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::events;
use crate::failure::Failure;
use crate::objects;
use crate::request::{Request, Target};
use crate::selectors::{Fields, Labels};
use crate::table;
use crate::world::World;

/// Answers a GET of one object.
pub fn get(world: &World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let storage = target.resource.storage();
    let object = world.store.get(&storage, target.space(), &target.name).ok_or_else(|| target.missing())?;
    let object = events::present(target.resource, object.clone());
    Ok(Answer::json(200, in_form(world, request, target, object)))
}

/// What a list or a watch selects.
#[derive(Clone, Debug)]
pub struct Selection {
    /// By labels.
    pub labels: Labels,
    /// By fields.
    pub fields: Fields,
}

impl Selection {
    /// Reads both selectors of a request.
    pub fn parse(request: &Request, target: &Target) -> Result<Self, Failure> {
        let labels = Labels::parse(request.parameter("labelSelector").unwrap_or_default())?;
        let text = request.parameter("fieldSelector").unwrap_or_default();
        let fields = Fields::parse(text, &target.resource.group, &target.resource.plural)?;
        Ok(Selection { labels, fields })
    }

    /// Whether a stored object is selected.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Where a page starts: a version, and the key after which to go on.
struct Page {
    version: Option<u64>,
    after: Option<String>,
}

/// Answers a GET of a collection.
pub fn list(world: &World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let selection = Selection::parse(request, target)?;
    let page = start_of_page(world, request)?;
    let storage = target.resource.storage();
    let space = target.namespace.as_deref();
    let all: Vec<Value> = match page.version {
        Some(version) => world.store.list_at(&storage, space, version),
        None => world.store.list(&storage, space).cloned().collect(),
    };
    let mut selected: Vec<Value> = all.into_iter().filter(|object| selection.matches(object)).collect();
    if let Some(after) = &page.after {
        selected.retain(|object| key(object) > *after);
    }
    let version = page.version.unwrap_or(world.store.version());
    let mut metadata = json!({"resourceVersion": version.to_string()});
    let limit = request.parameter("limit").and_then(|text| text.parse().ok()).unwrap_or(0_usize);
    if limit > 0 && selected.len() > limit {
        let rest = selected.split_off(limit);
        let last = selected.last().map(key).unwrap_or_default();
        objects::set(&mut metadata, "/continue", token(version, &last));
        if selection.is_everything() {
            objects::set(&mut metadata, "/remainingItemCount", rest.len());
        }
    }
    let shown = selected.into_iter().map(|object| events::present(target.resource, object)).collect();
    Ok(Answer::json(200, list_in_form(world, request, target, &metadata, shown)))
}

fn start_of_page(world: &World, request: &Request) -> Result<Page, Failure> {
    if let Some(text) = request.parameter("continue") {
        let (version, after) = read_token(text).ok_or_else(|| Failure::bad_request("continue key is not valid"))?;
        // A token that was given out with a 410 goes on with what is there now.
        let Some(version) = version else { return Ok(Page { version: None, after: Some(after) }) };
        if version < world.store.oldest() {
            let message = "The provided continue parameter is too old to display a consistent list result. You can \
                           start a new list without the continue parameter, or use the continue token in this response \
                           to retrieve the remainder of the results.";
            return Err(Failure::expired(message, Some(encode_token(-1, &after))));
        }
        return Ok(Page { version: Some(version), after: Some(after) });
    }
    let version = wanted_version(request)?;
    let current = world.store.version();
    match version {
        Some(version) if version > current => Err(Failure::from_the_future(version, current)),
        Some(version) if request.parameter("resourceVersionMatch") == Some("Exact") => {
            if version < world.store.oldest() {
                return Err(Failure::expired("The resourceVersion for the provided list is too old.", None));
            }
            Ok(Page { version: Some(version), after: None })
        }
        _ => Ok(Page { version: None, after: None }),
    }
}

/// The `resourceVersion` parameter, if it says more than "any".
pub fn wanted_version(request: &Request) -> Result<Option<u64>, Failure> {
    match request.parameter("resourceVersion") {
        None | Some("0") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::internal(format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
            ))
        }),
    }
}

/// By what a collection is ordered.
fn key(object: &Value) -> String {
    format!("{}/{}\0", objects::namespace(object), objects::name(object))
}

fn token(version: u64, after: &str) -> String {
    encode_token(i128::from(version), after)
}

fn encode_token(version: i128, after: &str) -> String {
    let version = i64::try_from(version).unwrap_or(-1);
    STANDARD_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": after}).to_string())
}

/// The version, unless the token stands for "whatever is there", and the key.
fn read_token(text: &str) -> Option<(Option<u64>, String)> {
    let bytes = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    let token: Value = serde_json::from_slice(&bytes).ok()?;
    let version = objects::number(&token, "/rv")?;
    Some((u64::try_from(version).ok(), objects::text(&token, "/start").to_owned()))
}

fn in_form(world: &World, request: &Request, target: &Target, object: Value) -> Value {
    if request.accept.contains("as=PartialObjectMetadata") {
        return metadata_only(&object);
    }
    if request.accept.contains("as=Table") {
        let metadata = json!({"resourceVersion": objects::text(&object, "/metadata/resourceVersion")});
        return table::table(target.resource, &metadata, &[object], world.clock);
    }
    object
}

fn metadata_only(object: &Value) -> Value {
    let metadata = object.get("metadata");
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

fn list_in_form(world: &World, request: &Request, target: &Target, metadata: &Value, shown: Vec<Value>) -> Value {
    if request.accept.contains("as=Table") {
        return table::table(target.resource, metadata, &shown, world.clock);
    }
    if request.accept.contains("as=PartialObjectMetadata") {
        let items: Vec<Value> = shown.iter().map(metadata_only).collect();
        let kind = "PartialObjectMetadataList";
        return json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items});
    }
    let items: Vec<Value> = shown.into_iter().map(without_type).collect();
    let kind = format!("{}List", target.resource.kind);
    json!({"kind": kind, "apiVersion": target.resource.api_version(), "metadata": metadata, "items": items})
}

/// The list says what its elements are, so they do not.
fn without_type(mut object: Value) -> Value {
    objects::remove(&mut object, "/kind");
    objects::remove(&mut object, "/apiVersion");
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continue_tokens_are_read_back() {
        let after = "shop/api\0";
        assert_eq!(read_token(&token(515, after)), Some((Some(515), after.to_owned())));
        assert_eq!(read_token(&encode_token(-1, after)), Some((None, after.to_owned())));
        assert_eq!(read_token("garbage"), None);
    }
}
