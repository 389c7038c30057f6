//! `kubectl apply` in its older form: the client writes down what it applied, and its name becomes the field manager.

use serde_json::{Value, json};

use crate::answer::Body;
use crate::api;
use crate::objects;
use crate::request::Request;
use crate::world::World;

/// The manager that a plain `kubectl apply` leaves behind.
const KUBECTL: &str = "kubectl-client-side-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Creates an object, or merges it into the one that is there, with the rights behind `authorization`.
pub fn apply(world: &mut World, mut object: Value, authorization: &str) -> anyhow::Result<()> {
    let resource = crate::world::resource_of(&object);
    let (name, space) = (objects::name(&object).to_owned(), objects::namespace(&object).to_owned());
    let mut plain = object.clone();
    objects::set(&mut plain, "/metadata/annotations", json!({}));
    let last = Value::from(format!("{plain}\n"));
    objects::set(&mut object, &format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1")), last);
    let group = if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let place = if space.is_empty() { String::new() } else { format!("/namespaces/{space}") };
    let collection = format!("{group}/{}{place}/{}", resource.version, resource.plural);
    let is_there = world.store.get(&resource.storage(), &space, &name).is_some();
    let (method, path, content_type) = if is_there {
        ("PATCH", format!("{collection}/{name}"), "application/merge-patch+json")
    } else {
        ("POST", collection, "application/json")
    };
    let request = Request {
        method: method.to_owned(),
        path,
        query: vec![("fieldManager".to_owned(), KUBECTL.to_owned())],
        content_type: content_type.to_owned(),
        authorization: authorization.to_owned(),
        body: object.to_string().into_bytes(),
        ..Request::default()
    };
    let answer = api::answer(world, &request);
    match (&answer.body, answer.status) {
        (_, 200..300) => Ok(()),
        (Body::Whole(body), _) => anyhow::bail!("cannot apply {name}: {}", String::from_utf8_lossy(body)),
        (Body::Watch(_), _) => anyhow::bail!("cannot apply {name}"),
    }
}
