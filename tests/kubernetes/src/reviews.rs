//! Questions about rights and tokens, which are asked by creating an object that is never stored.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::failure::{Cause, Failure};
use crate::identity::{Identity, OWN_AUDIENCE};
use crate::objects;
use crate::rbac;
use crate::request::{Attributes, Request, Target};
use crate::world::World;

/// Answers a review.
pub fn answer(world: &World, request: &Request, who: &Identity, target: &Target) -> Result<Answer, Failure> {
    let asked = request.json()?;
    let status = match target.resource.kind.as_str() {
        "SelfSubjectAccessReview" => verdict(world, who, &asked),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => verdict(world, &subject(&asked)?, &asked),
        "SelfSubjectRulesReview" => rules(world, who, &asked),
        "SelfSubjectReview" => return Ok(Answer::json(201, self_review(world, who, target))),
        "TokenReview" => token(world, &asked)?,
        _ => return Err(Failure::no_resource()),
    };
    // A rules review does not repeat what was asked.
    let is_rules = target.resource.kind == "SelfSubjectRulesReview";
    let spec = if is_rules { json!({}) } else { asked.get("spec").cloned().unwrap_or(json!({})) };
    let document = json!({
        "kind": target.resource.kind, "apiVersion": target.resource.api_version(), "metadata": {}, "spec": spec,
        "status": status,
    });
    Ok(Answer::json(201, document))
}

fn self_review(world: &World, who: &Identity, target: &Target) -> Value {
    json!({
        "kind": target.resource.kind, "apiVersion": target.resource.api_version(),
        "metadata": {"creationTimestamp": world.clock.seconds()}, "status": {"userInfo": who.to_json()},
    })
}

fn subject(asked: &Value) -> Result<Identity, Failure> {
    let user = objects::text(asked, "/spec/user").to_owned();
    let groups: Vec<String> =
        objects::items(asked, "/spec/groups").filter_map(Value::as_str).map(str::to_owned).collect();
    if user.is_empty() && groups.is_empty() {
        let cause = Cause::invalid("spec.user", "\"\"", "at least one of user or group must be specified");
        return Err(Failure::invalid("authorization.k8s.io", "", "", &[cause]));
    }
    Ok(Identity { user, uid: String::new(), groups, credential: String::new() })
}

fn verdict(world: &World, who: &Identity, asked: &Value) -> Value {
    let reason = match asked.pointer("/spec/nonResourceAttributes") {
        Some(path) => {
            let (verb, path) = (objects::text(path, "/verb"), objects::text(path, "/path"));
            rbac::allows_path(&world.store, who, verb, path).then(String::new)
        }
        None => rbac::allowed(&world.store, who, &attributes(asked)),
    };
    // A no has no reason.
    let mut status = Map::from_iter([("allowed".to_owned(), reason.is_some().into())]);
    status.extend(reason.filter(|why| !why.is_empty()).map(|why| ("reason".to_owned(), why.into())));
    Value::Object(status)
}

fn attributes(asked: &Value) -> Attributes {
    let text = |key: &str| objects::text(asked, &format!("/spec/resourceAttributes/{key}")).to_owned();
    Attributes {
        verb: text("verb"),
        group: text("group"),
        resource: text("resource"),
        subresource: text("subresource"),
        namespace: Some(text("namespace")).filter(|space| !space.is_empty()),
        name: text("name"),
    }
}

fn rules(world: &World, who: &Identity, asked: &Value) -> Value {
    let (on_resources, on_paths) = rbac::rules(&world.store, who, objects::text(asked, "/spec/namespace"));
    json!({"resourceRules": on_resources, "nonResourceRules": on_paths, "incomplete": false})
}

fn token(world: &World, asked: &Value) -> Result<Value, Failure> {
    let token = objects::text(asked, "/spec/token");
    if token.is_empty() {
        return Err(Failure::bad_request("token is required for TokenReview in authentication"));
    }
    let mut audiences: Vec<&str> = objects::items(asked, "/spec/audiences").filter_map(Value::as_str).collect();
    if audiences.is_empty() {
        audiences.push(OWN_AUDIENCE);
    }
    Ok(match world.tokens.review(token, &audiences, world.clock.now()) {
        Ok((who, audience)) => json!({"authenticated": true, "user": who.to_json(), "audiences": [audience]}),
        Err(why) => json!({"user": {}, "error": why}),
    })
}

/// Answers a request for a token of a service account.
pub fn token_request(world: &mut World, request: &Request, target: &Target) -> Result<Answer, Failure> {
    let asked = request.json()?;
    let account = world.store.get("/serviceaccounts", target.space(), &target.name).ok_or_else(|| target.missing())?;
    let uid = objects::uid(account).to_owned();
    let audience = objects::items(&asked, "/spec/audiences").find_map(Value::as_str).unwrap_or(OWN_AUDIENCE).to_owned();
    let seconds = objects::number(&asked, "/spec/expirationSeconds").unwrap_or(3600);
    let who = Identity::service_account(target.space(), &target.name, &uid);
    let expires = world.clock.now() + jiff::SignedDuration::from_secs(seconds);
    let token = world.tokens.issue(who, &audience, Some(expires));
    let document = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": target.name, "namespace": target.space(), "uid": uid, "creationTimestamp": world.clock.seconds(),
        },
        "spec": {"audiences": [audience], "expirationSeconds": seconds, "boundObjectRef": null},
        "status": {"token": token, "expirationTimestamp": world.clock.seconds_after(seconds)},
    });
    Ok(Answer::json(201, document))
}
