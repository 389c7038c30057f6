//! The watched folder, plain and as the kubelet fills it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use paramedic_tests::{components, wait};
use serde_json::json;

use crate::fixture::{Agent, Harbour, gzip, noop};

fn configuration(harbour: &Harbour) -> String {
    fs::create_dir_all(harbour.path().join("drop")).unwrap();
    format!(
        "intake: {{ folder: \"{}/drop\" }}\nplugins: {{ noop: {{ source: folder }}, trouble: {{ source: folder }}, upload-only: {{ source: upload }} }}",
        harbour.path().display()
    )
}

/// Wait until a plugin runs in that version.
fn until_version(agent: &Agent, plugin: &str, version: &str) {
    let runs = || Ok((agent.plugin(plugin)["version"] == version).then_some(()));
    wait::until(&format!("{plugin} {version} to run"), runs).unwrap();
}

/// How many versions of a plugin became active so far.
fn activations(agent: &Agent, plugin: &str) -> u32 {
    let line = format!("paramedic_plugin_versions_activated_total{{plugin=\"{plugin}\",origin=\"folder\"}} ");
    let metrics = agent.metrics();
    let count = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Do what the kubelet does when a ConfigMap changed.
fn swap(root: &Path, stamp: &str, files: &[(&str, Vec<u8>)]) {
    fs::create_dir(root.join(stamp)).unwrap();
    for (name, bytes) in files {
        fs::write(root.join(stamp).join(name), bytes).unwrap();
        if fs::symlink_metadata(root.join(name)).is_err() {
            symlink(Path::new("..data").join(name), root.join(name)).unwrap();
        }
    }
    let before = fs::read_link(root.join("..data")).ok();
    symlink(stamp, root.join("..data_tmp")).unwrap();
    fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    if let Some(before) = before {
        fs::remove_dir_all(root.join(before)).unwrap();
    }
}

#[test]
fn a_swap_of_a_volume_is_one_reload_of_what_changed() {
    let harbour = Harbour::new();
    let configuration = configuration(&harbour);
    let root = harbour.path().join("drop");
    let trouble = crate::fixture::guest("trouble", "0.1.0");
    swap(&root, "..2026_03_01", &[("noop.wasm.gz", gzip(&noop("0.1.0"))), ("trouble.wasm", trouble.clone())]);
    let agent = harbour.agent(&configuration);
    // It is there when the agent is ready.
    assert_eq!((activations(&agent, "noop"), activations(&agent, "trouble")), (1, 1));
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");

    swap(&root, "..2026_03_02", &[("noop.wasm.gz", gzip(&noop("0.2.0"))), ("trouble.wasm", trouble.clone())]);
    until_version(&agent, "noop", "0.2.0");
    assert_eq!((activations(&agent, "noop"), activations(&agent, "trouble")), (2, 1));

    // Back to the first by the volume, then on by hand; that holds over a restart, because the volume says nothing new.
    swap(&root, "..2026_03_03", &[("noop.wasm.gz", gzip(&noop("0.1.0"))), ("trouble.wasm", trouble)]);
    until_version(&agent, "noop", "0.1.0");
    assert_eq!(agent.cli(&["plugins", "activate", "noop", "0.2.0"]).0, 0);
    drop(agent);
    let agent = harbour.agent(&configuration);
    assert_eq!(agent.plugin("noop")["version"], "0.2.0");
    // The volume is gone, and what it brought still runs.
    drop(agent);
    fs::remove_dir_all(&root).unwrap();
    let agent = harbour.agent(&configuration);
    assert_eq!(
        (&agent.plugin("noop")["version"], &agent.plugin("trouble")["state"]),
        (&json!("0.2.0"), &json!("active"))
    );
}

#[test]
fn a_half_written_file_is_no_reload_and_the_whole_one_is_one() {
    let harbour = Harbour::new();
    let configuration = configuration(&harbour);
    let root = harbour.path().join("drop");
    fs::write(root.join("noop.wasm"), noop("0.1.0")).unwrap();
    let agent = harbour.agent(&configuration);
    assert_eq!(activations(&agent, "noop"), 1);

    let new = noop("0.2.0");
    fs::write(root.join("noop.wasm"), &new[..new.len() / 2]).unwrap();
    wait::until("the half to be refused", || Ok(agent.plugin("noop").get("candidates").map(drop))).unwrap();
    let plugin = agent.plugin("noop");
    assert_eq!(
        (&plugin["version"], &plugin["candidates"][0]["step"]),
        (&json!("0.1.0"), &json!("imports")),
        "{plugin}"
    );
    assert_eq!((activations(&agent, "noop"), &agent.verdict("noop")["version"]), (1, &json!("0.1.0")));

    fs::write(root.join("noop.wasm"), &new).unwrap();
    until_version(&agent, "noop", "0.2.0");
    assert_eq!(activations(&agent, "noop"), 2);
    // Under a name that ends in .tmp nothing is looked at.
    fs::write(root.join("noop.wasm.tmp"), b"half").unwrap();
    fs::write(root.join("noop.wasm.tmp"), noop("0.3.0")).unwrap();
    fs::rename(root.join("noop.wasm.tmp"), root.join("noop.wasm")).unwrap();
    until_version(&agent, "noop", "0.3.0");
    assert_eq!((activations(&agent, "noop"), agent.plugin("noop").get("candidates")), (3, None));
}

#[test]
fn what_does_not_belong_into_the_folder_harms_nobody() {
    let harbour = Harbour::new();
    let configuration = configuration(&harbour);
    let root = harbour.path().join("drop");
    fs::create_dir(root.join("trouble.wasm")).unwrap();
    fs::write(root.join("..evil.wasm"), noop("0.1.0")).unwrap();
    fs::write(root.join("stranger.wasm"), noop("0.1.0")).unwrap();
    fs::write(root.join("upload-only.wasm"), noop("0.1.0")).unwrap();
    fs::write(root.join("A\u{1b}[2J.wasm"), noop("0.1.0")).unwrap();
    fs::write(root.join("noop.wasm"), noop("0.1.0")).unwrap();
    let agent = harbour.agent(&configuration);
    assert_eq!(agent.verdict("noop")["version"], "0.1.0");
    let trouble = agent.plugin("trouble");
    assert!(trouble["state"] == "failed" && trouble["reason"].as_str().unwrap().contains("it is no file"), "{trouble}");
    assert_eq!(agent.plugin("upload-only")["state"], "absent");
    let log = agent.log();
    assert!(
        !log.contains('\u{1b}')
            && log.contains("`upload-only` comes from uploads")
            && log.contains("no plugin is named `stranger`"),
        "{log}"
    );

    // The same version with other bytes is refused also here.
    fs::write(root.join("noop.wasm"), components::with_note(&noop("0.1.0"), "other")).unwrap();
    wait::until("the refusal", || Ok(agent.log().contains("is kept already and has other bytes").then_some(())))
        .unwrap();
    assert_eq!(activations(&agent, "noop"), 1);
}
