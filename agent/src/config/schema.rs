//! The configuration as a JSON Schema (draft 2020-12), with which editors complete and check it while it is written.
//!
//! It tells forms: fields, types, units, bounds. What needs more than one place of the file, such as a grant on a target
//! that is not configured, is for `paramedic config check`. A test holds it against what the readers beside it accept.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::units::{show_duration, show_size};
use crate::domain::{Approvers, Effect, Limits, Missed, Operation, Overlap, Rate, Recordings, Role, System};

/// The schema of the whole file.
pub fn schema() -> Value {
    let mut schema = object(
        "Configuration of a Paramedic agent.",
        [
            optional("server", server()),
            optional("auth", auth()),
            optional("store", store()),
            optional("engine", engine()),
            optional("intake", intake()),
            optional("signing", signing()),
            optional("quarantine", quarantine()),
            optional("targets", targets()),
            optional("plugins", named("The plugins, by the names that they have in the API.", NAME, plugin())),
            optional("budgets", list("How much all plugins together may change.", budget())),
            optional("scheduler", scheduler()),
            optional("sweeps", named("Checks that run together, by name.", NAME, sweep())),
            optional("replicas", replicas()),
        ],
    );
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!("paramedic.yaml"));
    }
    schema
}

/// A whole number with its unit.
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// Names of targets and plugins.
const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// Names of objects of a cluster.
const OBJECT: &str = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$";

fn server() -> Value {
    let tls = object(
        "What connections are encrypted with: two files in PEM, taken anew when they change.",
        [
            required("certificate", file("The certificate, followed by those that vouch for it.")),
            required("key", file("Its private key.")),
        ],
    );
    object(
        "The HTTP API.",
        [
            optional("listen", with_default(text("IP address and port; port 0 takes a free one."), "127.0.0.1:7117")),
            optional("tls", tls),
            optional("allow_remote", switch("Accept an address that other machines reach although there is no TLS.")),
            optional("max_body_bytes", size("Largest body of a request, up to 64MiB.", 1 << 20)),
            optional("max_concurrent_runs", whole("Runs under way at the same time.", 1..=1024, 64)),
        ],
    )
}

fn auth() -> Value {
    let digest = json!({
        "type": "string",
        "pattern": "^(sha256:)?[0-9a-fA-F]{64}$",
        "description": "Digest of the token under the key; `paramedic token new` makes a token with its entry.",
    });
    let name = json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9._@-]{1,64}$",
        "description": "Name under which runs are recorded.",
    });
    let role = json!({
        "enum": Role::ALL.map(Role::as_str),
        "description": "What it may do: read, also run and cancel, or everything.",
    });
    let expires = json!({
        "type": "string",
        "description": "When it stops being good, such as 2027-01-31T00:00:00Z.",
    });
    let token = object(
        "Someone who may ask.",
        [
            required("name", name),
            required("role", role),
            optional("expires", expires),
            required("hmac", digest),
            optional("rate", rate("How often it may ask.")),
        ],
    );
    let audience = text("What their tokens have to be made for; not what the API server takes for itself.");
    let kubernetes = object(
        "Those whom a cluster knows may ask what its Roles let them do with `plugins.paramedic.dev`.",
        [
            required(
                "target",
                text("The Kubernetes target whose API server is asked, in whose namespace the Roles lie."),
            ),
            optional("audience", with_default(audience, "paramedic")),
            optional("rate", rate("How often each of them may ask; like the tokens unless it says otherwise.")),
        ],
    );
    object(
        "Who may ask. Without a token or a cluster nobody may.",
        [
            optional("key", secret("The key of the tokens' digests, of 32 bytes or more.")),
            optional("rate", rate("How often each token may ask.")),
            optional("tokens", list("The tokens.", token)),
            optional("kubernetes", kubernetes),
        ],
    )
}

fn rate(about: &str) -> Value {
    let Rate { per_minute, burst } = Rate::DEFAULT;
    object(
        about,
        [
            optional("per_minute", whole("Requests in a minute.", 1..=6_000_000, per_minute.into())),
            optional("burst", whole("Requests at once.", 1..=1_000_000, burst.into())),
        ],
    )
}

fn store() -> Value {
    let retain = object(
        "Finished runs beyond either bound are forgotten, the oldest first.",
        [
            optional("age", duration("Longest time that a finished run is kept.", 30 * DAY)),
            optional("size", size("How large the database may grow, 1MiB to 1024GiB.", 1 << 30)),
        ],
    );
    object(
        "The agent's own database.",
        [optional("path", with_default(text("The file."), "paramedic.db")), optional("retain", retain)],
    )
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn engine() -> Value {
    let cache = text("Directory of compiled plugins; nobody but the agent's user may write there.");
    object(
        "How plugins are compiled and run.",
        [
            optional("cache", with_default(cache, "cache")),
            optional("guest_threads", whole("Threads for plugins that compute for long.", 1..=64, 2)),
        ],
    )
}

fn intake() -> Value {
    let folder = "Watched directory of plugins whose `source` is `folder`; also a mounted ConfigMap or Secret.";
    object(
        "How new versions of plugins come in, and how many are kept.",
        [
            optional("folder", text(folder)),
            optional("max_component", size("Largest component, uncompressed, 1KiB to 32MiB.", 32 << 20)),
            optional("keep", whole("Versions of one plugin.", 2..=100, 10)),
            optional("keep_size", size("All versions of one plugin together, 1MiB to 16GiB.", 256 << 20)),
        ],
    )
}

fn signing() -> Value {
    let key = json!({
        "type": "string",
        "pattern": "^RW[A-Za-z0-9+/]{54}$",
        "description": "The second line of the file `.pub` that minisign made.",
    });
    object(
        "Whose signatures count.",
        [
            optional("keys", named("Public keys of minisign, by names of your own.", "^[A-Za-z0-9._@-]{1,64}$", key)),
            optional("required", switch("Take no plugin without a signature by one of the keys.")),
        ],
    )
}

fn quarantine() -> Value {
    let (first, longest) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
    object(
        "When a plugin that keeps failing by its own fault is held back.",
        [
            optional("faults", whole("Faults in a row.", 1..=1000, 5)),
            optional("first", duration("How long it is held back; twice as long each further time. 1s to 1d.", first)),
            optional("longest", duration("How long it is held back at most, from `first` to 7d.", longest)),
        ],
    )
}

fn targets() -> Value {
    let target = |system: System, target| {
        let about = format!("{system} targets, by the names that grants use.");
        optional(system.as_str(), named(&about, NAME, target))
    };
    object(
        "The systems that plugins can be granted.",
        [
            target(System::Postgres, postgres()),
            target(System::Redis, redis()),
            target(System::Queue, queue()),
            target(System::Http, http()),
            target(System::Kubernetes, kubernetes()),
        ],
    )
}

fn postgres() -> Value {
    let pattern = text("A pattern of the names that applications give themselves; `*` stands for any characters.");
    let protected = list("Applications whose sessions nobody ends; in place of those that are known.", pattern);
    object(
        "A Postgres server.",
        [
            required("url", secret("postgres://user:password@host:port/database of a login of least privilege.")),
            optional(
                "signal_url",
                secret("The same server with the login that may cancel statements and end sessions."),
            ),
            optional("protected", protected),
            optional("pool", whole("Most connections.", 1..=64, 4)),
            optional("allow_superuser", switch("Use a login that has a superuser's rights.")),
            optional("ca", file("Certificates in PEM that are trusted instead of the system's.")),
        ],
    )
}

fn redis() -> Value {
    object(
        "A Redis server.",
        [
            required("url", secret("redis://user:password@host:port/database, or rediss:// for TLS.")),
            optional("ca", file("Certificates in PEM that are trusted instead of the system's.")),
        ],
    )
}

fn queue() -> Value {
    let mut queue = object(
        "A job queue.",
        [
            required("redis", text("The Redis target that holds the queue.")),
            optional("prefix", with_default(text("Prefix of its keys."), "bull")),
            required("name", text("Name of the queue.")),
            optional("bullmq", json!({ "enum": [3, 4, 5, 6], "description": "Major version of the workers' BullMQ." })),
            optional("bull", json!({ "const": 4, "description": "For the older library of that name." })),
        ],
    );
    if let Some(queue) = queue.as_object_mut() {
        queue.insert("oneOf".to_owned(), json!([{ "required": ["bullmq"] }, { "required": ["bull"] }]));
    }
    queue
}

fn http() -> Value {
    let value = secret("The value of the header.");
    let method = || json!({ "enum": ["POST", "PUT", "PATCH", "DELETE"] });
    let path = || json!({ "type": "string", "pattern": "^/[^*?#]*$", "description": "An exact path below the base." });
    let undo = object(
        "The request that takes it back; it has no body.",
        [required("method", method()), required("path", path())],
    );
    let inverse = object(
        "A request, and what takes it back.",
        [required("method", method()), required("path", path()), required("undo", undo)],
    );
    object(
        "A web service.",
        [
            required("base_url", text("Origin and base path, without credentials, query and fragment.")),
            optional("headers", named("Headers that the agent adds to each request.", "", value)),
            optional("allow_private", switch("Allow addresses of private networks and of this machine.")),
            optional("ca", file("Certificates in PEM that are trusted in addition to the system's.")),
            optional("inverses", list("Requests that can be taken back, one entry for each method and path.", inverse)),
        ],
    )
}

fn kubernetes() -> Value {
    object(
        "A namespace of a Kubernetes cluster.",
        [
            required("namespace", text("The namespace; nothing outside of it is looked at.")),
            optional(
                "kubeconfig",
                secret("A kubeconfig with a token or a certificate; the pod's service account without it."),
            ),
            optional("context", text("The context of the kubeconfig; its current one where missing.")),
        ],
    )
}

fn plugin() -> Value {
    let source = json!({
        "description": "Where its component comes from: a file, the watched folder, or whoever may push it over the API.",
        "oneOf": [{ "enum": ["upload", "folder"] }, file("The component.")],
    });
    let signed_by = json!({
        "type": ["array", "null"],
        "minItems": 1,
        "items": text("Name of one of `signing.keys`."),
        "description": "The keys of which one has to have signed it.",
    });
    let approval = json!({
        "enum": Approvers::ALL.map(Approvers::as_str),
        "default": Approvers::None.as_str(),
        "description": "How many people who did not ask for a plan have to approve it.",
    });
    let cooldown = json!({
        "type": "string",
        "pattern": DURATION,
        "description": "How long it leaves a target alone that it has changed, 1s to 7d.",
    });
    let recordings = json!({
        "enum": Recordings::ALL.map(Recordings::as_str),
        "default": Recordings::default().as_str(),
        "description": "Which of its runs are recorded: none, those that plan or apply changes, or all.",
    });
    let settings = json!({ "type": "string", "description": "A text that the plugin reads by this name." });
    object(
        "A plugin.",
        [
            required("source", source),
            optional("signed_by", signed_by),
            optional("grants", list("What it may do. Nothing is allowed that is not granted.", grant())),
            optional("approval", approval),
            optional("cooldown", cooldown),
            optional("recordings", recordings),
            optional(
                "params",
                json!({ "type": ["object", "null"], "description": "Parameters where a request names none." }),
            ),
            optional("settings", named("What the `config` interface answers.", "", settings)),
            optional("limits", limits()),
        ],
    )
}

/// One form for each system, because verbs and bounds depend on it.
fn grant() -> Value {
    let form = |system: System| {
        let verbs: Vec<_> = Operation::of_system(system).map(Operation::verb).collect();
        let verbs = json!({ "type": "array", "minItems": 1, "uniqueItems": true, "items": { "enum": verbs } });
        let target = text("Name of the target.");
        json!({ "required": [system.as_str()], "properties": { system.as_str(): target, "verbs": verbs } })
    };
    let patterns = |about: &str| list(about, json!({ "type": "string" }));
    let number = |about: &str| json!({ "type": "integer", "minimum": 1, "description": about });
    let length = |about: &str| json!({ "type": "string", "pattern": DURATION, "description": about });
    let mut grant = object(
        "Verbs on one target, within bounds.",
        System::ALL.map(|system| optional(system.as_str(), text("Name of the target."))).into_iter().chain([
            required("verbs", json!({ "type": "array", "description": "What may be done with the target." })),
            optional("keys", patterns("Redis keys that may be looked at; `*` stands for any characters.")),
            optional("paths", patterns("HTTP paths; `*` stands for any characters of a segment, `/**` for all below.")),
            optional(
                "resources",
                list("Resources of Kubernetes, such as pods or deployments.apps.", json!({ "type": "string" })),
            ),
            optional("per_run", number("Most things (sessions, keys, jobs, requests) that one run may touch.")),
            optional("per_hour", number("Most things that all runs may touch within an hour; ten times `per_run`.")),
            optional("users", patterns("Roles whose sessions may be ended; all that are not protected where missing.")),
            optional("applications", patterns("Applications whose sessions may be ended; all that are not protected.")),
            optional("min_age", length("Least age of failed jobs, or idle time of keys, that may be touched.")),
            optional("ttl", text("Shortest and longest time to live that keys may be given, such as 10m..1d.")),
            optional("methods", list("Methods of requests.", json!({ "enum": ["POST", "PUT", "PATCH", "DELETE"] }))),
            optional("objects", patterns("Objects that may be touched, such as deployment/api or pod/api-*.")),
            optional("replicas", text("Fewest and most replicas that a workload may be given, such as 2..20.")),
            optional(
                "variables",
                patterns("Environment variables, such as CACHE_TTL, or POOL_MAX=1..50 for a number."),
            ),
            optional("images", patterns("Images that containers may be given; `*` stands for any characters.")),
            optional("cpu", text("Least and most processor share of a container, such as 100m..4.")),
            optional("memory", text("Least and most memory of a container, such as 128Mi..8Gi.")),
        ]),
    );
    if let Some(grant) = grant.as_object_mut() {
        grant.insert("oneOf".to_owned(), Value::Array(System::ALL.map(form).to_vec()));
    }
    grant
}

fn budget() -> Value {
    let systems = System::ALL.map(System::as_str).join("|");
    let target = json!({
        "type": "string",
        "pattern": format!("^({systems})/.+$"),
        "description": "The target, with its system before it, such as postgres/main.",
    });
    let verbs: Vec<_> =
        Operation::ALL.iter().filter(|verb| verb.effect() == Effect::Change).map(|verb| verb.verb()).collect();
    let verbs = json!({
        "type": "array",
        "minItems": 1,
        "uniqueItems": true,
        "items": { "enum": verbs },
        "description": "What is counted, all of it together.",
    });
    let per_hour = json!({ "type": "integer", "minimum": 1, "description": "Most things touched within an hour." });
    object(
        "What all plugins together may touch of one target.",
        [required("target", target), required("verbs", verbs), required("per_hour", per_hour)],
    )
}

fn scheduler() -> Value {
    object(
        "What holds for all sweeps together.",
        [
            optional("max_parallel", whole("Checks at the same time.", 1..=1024, 48)),
            optional("max_parallel_per_target", whole("Checks at the same time on one target.", 1..=1024, 8)),
        ],
    )
}

fn replicas() -> Value {
    let object_name = |about: &str, default: &str| json!({ "type": "string", "pattern": OBJECT, "default": default, "description": about });
    object(
        "Others with the same configuration, of which one at a time does what is due.",
        [
            required("kubernetes", text("The target in whose namespace they share two objects.")),
            required("name", secret("How this replica is called; `{ env: POD_NAME }` in a pod.")),
            optional("lease", object_name("The Lease that says who leads.", "paramedic-leader")),
            optional("state", object_name("The ConfigMap with what they remember together.", "paramedic-state")),
            optional(
                "term",
                duration("For how long whoever leads does so without a word of it.", Duration::from_secs(15)),
            ),
            required("key", secret("With which values are sealed that records must not show: the same for all.")),
        ],
    )
}

fn sweep() -> Value {
    let words = |about: &str, all: Vec<&str>| json!({ "enum": all, "default": "skip", "description": about });
    let overlap = Overlap::ALL.iter().map(|word| word.as_str()).collect();
    let overlap = words("What becomes of a slot while it is still at work.", overlap);
    let missed = Missed::ALL.iter().map(|word| word.as_str()).collect();
    let missed = words("What becomes of slots that passed in the agent's absence.", missed);
    let params = json!({ "type": ["object", "null"], "description": "Parameters that go over those of the plugin." });
    let plugin = text("Name of the plugin.");
    let check = json!({
        "description": "A plugin by its name, or with parameters.",
        "oneOf": [plugin.clone(), object("", [required("plugin", plugin), optional("params", params)])],
    });
    let length = |about: &str| json!({ "type": "string", "pattern": DURATION, "description": about });
    object(
        "Checks that run together and give one verdict.",
        [
            optional("every", length("Run in this interval, from 1s.")),
            optional("cron", text("Run by this pattern of five fields, or @hourly and its like.")),
            optional("timezone", with_default(text("IANA name of the zone of `cron`."), "UTC")),
            optional("splay", length("Over how long after a slot the starts are spread.")),
            optional("overlap", overlap),
            optional("missed", missed),
            optional("starting_deadline", duration("A slot that is later than this is not started.", HOUR)),
            required("checks", list("Its checks, at least one.", check)),
            optional(
                "failure_threshold",
                whole("Verdicts in a row that are not ok, until it is believed.", 1..=1000, 3),
            ),
            optional("success_threshold", whole("Verdicts in a row that are ok, until it is believed.", 1..=1000, 1)),
            optional("reminder_interval", length("How often people are told again that it is critical.")),
            optional("low_flap_threshold", whole("Changes in percent below which it is steady.", 0..=100, 25)),
            optional("high_flap_threshold", whole("Changes in percent from which on it is flapping.", 1..=100, 30)),
            optional("max_parallel", whole("Its checks at the same time.", 1..=1024, 16)),
            optional("max_parallel_per_target", whole("Its checks at the same time on one target.", 1..=1024, 4)),
        ],
    )
}

fn limits() -> Value {
    let (default, most) = (Limits::DEFAULT, Limits::CEILING);
    let up_to = |about: &str, most: u64| format!("{about}, up to {}.", show_size(most));
    let bytes = |about: &str, default: usize, most: usize| size(&up_to(about, most as u64), default as u64);
    let deadline = format!("Time from start to end, waiting included, up to {}.", show_duration(most.deadline));
    let total = size(&up_to("All answers together", most.total_answer_bytes), default.total_answer_bytes);
    let count = |about: &str, default: u32, most: u32| whole(about, 1..=most.into(), default.into());
    let elements = whole("Elements of tables.", 1..=most.table_elements as u64, default.table_elements as u64);
    object(
        "What one run may use.",
        [
            optional("deadline", duration(&deadline, default.deadline)),
            optional("memory", bytes("Linear memory", default.memory_bytes, most.memory_bytes)),
            optional("table_elements", elements),
            optional("calls", count("Calls to targets.", default.calls, most.calls)),
            optional("answer", bytes("One answer to a call", default.answer_bytes, most.answer_bytes)),
            optional("total_answer", total),
            optional("log_lines", count("Lines of the log.", default.log_lines, most.log_lines)),
            optional("log", bytes("Text of the log", default.log_bytes, most.log_bytes)),
            optional("params", bytes("Parameters, as JSON", default.params_bytes, most.params_bytes)),
            optional("outcome", bytes("The verdict with its tables", default.outcome_bytes, most.outcome_bytes)),
        ],
    )
}

/// A field of an object.
struct Field {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

fn required(name: &'static str, schema: Value) -> Field {
    Field { name, schema, is_required: true }
}

fn optional(name: &'static str, schema: Value) -> Field {
    Field { name, schema, is_required: false }
}

/// A mapping with a fixed set of fields. Where all of them can be left out, so can the mapping.
fn object(about: &str, fields: impl IntoIterator<Item = Field>) -> Value {
    let (mut properties, mut needed) = (Map::new(), Vec::new());
    for field in fields {
        if field.is_required {
            needed.push(field.name);
        }
        properties.insert(field.name.to_owned(), field.schema);
    }
    let kind = if needed.is_empty() { json!(["object", "null"]) } else { json!("object") };
    json!({
        "type": kind,
        "description": about,
        "properties": properties,
        "required": needed,
        "additionalProperties": false,
    })
}

/// A mapping whose keys the operator chooses.
fn named(about: &str, pattern: &str, value: Value) -> Value {
    json!({
        "type": ["object", "null"],
        "description": about,
        "propertyNames": { "pattern": pattern },
        "additionalProperties": value,
    })
}

fn list(about: &str, item: Value) -> Value {
    json!({ "type": ["array", "null"], "description": about, "items": item })
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": about })
}

fn switch(about: &str) -> Value {
    json!({ "type": "boolean", "default": false, "description": about })
}

fn whole(about: &str, bounds: RangeInclusive<u64>, default: u64) -> Value {
    let (least, most) = bounds.into_inner();
    json!({ "type": "integer", "minimum": least, "maximum": most, "default": default, "description": about })
}

fn duration(about: &str, default: Duration) -> Value {
    json!({
        "type": "string",
        "pattern": DURATION,
        "default": show_duration(default),
        "description": about,
    })
}

fn size(about: &str, default: u64) -> Value {
    json!({
        "anyOf": [{ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }, { "type": "integer", "minimum": 1 }],
        "default": show_size(default),
        "description": about,
    })
}

fn with_default(mut schema: Value, default: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("default".to_owned(), json!(default));
    }
    schema
}

fn file(about: &str) -> Value {
    object(about, [required("file", text("Path of the file; a relative one begins at this file's directory."))])
}

/// A pointer to a secret.
fn secret(about: &str) -> Value {
    json!({
        "description": format!("A secret, which never stands in this file. {about}"),
        "oneOf": [
            object("", [required("env", text("Name of the environment variable that holds it."))]),
            file(""),
        ],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::field::known;
    use super::super::tests::samples;
    use super::*;

    /// The schema of the field at `path`, such as `plugins.pg-ready.grants[0]`.
    fn at<'a>(schema: &'a Value, path: &str) -> &'a Value {
        path.split('.').filter(|step| !step.is_empty()).fold(schema, |schema, step| {
            let (name, items) =
                step.split_once('[').map_or((step, 0), |(name, rest)| (name, rest.matches(']').count()));
            let named = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            (0..items).fold(as_mapping(named), |schema, _| as_mapping(&schema["items"]))
        })
    }

    /// Of what has several forms, the second is a mapping.
    fn as_mapping(schema: &Value) -> &Value {
        schema.get("oneOf").filter(|_| schema.get("properties").is_none()).map_or(schema, |forms| &forms[1])
    }

    #[test]
    fn it_has_the_fields_that_the_file_may_have_and_no_other() {
        let schema = schema();
        let seen = known(|| samples::parse_sample("paramedic.yaml", &samples::example()));
        let mut paths = BTreeSet::new();
        for (path, fields) in seen {
            let described: BTreeSet<_> =
                at(&schema, &path)["properties"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(described, fields.into_iter().collect(), "{path}");
            paths.insert(path);
        }
        for section in [
            "",
            "server.tls",
            "auth.tokens[0]",
            "auth.kubernetes",
            "store.retain",
            "engine",
            "intake",
            "signing",
            "quarantine",
            "budgets[0]",
            "plugins.pg-slow-queries.limits",
            "plugins.pg-outbox",
        ] {
            assert!(paths.contains(section), "the example has no `{section}`: {paths:?}");
        }
    }

    #[test]
    fn what_the_agent_accepts_is_valid_and_what_it_refuses_for_its_form_is_not() {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let judged = |text: &str| {
            let document: Value = serde_saphyr::from_str(text).unwrap();
            validator
                .iter_errors(&document)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect::<Vec<_>>()
        };
        for text in samples::published() {
            assert_eq!(judged(&text), Vec::<String>::new(), "{text}");
        }
        for (text, place) in [
            ("servers: {}", ""),
            ("server: { listen: 7117 }", "/server/listen"),
            ("server: { max_concurrent_runs: 0 }", "/server/max_concurrent_runs"),
            ("server: { tls: { key: { file: k } } }", "/server/tls"),
            ("store: { retain: { age: 30 } }", "/store/retain/age"),
            ("targets: { postgres: { Main: { url: { env: U } } } }", "/targets/postgres"),
            ("targets: { postgres: { main: { url: \"postgres://u:p@h\" } } }", "/targets/postgres/main/url"),
            ("targets: { queue: { q: { redis: r, name: n } } }", "/targets/queue/q"),
            ("plugins: { p: { grants: [] } }", "/plugins/p"),
            ("plugins: { p: { source: push } }", "/plugins/p/source"),
            ("plugins: { p: { source: upload, signed_by: [] } }", "/plugins/p/signed_by"),
            ("signing: { keys: { release: RWshort } }", "/signing/keys/release"),
            ("intake: { keep: 1 }", "/intake/keep"),
            ("quarantine: { first: 60 }", "/quarantine/first"),
            (
                "plugins: { p: { source: { file: f }, grants: [{ postgres: m, verbs: [ping] }] } }",
                "/plugins/p/grants/0",
            ),
        ] {
            assert!(
                judged(text).iter().any(|error| error.starts_with(&format!("{place}:"))),
                "{text}: {:?}",
                judged(text)
            );
        }
    }
}
