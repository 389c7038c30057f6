//! Plugins whose grants lack something.

use std::collections::BTreeMap;

use paramedic_tests::components;
use serde_json::json;

use crate::fixture::{Paramedic, Secrets};

/// Every plugin that comes with the agent, with the target that its refusal leaves to the operator.
const PLUGINS: [(&str, &str); 16] = [
    ("capture-state", "main"),
    ("http-health", "api"),
    ("k8s-crashes", "prod"),
    ("k8s-error-logs", "prod"),
    ("k8s-events", "prod"),
    ("k8s-pods", "prod"),
    ("k8s-rollouts", "prod"),
    ("k8s-top", "prod"),
    ("pg-connections", "main"),
    ("pg-idle-connections", "main"),
    ("pg-ready", "main"),
    ("pg-slow-queries", "main"),
    ("queue-failed-jobs", "email"),
    ("queue-status", "email"),
    ("redis-memory", "cache"),
    ("redis-ping", "cache"),
];

/// The text in which a plugin's grant is missing, as the agent shows it in each place.
fn shown(paramedic: &Paramedic, name: &str) -> [String; 3] {
    let plugin = paramedic.api.get(&format!("/v1/plugins/{name}"), &[]).unwrap().json().unwrap();
    assert_eq!(plugin["state"], "failed", "{plugin}");
    let list = paramedic.api.get("/v1/plugins", &[]).unwrap().json().unwrap();
    let listed = list["plugins"].as_array().unwrap().iter().find(|plugin| plugin["name"] == name).unwrap();
    let refused = paramedic.ask(name, &json!({}));
    assert_eq!(refused.status, 409, "{}", refused.body);
    let problem = refused.json().unwrap();
    assert_eq!(problem["type"], "urn:paramedic:problem:plugin-not-active");
    [&plugin["reason"], &listed["reason"], &problem["detail"]].map(|text| text.as_str().unwrap().to_owned())
}

/// The grant in `… add plugins.<name>.grants: - { … }`, with what the operator has to put in.
fn line(text: &str, name: &str, target: &str) -> String {
    let start = format!("add plugins.{name}.grants: - ");
    let (_, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no line to add: {text}"));
    let (grant, _) = rest.split_once('}').unwrap_or_else(|| panic!("no whole line to add: {text}"));
    let filled = grant.replace("<target>", target).replace("\"…\"", "\"*\"").replace("\"/…\"", "\"/**\"");
    format!("{filled}}}")
}

/// The section `plugins` with the grants that `lines` has for each plugin.
fn section(lines: &BTreeMap<&str, String>) -> String {
    let plugin = |(name, _): &(&'static str, &str)| {
        let file = json!(components::plugin(name).unwrap());
        let line = lines.get(name).map_or("", String::as_str);
        format!("{name}: {{ source: {{ file: {file} }}, grants: [ {line} ] }}")
    };
    format!("{{ {} }}", PLUGINS.iter().map(plugin).collect::<Vec<_>>().join(", "))
}

#[test]
fn the_line_in_the_refusal_of_a_plugin_is_the_one_that_it_lacks() {
    let secrets = Secrets::new();
    let targets = json!({
        "postgres": { "main": { "url": secrets.put("postgres", "postgres://nobody:nothing@127.0.0.1:1/nowhere") } },
        "redis": { "cache": { "url": secrets.put("redis", "redis://nobody:nothing@127.0.0.1:1/0") } },
        "queue": { "email": { "redis": "cache", "name": "email", "bullmq": 5 } },
        "http": { "api": { "base_url": "http://127.0.0.1:1", "allow_private": true } },
        "kubernetes": { "prod": { "namespace": "shop" } },
    });
    let mut lines = BTreeMap::new();
    let paramedic = Paramedic::start(&targets, &section(&lines), "info");
    for (name, target) in PLUGINS {
        let [plugin, listed, refused] = shown(&paramedic, name).map(|text| line(&text, name, target));
        assert_eq!((&plugin, &plugin), (&listed, &refused));
        lines.insert(name, plugin);
    }
    let paramedic = Paramedic::start(&targets, &section(&lines), "info");
    for (name, _) in PLUGINS {
        let plugin = paramedic.api.get(&format!("/v1/plugins/{name}"), &[]).unwrap().json().unwrap();
        assert_eq!(plugin["state"], "active", "{plugin}");
    }
}
