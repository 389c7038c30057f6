//! Refusals, as the `Status` objects that the server makes of them. This is the one place that knows their form.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::request::Attributes;
use crate::resources::Resource;

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// HTTP status.
    pub code: u16,
    reason: Option<&'static str>,
    message: String,
    details: Option<Box<Map<String, Value>>>,
    next_page: Option<String>,
    retry_after: Option<u64>,
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    reason: &'static str,
    field: String,
    message: String,
}

impl Cause {
    /// A field is missing.
    pub fn required(field: impl Into<String>) -> Self {
        Cause { reason: "FieldValueRequired", field: field.into(), message: "Required value".to_owned() }
    }

    /// A field has a value that cannot be.
    pub fn invalid(field: impl Into<String>, value: impl ToString, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", value.to_string());
        Cause { reason: "FieldValueInvalid", field: field.into(), message }
    }

    /// A field may not be set, or not be changed.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Cause { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    /// A field has none of the values that are supported.
    pub fn not_supported(field: impl Into<String>, value: impl ToString, supported: &str) -> Self {
        let message = format!("Unsupported value: {}: supported values: {supported}", value.to_string());
        Cause { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    /// Says more than the bare reason does.
    pub fn explain(&mut self, why: &str) {
        self.message = format!("{}: {why}", self.message);
    }

    fn to_json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

impl Failure {
    fn new(code: u16, reason: Option<&'static str>, message: impl Into<String>) -> Self {
        Failure { code, reason, message: message.into(), details: None, next_page: None, retry_after: None }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        let members = [("name", name), ("group", group), ("kind", kind)];
        let given = members.iter().filter(|(_, value)| !value.is_empty());
        self.details = Some(Box::new(given.map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()));
        self
    }

    fn because(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(Cause::to_json).collect();
        self.details.get_or_insert_default().insert("causes".to_owned(), causes.into());
        self
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, Some("BadRequest"), message)
    }

    /// The token is not known.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, Some("Unauthorized"), "Unauthorized")
    }

    /// The caller may not.
    #[must_use]
    pub fn forbidden(user: &str, wanted: &Attributes) -> Self {
        let Attributes { verb, group, resource, namespace, name, .. } = wanted;
        let qualified = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        let subject = if name.is_empty() { qualified } else { format!("{qualified} \"{name}\"") };
        let place = match namespace {
            Some(space) => format!("in the namespace \"{space}\""),
            None => "at the cluster scope".to_owned(),
        };
        let full = wanted.full_resource();
        let message = format!(
            "{subject} is forbidden: User \"{user}\" cannot {verb} resource \"{full}\" in API group \"{group}\" {place}"
        );
        Self::new(403, Some("Forbidden"), message).about(group, resource, name)
    }

    /// The caller may not ask for a path that is no resource.
    #[must_use]
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let message = format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\"");
        Self::new(403, Some("Forbidden"), message).about("", "", "")
    }

    /// The object is not allowed by an admission rule such as a quota.
    #[must_use]
    pub fn not_admitted(target: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", target.qualified());
        Self::new(403, Some("Forbidden"), message).about(&target.group, &target.plural, name)
    }

    /// There is no such object.
    #[must_use]
    pub fn not_found(target: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", target.qualified());
        Self::new(404, Some("NotFound"), message).about(&target.group, &target.plural, name)
    }

    /// There is no such resource in a group that is served.
    #[must_use]
    pub fn no_resource() -> Self {
        Self::new(404, Some("NotFound"), "the server could not find the requested resource").about("", "", "")
    }

    /// The resource does not take this method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, Some("MethodNotAllowed"), message).about("", "", "")
    }

    /// There already is such an object.
    #[must_use]
    pub fn already_exists(target: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", target.qualified());
        Self::new(409, Some("AlreadyExists"), message).about(&target.group, &target.plural, name)
    }

    /// The object has moved on since it was read.
    #[must_use]
    pub fn modified(target: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(&target.group, &target.plural, name, why)
    }

    /// Another object stands under that name; `kind` is how the server calls it there.
    #[must_use]
    pub fn conflict(group: &str, kind: &str, name: &str, why: &str) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("Operation cannot be fulfilled on {qualified} \"{name}\": {why}");
        Self::new(409, Some("Conflict"), message).about(group, kind, name)
    }

    /// Others own fields that an apply would set: manager and field of each.
    #[must_use]
    pub fn owned_by_others(conflicts: &[(String, String)]) -> Self {
        let causes: Vec<Cause> = conflicts
            .iter()
            .map(|(manager, field)| Cause {
                reason: "FieldManagerConflict",
                field: field.clone(),
                message: format!("conflict with {manager}"),
            })
            .collect();
        let count = causes.len();
        let plural = if count == 1 { "" } else { "s" };
        Self::new(409, Some("Conflict"), format!("Apply failed with {count} conflict{plural}")).because(&causes)
    }

    /// The version asked for is gone; `next` is a token to go on with.
    #[must_use]
    pub fn expired(message: &str, next: Option<String>) -> Self {
        let mut failure = Self::new(410, Some("Expired"), message);
        failure.next_page = next;
        failure
    }

    /// The patch is of a kind that the server does not take.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(415, Some("UnsupportedMediaType"), "415: Unsupported Media Type").about("", "", "")
    }

    /// The object is not valid.
    #[must_use]
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{qualified} \"{name}\" is invalid: {}", texts.join(", "));
        Self::new(422, Some("Invalid"), message).about(group, kind, name).because(causes)
    }

    /// The patch does not make an object; `given` is what the server quotes, which may be all of the stored object.
    #[must_use]
    pub fn patch_does_not_fit(given: &str, why: &str) -> Self {
        Self::invalid("", "", "", &[Cause::invalid("patch", format!("{given:?}"), why)])
    }

    /// A JSON patch whose test failed, or whose path is not there.
    #[must_use]
    pub fn patch_rejected() -> Self {
        Self::new(422, Some("Invalid"), "the server rejected our request due to an error in our request")
            .about("", "", "")
    }

    /// A budget forbids the eviction for now.
    #[must_use]
    pub fn budget(message: &str) -> Self {
        let cause = Cause { reason: "DisruptionBudget", field: String::new(), message: message.to_owned() };
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut failure = Self::new(429, Some("TooManyRequests"), text);
        let cause = json!({"reason": cause.reason, "message": cause.message});
        failure.details = Some(Box::new(Map::from_iter([("causes".to_owned(), json!([cause]))])));
        failure
    }

    /// The server is overloaded.
    #[must_use]
    pub fn too_many_requests(retry_after: u64) -> Self {
        let mut failure = Self::new(429, Some("TooManyRequests"), "too many requests, please try again later");
        failure.details = Some(Box::new(Map::from_iter([("retryAfterSeconds".to_owned(), retry_after.into())])));
        failure.retry_after = Some(retry_after);
        failure
    }

    /// Something broke; the server gives no reason.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, None, message)
    }

    /// The server cannot answer now.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(503, Some("ServiceUnavailable"), "the server is currently unable to handle the request")
    }

    /// The version asked for has not come yet.
    #[must_use]
    pub fn from_the_future(wanted: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        let mut failure = Self::new(504, Some("Timeout"), message);
        let details = [("causes".to_owned(), json!([cause])), ("retryAfterSeconds".to_owned(), 1.into())];
        failure.details = Some(Box::new(Map::from_iter(details)));
        failure.retry_after = Some(1);
        failure
    }

    /// The Status object.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let metadata = self.next_page.as_ref().map_or(json!({}), |next| json!({"continue": next}));
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(members) = status.as_object_mut() {
            members.extend(self.reason.map(|reason| ("reason".to_owned(), reason.into())));
            members.extend(self.details.clone().map(|details| ("details".to_owned(), Value::Object(*details))));
        }
        status
    }

    /// The text for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let mut answer = Answer::json(failure.code, failure.to_status());
        answer.retry_after = failure.retry_after;
        answer
    }
}
