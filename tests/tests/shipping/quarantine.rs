//! A plugin that keeps trapping is held back alone.

use serde_json::json;

use crate::fixture::{Harbour, guest, noop, problem};

const CONFIGURATION: &str = "quarantine: { faults: 3, first: 1h, longest: 1h }\nplugins: { noop: { source: upload }, trouble: { source: upload } }";

#[test]
fn a_plugin_that_keeps_trapping_is_held_back_alone_over_a_restart_and_until_it_is_released() {
    let harbour = Harbour::new();
    let agent = harbour.agent(CONFIGURATION);
    agent.put("noop", "0.1.0", &noop("0.1.0"), &[]);
    agent.put("trouble", "0.1.0", &guest("trouble", "0.1.0"), &[]);
    let (trap, fine) = (json!({"do": "trap"}), json!({"do": "sleep-in-host", "seconds": 0.0}));
    let give_up = json!({"do": "fail", "message": "no idea"});
    // A verdict breaks the row; a reason that the plugin gives itself does not count.
    for params in [&trap, &trap, &fine, &trap, &give_up, &trap] {
        assert_eq!(agent.run("trouble", params).status, 200);
    }
    assert_eq!(agent.plugin("trouble")["state"], "active");
    assert_eq!(agent.run("trouble", &trap).status, 200);

    let refused = agent.run("trouble", &fine);
    let told = problem(&refused, 503, "plugin-quarantined");
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("(trap: the plugin trapped: ") && detail.contains("`paramedic plugins release trouble`"),
        "{detail}"
    );
    let seconds: u32 = refused.field("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{seconds}");
    let plugin = agent.plugin("trouble");
    assert_eq!((&plugin["state"], &plugin["quarantine"]["round"]), (&json!("quarantined"), &json!(1)), "{plugin}");
    let metrics = agent.metrics();
    assert!(metrics.contains("paramedic_plugin_quarantined{plugin=\"trouble\"} 1\n"), "{metrics}");
    assert!(metrics.contains("paramedic_plugins{state=\"quarantined\"} 1\n"), "{metrics}");
    assert!(agent.log().contains("plugin is in quarantine"));
    // Nobody else notices.
    agent.verdict("noop");
    assert_eq!(agent.api.get("/readyz", &[]).unwrap().status, 200);

    drop(agent);
    let agent = harbour.agent(CONFIGURATION);
    problem(&agent.run("trouble", &fine), 503, "plugin-quarantined");
    let (code, card, _) = agent.cli(&["plugins", "release", "trouble"]);
    assert!(code == 0 && card.starts_with("ACTIVE trouble: "), "{card}");
    assert_eq!(agent.run("trouble", &fine).json().unwrap()["state"], "ok");
    assert!(agent.metrics().contains("paramedic_plugin_quarantined{plugin=\"trouble\"} 0\n"));
    drop(agent);
    assert_eq!(harbour.agent(CONFIGURATION).plugin("trouble")["state"], "active");
}

#[test]
fn another_component_ends_a_quarantine() {
    let harbour = Harbour::new();
    let agent = harbour.agent(CONFIGURATION);
    agent.put("trouble", "0.1.0", &guest("trouble", "0.1.0"), &[]);
    for _ in 0..3 {
        agent.run("trouble", &json!({"do": "trap"}));
    }
    assert_eq!(agent.plugin("trouble")["state"], "quarantined");
    let mended = agent.put("trouble", "0.2.0", &guest("trouble", "0.2.0"), &[]);
    assert_eq!(mended.status, 200, "{}", mended.body);
    assert_eq!(agent.plugin("trouble")["state"], "active");
    let run = agent.run("trouble", &json!({"do": "sleep-in-host", "seconds": 0.0})).json().unwrap();
    assert_eq!(run["version"], "0.2.0");
}

#[test]
fn a_plugin_whose_target_is_down_is_not_held_back() {
    let harbour = Harbour::new();
    let agent = harbour.agent(
        "quarantine: { faults: 1, first: 1h, longest: 1h }\n\
         plugins: { over-asking: { source: upload, params: { target: main }, grants: [ { postgres: main, verbs: [inspect, query] } ] } }",
    );
    agent.put("over-asking", "0.1.0", &guest("over-asking", "0.1.0"), &[]);
    for _ in 0..3 {
        let run = agent.run("over-asking", &json!({})).json().unwrap();
        assert_eq!(run["failure"]["kind"], "host_call", "{run}");
    }
    assert_eq!(agent.plugin("over-asking")["state"], "active");
}
