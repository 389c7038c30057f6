//! The way of a request: who is it, may they, what is asked, who answers.

use crate::answer::Answer;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::metrics::{self, Metrics};
use crate::request::{Attributes, Place, Request, Target};
use crate::world::World;
use crate::{binding, delete, discovery, eviction, logs, patch, rbac, read, reviews, scale, watch, write};

/// Answers a request and changes the world by it.
pub fn answer(world: &mut World, request: &Request) -> Answer {
    try_answer(world, request).unwrap_or_else(Answer::from)
}

fn try_answer(world: &mut World, request: &Request) -> Result<Answer, Failure> {
    let who = world.tokens.authenticate(&request.authorization, world.clock.now())?;
    let Some(place) = Place::parse(&request.path) else { return path(world, request, &who) };
    // Rights come before existence, so that a refusal does not tell what is there.
    let attributes = place.attributes(request);
    authorize(world, &who, &attributes)?;
    if place.group == "metrics.k8s.io" && matches!(world.metrics, Metrics::Down) {
        return Ok(Answer::text(503, "service unavailable\n"));
    }
    if !discovery::serves(&place.group, &place.version, &world.metrics) {
        return Ok(Answer::page_not_found());
    }
    let target = place.target().ok_or_else(Failure::no_resource)?;
    let allowed = &target.sub.unwrap_or(target.resource).verbs;
    if !allowed.contains(&attributes.verb.as_str()) {
        return Err(Failure::method_not_allowed());
    }
    dispatch(world, request, &who, &target, &attributes.verb)
}

/// Refuses what the caller has no right to.
pub fn authorize(world: &World, who: &Identity, wanted: &Attributes) -> Result<(), Failure> {
    match rbac::allowed(&world.store, who, wanted) {
        Some(_) => Ok(()),
        None => Err(Failure::forbidden(&who.user, wanted)),
    }
}

fn path(world: &World, request: &Request, who: &Identity) -> Result<Answer, Failure> {
    let verb = request.method.to_lowercase();
    if !rbac::allows_path(&world.store, who, &verb, &request.path) {
        return Err(Failure::forbidden_path(&who.user, &verb, &request.path));
    }
    Ok(discovery::answer(request, &world.metrics).unwrap_or_else(Answer::page_not_found))
}

fn dispatch(
    world: &mut World,
    request: &Request,
    who: &Identity,
    target: &Target,
    verb: &str,
) -> Result<Answer, Failure> {
    match target.resource.group.as_str() {
        "metrics.k8s.io" => return metrics::answer(world, request, target),
        "authentication.k8s.io" | "authorization.k8s.io" => return reviews::answer(world, request, who, target),
        _ => {}
    }
    match (target.subresource(), verb) {
        (Some("scale"), _) => scale::answer(world, request, target),
        (Some("binding"), _) => binding::answer(world, request, target),
        (Some("eviction"), _) => eviction::answer(world, request, target),
        (Some("log"), _) => logs::answer(world, request, target),
        (Some("token"), _) => reviews::token_request(world, request, target),
        (None | Some("status"), "get") => read::get(world, request, target),
        (None, "list") => read::list(world, request, target),
        (None, "watch") => watch::answer(world, request, target),
        (None, "create") => write::create(world, request, target),
        (None | Some("status"), "update") => write::update(world, request, target),
        (None | Some("status"), "patch") => patch::answer(world, request, who, target),
        (None, "delete") => delete::answer(world, request, target),
        (None, "deletecollection") => delete::collection(world, request, target),
        _ => Err(Failure::method_not_allowed()),
    }
}
