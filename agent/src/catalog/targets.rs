//! Which targets a run is about.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Plugin;
use crate::domain::{CapabilityRequest, Interface, Target};

impl Plugin {
    /// The targets that a run with the parameters `asked` is about, each once and in order, as far as the plugin tells.
    pub fn targets(&self, asked: &Map<String, Value>) -> Vec<Target> {
        let parameter = |name: &str| {
            let in_schema = || self.schema.pointer(&format!("/properties/{name}/default"));
            asked.get(name).or_else(|| self.params.given(name)).or_else(in_schema).and_then(Value::as_str)
        };
        let granted: Vec<&Target> = self.grants.lines().iter().map(|line| &line.target).collect();
        requested(&self.metadata.capabilities, &granted, parameter)
    }
}

/// A request names its target, or a parameter that does; one for `*` stands for every target of that system that was
/// granted.
fn requested<'a>(
    requests: &[CapabilityRequest],
    granted: &[&Target],
    parameter: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Target> {
    let mut targets = BTreeSet::new();
    for request in requests {
        let interface = request.operation.split_once('/').and_then(|(interface, _)| Interface::from_name(interface));
        let Some(system) = interface.and_then(Interface::system) else { continue };
        if request.target == "*" {
            targets.extend(granted.iter().filter(|target| target.system == system).map(|target| (*target).clone()));
            continue;
        }
        let name = match request.target.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None => Some(request.target.as_str()),
            Some(name) => parameter(name),
        };
        targets.extend(name.and_then(|name| name.parse().ok()).map(|name| Target { system, name }));
    }
    targets.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::System;

    #[test]
    fn a_run_is_about_what_its_requests_and_parameters_name() {
        let request = |(operation, target): &(&str, &str)| CapabilityRequest {
            operation: (*operation).to_owned(),
            target: (*target).to_owned(),
            reason: String::new(),
            optional: false,
        };
        let target = |system, name: &str| Target { system, name: name.parse().unwrap() };
        let granted = [target(System::Redis, "cache"), target(System::Redis, "jobs"), target(System::Http, "api")];
        let granted: Vec<&Target> = granted.iter().collect();
        let parameter = |name: &str| (name == "target").then_some("replica");
        for (requests, expected) in [
            (&[("postgres/sessions", "main"), ("postgres/inspect", "main")] as &[_], &["postgres/main"] as &[_]),
            (&[("postgres/*", "{target}"), ("redis/ping", "cache")], &["postgres/replica", "redis/cache"]),
            (&[("redis/info", "*")], &["redis/cache", "redis/jobs"]),
            (&[("http/get", "{nothing}"), ("log/*", "*"), ("teapot/brew", "main"), ("redis", "cache")], &[]),
            (&[("http/get", "No Name")], &[]),
        ] {
            let requests: Vec<_> = requests.iter().map(request).collect();
            let found: Vec<_> = requested(&requests, &granted, parameter).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }
}
