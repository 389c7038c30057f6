//! A request as the stand-in sees it: what is asked, of which object, with which parameters.

use serde_json::Value;

use crate::failure::Failure;
use crate::resources::{self, Resource};

/// A request as it was received. Tests look at these to see what was sent, and how often.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method, in capitals.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Parameters in their order, decoded.
    pub query: Vec<(String, String)>,
    /// `Accept` header; empty if none was sent.
    pub accept: String,
    /// `Content-Type` header; empty if none was sent.
    pub content_type: String,
    /// `User-Agent` header; empty if none was sent.
    pub user_agent: String,
    /// `Authorization` header; empty if none was sent.
    pub authorization: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The last value of a parameter that was given and is not empty.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Whether a parameter says yes.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.query.iter().any(|(key, value)| key == name && matches!(value.as_str(), "true" | "1" | ""))
    }

    /// The body as JSON. Protobuf, which kubectl prefers for what it creates, is not understood.
    pub fn json(&self) -> Result<Value, Failure> {
        if self.content_type.contains("protobuf") {
            return Err(Failure::unsupported_media_type());
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("the request body is not JSON: {error}")))
    }

    /// Splits a query string into its decoded parameters.
    #[must_use]
    pub fn parse_query(text: &str) -> Vec<(String, String)> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect()
    }
}

/// Undoes percent encoding, and `+` for a space.
#[must_use]
pub fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = bytes.by_ref().take(2).collect();
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A path taken apart, before anybody has looked whether there is such a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// API group; empty for the core.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// The namespace, if the path names one.
    pub namespace: Option<String>,
    /// The resource.
    pub plural: String,
    /// The object's name; empty for the collection.
    pub name: String,
    /// The subresource; empty if the path names none.
    pub subresource: String,
}

impl Place {
    /// Reads a path. `/api/v1/namespaces/x` is the namespace itself, `/api/v1/namespaces/x/pods` what is in it.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) => {
                (Some((*namespace).to_owned()), rest)
            }
            rest => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, sub, ..] => (*plural, *name, *sub),
            [] => return None,
        };
        let (group, version, plural) = (group.to_owned(), version.to_owned(), plural.to_owned());
        let (name, subresource) = (name.to_owned(), subresource.to_owned());
        Some(Place { group, version, namespace, plural, name, subresource })
    }

    /// What RBAC is asked about a request for this place.
    #[must_use]
    pub fn attributes(&self, request: &Request) -> Attributes {
        let verb = match (request.method.as_str(), self.name.is_empty()) {
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            (_, true) if request.flag("watch") => "watch",
            (_, true) => "list",
            (_, false) => "get",
        };
        // A list that can only find one object counts as a request for it.
        let selected = request.parameter("fieldSelector").and_then(|text| text.strip_prefix("metadata.name="));
        let selected = selected.filter(|name| self.name.is_empty() && !name.contains([',', '=', '!']));
        Attributes {
            verb: verb.to_owned(),
            group: self.group.clone(),
            resource: self.plural.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: selected.map_or_else(|| self.name.clone(), str::to_owned),
        }
    }

    /// The resource that is served there, with its subresource.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let resource = resources::find(&self.group, &self.version, &self.plural)?;
        let sub = match self.subresource.as_str() {
            "" => None,
            name => Some(resources::find_sub(&self.group, &self.version, &self.plural, name)?),
        };
        Some(Target { resource, sub, namespace: self.namespace.clone(), name: self.name.clone() })
    }
}

/// What is to be allowed: an action on a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// What is to be done.
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The subresource; empty if none.
    pub subresource: String,
    /// The namespace; none for the whole cluster.
    pub namespace: Option<String>,
    /// The object; empty for any.
    pub name: String,
}

impl Attributes {
    /// `deployments`, or `deployments/scale`.
    #[must_use]
    pub fn full_resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            sub => format!("{}/{sub}", self.resource),
        }
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The resource.
    pub resource: &'static Resource,
    /// The subresource, if the path names one.
    pub sub: Option<&'static Resource>,
    /// The namespace, if the path names one.
    pub namespace: Option<String>,
    /// The object's name; empty for the collection.
    pub name: String,
}

impl Target {
    /// The name of the subresource, if any.
    #[must_use]
    pub fn subresource(&self) -> Option<&'static str> {
        self.sub.and_then(|sub| sub.subresource.as_deref())
    }

    /// The namespace as it is stored: empty for what has none.
    #[must_use]
    pub fn space(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The refusal for an object that is not there.
    #[must_use]
    pub fn missing(&self) -> Failure {
        Failure::not_found(self.resource, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_are_about() {
        let cases = [
            ("/api/v1/namespaces/shop", ("", "namespaces", "shop", "")),
            ("/api/v1/namespaces/shop/pods", ("shop", "pods", "", "")),
            ("/api/v1/namespaces/shop/pods/a/log", ("shop", "pods", "a", "log")),
            ("/apis/apps/v1/deployments", ("", "deployments", "", "")),
        ];
        for (path, wanted) in cases {
            let place = Place::parse(path).unwrap();
            let space = place.namespace.as_deref().unwrap_or_default();
            assert_eq!(
                (space, place.plural.as_str(), place.name.as_str(), place.subresource.as_str()),
                wanted,
                "{path}"
            );
        }
        assert_eq!(Place::parse("/apis/apps/v1"), None);
        assert!(Place::parse("/apis/apps/v1/deploymentz").unwrap().target().is_none());
    }

    #[test]
    fn a_list_of_one_name_counts_as_a_request_for_it() {
        let place = Place::parse("/api/v1/namespaces/shop/pods").unwrap();
        let query = Request::parse_query("watch=true&fieldSelector=metadata.name%3Da");
        let attributes = place.attributes(&Request { method: "GET".to_owned(), query, ..Request::default() });
        assert_eq!((attributes.verb.as_str(), attributes.name.as_str()), ("watch", "a"));
    }

    #[test]
    fn queries_are_decoded() {
        let query = Request::parse_query("&a=b%3Dc&d");
        assert_eq!(query, [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())]);
    }
}
