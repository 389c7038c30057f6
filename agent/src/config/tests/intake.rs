//! How new versions come in: `intake`, `signing`, `quarantine`, and what a plugin says of them.

use super::*;
use crate::config::{Quarantine, Source};

const KEY: &str = "RWR+wWPGiTA9DC8aOZlKD5hIkVqDzVK6249j0MshRuJ9c1S7Kj5gwTZ/";

#[test]
fn every_field_of_the_way_in_reaches_its_setting() {
    let config = parse(&format!(
        r#"
intake: {{ folder: ./drop, max_component: 4MiB, keep: 3, keep_size: 1GiB }}
signing: {{ keys: {{ release: {KEY} }}, required: true }}
quarantine: {{ faults: 2, first: 10s, longest: 10m }}
plugins:
  a: {{ source: upload, signed_by: [release] }}
  b: {{ source: folder }}
  c: {{ source: {{ file: c.wasm }} }}
"#
    ))
    .unwrap();
    assert_eq!(config.intake.folder.as_deref(), Some(Path::new("./drop")));
    let intake = &config.intake;
    assert_eq!((intake.max_component_bytes, intake.keep, intake.keep_bytes), (4 << 20, 3, 1 << 30));
    assert_eq!((config.signing.keys[0].name.as_str(), config.signing.required), ("release", true));
    let quarantine = Quarantine { faults: 2, first: Duration::from_secs(10), longest: Duration::from_secs(600) };
    assert_eq!(config.quarantine, quarantine);
    let sources: Vec<_> = config.plugins.values().map(|plugin| plugin.source.clone()).collect();
    assert_eq!(sources, [Source::Upload, Source::Folder, Source::File("c.wasm".into())]);
    let signed_by: Vec<_> = config.plugins.values().map(|plugin| plugin.signed_by.clone()).collect();
    assert_eq!(signed_by, [Some(vec!["release".to_owned()]), None, None]);
}

#[test]
fn without_a_word_nothing_comes_in_by_itself_and_nobody_is_trusted() {
    let config = parse("").unwrap();
    assert_eq!((config.intake.folder, config.intake.keep), (None, 10));
    assert!(config.signing.keys.is_empty() && !config.signing.required);
    assert_eq!((config.quarantine.faults, config.quarantine.longest), (5, Duration::from_secs(3600)));
    // A first time that is longer than the usual longest one is both.
    let config = parse("quarantine: { first: 2h }").unwrap();
    assert_eq!(config.quarantine.longest, Duration::from_secs(7200));
}

#[test]
fn each_mistake_earns_its_message() {
    let keys = format!("signing: {{ keys: {{ release: {KEY}, ops: {KEY} }} }}\n");
    let with_keys = |rest: &str| format!("{keys}{rest}");
    let table: &[(&str, String, &[&str])] = &[
        (
            "a source that is none",
            "plugins: { a: { source: uplaod }, b: { source: oci } }".to_owned(),
            &[
                "1:25: plugins.a.source: `uplaod` is no source; choose from upload, folder (did you mean `upload`?), or write `{ file: PATH }`",
                "1:48: plugins.b.source: `oci` is no source; choose from upload, folder, or write `{ file: PATH }`",
            ],
        ),
        (
            "no folder",
            "plugins: { a: { source: folder } }".to_owned(),
            &["1:25: plugins.a.source: `intake.folder` says which folder that is, and is missing"],
        ),
        (
            "a key that is none",
            "signing: { keys: { release: hunter2 } }".to_owned(),
            &[
                "1:29: signing.keys.release: this is no public key of minisign; it is the second line of the `.pub` file, 56 characters that begin with `RW`",
            ],
        ),
        (
            "nobody could sign",
            "signing: { required: true }".to_owned(),
            &["1:22: signing.required: a signature is required, and `signing.keys` has no key that could be its"],
        ),
        (
            "an unknown key",
            with_keys("plugins: { a: { source: upload, signed_by: [relaese, ops] } }"),
            &[
                "2:45: plugins.a.signed_by[0]: there is no key `relaese`; choose from release, ops (did you mean `release`?)",
            ],
        ),
        (
            "a key where there are none",
            "plugins: { a: { source: upload, signed_by: [release] } }".to_owned(),
            &["1:45: plugins.a.signed_by[0]: there is no key `release`; `signing.keys` is empty"],
        ),
        (
            "no key named",
            with_keys("plugins: { a: { source: upload, signed_by: [] } }"),
            &["2:44: plugins.a.signed_by: it names no key; leave it out, or name one of `signing.keys`"],
        ),
        (
            "bounds",
            "intake: { keep: 1, max_component: 33MiB }\nquarantine: { faults: 0, first: 1m, longest: 30s }".to_owned(),
            &[
                "1:17: intake.keep: `1` is out of range; the least is 2, the most 100",
                "1:35: intake.max_component: `33MiB` is out of range; the least is 1KiB, the most 32MiB",
                "2:23: quarantine.faults: `0` is out of range; the least is 1, the most 1000",
                "2:46: quarantine.longest: `30s` is out of range; the least is 1m, the most 7d",
            ],
        ),
        (
            "a name of a key",
            format!("signing: {{ keys: {{ \"a b\": {KEY} }} }}"),
            &["1:20: signing.keys.a b: `a b` is no name for a key: use 1 to 64 letters, digits, `.`, `_`, `@` and `-`"],
        ),
    ];
    for (what, text, expected) in table {
        assert_eq!(problems_of(text), *expected, "{what}");
    }
}
