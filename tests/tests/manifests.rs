//! The manifests in `deploy/kustomize`, held to the program that they start: whatever they say of it is asked of it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "the helpers of a test may")]

#[path = "manifests/kustomize.rs"]
mod kustomize;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use k8s_openapi::api::{apps, coordination, core, networking, policy, rbac};
use kustomize::{list, texts};
use paramedic::cli::{Cli, Command as Typed};
use paramedic::config::Config;
use paramedic_tests::agent::{self, Agent, Home};
use paramedic_tests::components;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const OVERLAYS: [&str; 3] = ["standalone", "replicas", "sidecar"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").canonicalize().unwrap()
}

fn overlay(name: &str) -> PathBuf {
    deploy().join("kustomize/overlays").join(name)
}

fn monitor() -> PathBuf {
    deploy().join("kustomize/components/service-monitor")
}

fn objects(name: &str) -> Vec<Value> {
    let with: &[PathBuf] = if name == "sidecar" { &[] } else { &[monitor()] };
    kustomize::build(&overlay(name), &with.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

fn find<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    let [one] = found.as_slice() else { panic!("{} objects are a {kind}", found.len()) };
    one
}

/// What makes the pods with the agent.
fn workload(objects: &[Value]) -> &Value {
    let is_one = |object: &&Value| object["kind"] == "Deployment" || object["kind"] == "StatefulSet";
    let found: Vec<_> = objects.iter().filter(is_one).collect();
    let [one] = found.as_slice() else { panic!("{} objects make pods", found.len()) };
    one
}

/// A pod with the agent in it.
struct Pod {
    objects: Vec<Value>,
    spec: Value,
    container: Value,
}

impl Pod {
    fn of(overlay: &str) -> Self {
        let objects = objects(overlay);
        let owner = workload(&objects);
        let mut spec = owner["spec"]["template"]["spec"].clone();
        // A claim for each pod is a volume of each.
        for claim in list(&owner["spec"]["volumeClaimTemplates"]) {
            let volume = json!({ "name": claim["metadata"]["name"], "persistentVolumeClaim": {} });
            spec["volumes"].as_array_mut().unwrap().push(volume);
        }
        let mut all = list(&spec["containers"]).iter().chain(list(&spec["initContainers"]));
        let container = all.find(|container| container["name"] == "paramedic").unwrap().clone();
        Self { objects, spec, container }
    }

    /// The configuration that the container is started with: where it lies in the pod, and its text.
    fn configuration(&self) -> (String, String) {
        let words = [vec!["paramedic".to_owned()], texts(&self.container["args"])].concat();
        let Typed::Serve(serve) = Cli::try_parse_from(words).unwrap().command else { panic!("it does not serve") };
        let path = serve.config.to_str().unwrap().to_owned();
        let (mount, rest) = self.mount(&path);
        let name = &self.volume(mount)["configMap"]["name"];
        let is_it = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == *name;
        let map = self.objects.iter().find(is_it).unwrap();
        let text = map["data"][rest].as_str().unwrap().to_owned();
        (path, text)
    }

    /// The mount that a path is below, and the rest of the path.
    fn mount<'p>(&self, path: &'p str) -> (&Value, &'p str) {
        let below = |mount: &&Value| path.strip_prefix(mount["mountPath"].as_str().unwrap());
        let mounts = list(&self.container["volumeMounts"]).iter();
        let mount = mounts.filter(|mount| below(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        let mount = mount.max_by_key(|mount| mount["mountPath"].as_str().unwrap().len());
        let mount = mount.unwrap_or_else(|| panic!("nothing is mounted where {path} is"));
        (mount, below(&mount).unwrap().trim_start_matches('/'))
    }

    fn volume(&self, mount: &Value) -> &Value {
        list(&self.spec["volumes"]).iter().find(|volume| volume["name"] == mount["name"]).unwrap()
    }

    /// A folder with the pod's file system as far as the agent sees it, and the configuration in it. Volumes can be written by the
    /// pod's group, as the kubelet makes them.
    fn unpack(&self, listen: Option<&str>) -> (Home, PathBuf) {
        let home = Home::new().unwrap();
        let root = home.path().to_str().unwrap().to_owned();
        for mount in list(&self.container["volumeMounts"]) {
            let path = home.path().join(mount["mountPath"].as_str().unwrap().trim_start_matches('/'));
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o2775)).unwrap();
        }
        let (path, mut text) = self.configuration();
        home.write("run/secrets/paramedic/token-key", &"k".repeat(32)).unwrap();
        home.write("run/secrets/paramedic/replicas-key", &"r".repeat(32)).unwrap();
        home.write("etc/paramedic-pod/name", "paramedic-0").unwrap();
        if text.contains("paramedic-tls") {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            home.write("run/secrets/paramedic-tls/tls.crt", &made.cert.pem()).unwrap();
            home.write("run/secrets/paramedic-tls/tls.key", &made.signing_key.serialize_pem()).unwrap();
        }
        let built = components::plugin("k8s-pods").unwrap();
        text = text.replace("/usr/share/paramedic/plugins", built.parent().unwrap().to_str().unwrap());
        for folder in ["/etc/", "/run/", "/var/"] {
            text = text.replace(&format!(" {folder}"), &format!(" {root}{folder}"));
        }
        if let Some(listen) = listen {
            let line = text.lines().find(|line| line.starts_with("  listen: ")).unwrap().to_owned();
            text = text.replace(&line, &format!("  listen: {listen}"));
        }
        let path = path.trim_start_matches('/');
        home.write(path, &text).unwrap();
        let path = home.path().join(path);
        (home, path)
    }

    fn config(&self) -> Config {
        let (_home, path) = self.unpack(None);
        Config::load(&path).unwrap()
    }
}

/// A known type that has every field which the manifest has.
fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), *object, "a field is not known");
    read
}

#[test]
fn the_kustomizations_expand_here_as_kubectl_expands_them() {
    for name in OVERLAYS {
        let expanded = kustomize::sorted(kustomize::build(&overlay(name), &[]));
        match kustomize::by_kubectl(&overlay(name)) {
            Some(objects) => assert_eq!(expanded, kustomize::sorted(objects), "{name}"),
            None => println!("not compared: there is no kubectl with kustomize 5"),
        }
    }
}

#[test]
fn every_object_is_one_that_a_cluster_knows() {
    for object in OVERLAYS.iter().flat_map(|name| objects(name)) {
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => drop(typed::<core::v1::ServiceAccount>(&object)),
            "ConfigMap" => drop(typed::<core::v1::ConfigMap>(&object)),
            "Service" => drop(typed::<core::v1::Service>(&object)),
            "PersistentVolumeClaim" => drop(typed::<core::v1::PersistentVolumeClaim>(&object)),
            "Deployment" => drop(typed::<apps::v1::Deployment>(&object)),
            "StatefulSet" => drop(typed::<apps::v1::StatefulSet>(&object)),
            "Lease" => drop(typed::<coordination::v1::Lease>(&object)),
            "Role" => drop(typed::<rbac::v1::Role>(&object)),
            "RoleBinding" => drop(typed::<rbac::v1::RoleBinding>(&object)),
            "ClusterRoleBinding" => drop(typed::<rbac::v1::ClusterRoleBinding>(&object)),
            "NetworkPolicy" => drop(typed::<networking::v1::NetworkPolicy>(&object)),
            "PodDisruptionBudget" => drop(typed::<policy::v1::PodDisruptionBudget>(&object)),
            "ServiceMonitor" => assert_eq!(object["apiVersion"], "monitoring.coreos.com/v1"),
            kind => panic!("{kind} is not compared with a type"),
        }
    }
}

#[test]
fn the_configurations_are_right_and_the_role_is_the_one_that_they_need() {
    for name in OVERLAYS {
        let folder = if name == "replicas" { overlay(name) } else { deploy().join("kustomize/base") };
        let printed = fs::read_to_string(folder.join("rbac.yaml")).unwrap();
        let pod = Pod::of(name);
        let (_home, path) = pod.unpack(None);
        let paramedic = |words: &[&str]| {
            Command::new(agent::program().unwrap()).args(words).arg("--config").arg(&path).output().unwrap()
        };
        let checked = paramedic(&["config", "check"]);
        assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let account = pod.spec["serviceAccountName"].as_str().unwrap();
        let namespace = find(&pod.objects, "Role")["metadata"]["namespace"].as_str().unwrap();
        let role = paramedic(&["rbac", "--service-account", &format!("{namespace}/{account}")]);
        assert_eq!(
            String::from_utf8_lossy(&role.stdout),
            printed,
            "{name}: print {} again",
            folder.join("rbac.yaml").display()
        );
        let existing = find(&pod.objects, "ServiceAccount");
        assert_eq!(
            existing["metadata"],
            json!({ "name": account, "namespace": namespace, "labels": existing["metadata"]["labels"] })
        );
    }
}

#[test]
fn every_path_of_a_configuration_is_mounted_and_only_the_agents_own_can_be_written() {
    fn paths(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.values().for_each(|value| paths(value, found)),
            Value::Array(items) => items.iter().for_each(|item| paths(item, found)),
            Value::String(text) if text.starts_with('/') => found.push(text.clone()),
            _ => {}
        }
    }
    for name in OVERLAYS {
        let pod = Pod::of(name);
        let configuration: Value = serde_saphyr::from_str(&pod.configuration().1).unwrap();
        let mut found = Vec::new();
        paths(&configuration, &mut found);
        let own = [&configuration["store"]["path"], &configuration["engine"]["cache"]];
        assert!(found.len() > own.len() && own.iter().all(|path| path.is_string()), "{found:?}");
        for path in found {
            if path.starts_with("/usr/share/paramedic/plugins/") {
                continue;
            }
            let (mount, _) = pod.mount(&path);
            let is_own = own.iter().any(|own| **own == path.as_str());
            assert_eq!(mount["readOnly"] != true, is_own, "{name}: {path}");
            let volume = pod.volume(mount);
            let keeps = ["persistentVolumeClaim", "emptyDir"].iter().any(|kind| !volume[kind].is_null());
            assert_eq!(keeps, is_own, "{name}: {path} is on {volume}");
        }
        if let Some(claim) =
            pod.volume(pod.mount("/var/lib/paramedic/x").0)["persistentVolumeClaim"]["claimName"].as_str()
        {
            assert_eq!(find(&pod.objects, "PersistentVolumeClaim")["metadata"]["name"], claim);
        }
        // A mount in a mount that cannot be written would have no place to be.
        for mount in list(&pod.container["volumeMounts"]) {
            let path = mount["mountPath"].as_str().unwrap();
            let inside = list(&pod.container["volumeMounts"]).iter().any(|other| {
                path.strip_prefix(other["mountPath"].as_str().unwrap()).is_some_and(|rest| rest.starts_with('/'))
            });
            assert!(!inside, "{name}: {path} is inside another mount");
        }
    }
}

#[test]
fn the_agent_of_each_overlay_starts_and_answers_its_probes() {
    for name in OVERLAYS {
        let pod = Pod::of(name);
        let address = agent::free_address().unwrap();
        let (home, path) = pod.unpack(Some(&address));
        let text = fs::read_to_string(path).unwrap();
        let is_encrypted = text.contains("paramedic-tls");
        let agent = if is_encrypted {
            Agent::start_encrypted(home, &text, &address).unwrap()
        } else {
            Agent::start(home, &text, &address).unwrap()
        };
        let probes = ["startupProbe", "readinessProbe", "livenessProbe"].map(|probe| &pod.container[probe]);
        for probe in probes.into_iter().filter(|probe| !probe.is_null()) {
            if probe["exec"].is_null() {
                assert_eq!(probe["httpGet"]["scheme"] == "HTTPS", is_encrypted, "{name}");
                assert_eq!(probe["httpGet"]["port"], "api");
                let path = probe["httpGet"]["path"].as_str().unwrap();
                assert!(["/healthz", "/readyz"].contains(&path), "{name}: {path}");
            } else {
                let command = texts(&probe["exec"]["command"]);
                assert_eq!(command[0], "/usr/bin/paramedic");
                let asked = |server: &str| {
                    let program = agent::program().unwrap();
                    Command::new(program).args(&command[1..]).args(["--server", server]).status().unwrap().success()
                };
                assert!(asked(&agent.url()), "{name}: {command:?}");
                assert!(!asked(&format!("http://{}", agent::free_address().unwrap())), "{name}: {command:?}");
            }
        }
        if !is_encrypted {
            let described = agent.api(None).get("/openapi.json", &[]).unwrap().json().unwrap();
            let monitored = kustomize::read(&monitor().join("service-monitor.yaml")).remove(0);
            let scraped = monitored["spec"]["endpoints"][0]["path"].as_str().unwrap().to_owned();
            for path in ["/healthz", "/readyz", scraped.as_str()] {
                assert!(!described["paths"][path]["get"].is_null(), "{path} is no route");
            }
        }
    }
}

#[test]
fn ports_and_selectors_lead_from_one_object_to_the_next() {
    for name in ["standalone", "replicas"] {
        assert_ports_and_selectors(name);
    }
    let pod = Pod::of("sidecar");
    assert!(pod.config().server.listen.ip().is_loopback() && pod.container["ports"].is_null());
    assert_eq!(pod.container["restartPolicy"], "Always");
    assert_eq!(pod.spec["initContainers"].as_array().unwrap().len(), 1);
    assert_eq!(list(&pod.spec["containers"])[0]["name"], "api");
}

#[track_caller]
fn assert_ports_and_selectors(name: &str) {
    let pod = Pod::of(name);
    let listen = pod.config().server.listen;
    assert_eq!(list(&pod.container["ports"]), [json!({ "name": "api", "containerPort": listen.port() })]);
    let owner = workload(&pod.objects);
    let labels = &owner["spec"]["template"]["metadata"]["labels"];
    assert_eq!(owner["spec"]["selector"]["matchLabels"], *labels);
    let (service, scraped) = (find(&pod.objects, "Service"), find(&pod.objects, "ServiceMonitor"));
    assert_eq!(service["spec"]["selector"], *labels);
    let port = &service["spec"]["ports"][0];
    assert_eq!(
        (&port["name"], &port["targetPort"], &port["port"]),
        (&json!("api"), &json!("api"), &json!(listen.port()))
    );
    let endpoint = &scraped["spec"]["endpoints"][0];
    assert_eq!((&endpoint["port"], endpoint["scheme"] == "https"), (&port["name"], pod.config().server.tls.is_some()));
    assert_eq!(scraped["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]);
    let job = scraped["spec"]["jobLabel"].as_str().unwrap();
    let alerts = fs::read_to_string(deploy().join("monitoring/paramedic.rules.yaml")).unwrap();
    let job = service["metadata"]["labels"][job].as_str().unwrap();
    assert!(alerts.contains(&format!("up{{job=\"{job}\"}}")), "the alerts look for another job than {job}");
    let (policy, budget) = (find(&pod.objects, "NetworkPolicy"), find(&pod.objects, "PodDisruptionBudget"));
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], *labels);
    assert_eq!(policy["spec"]["ingress"][0]["ports"], json!([{ "protocol": "TCP", "port": "api" }]));
    assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
}

#[test]
fn what_replicas_share_is_there_and_alone_agents_have_none_of_it() {
    for name in OVERLAYS {
        let pod = Pod::of(name);
        let Some(replicas) = pod.config().replicas else {
            assert_ne!(name, "replicas");
            assert!(pod.objects.iter().all(|object| object["kind"] != "Lease"), "{name}");
            assert!(workload(&pod.objects)["spec"]["replicas"].as_u64().unwrap_or(1) == 1 || name == "sidecar");
            continue;
        };
        assert!(workload(&pod.objects)["spec"]["replicas"].as_u64().unwrap() > 1);
        assert_eq!(workload(&pod.objects)["spec"]["serviceName"], find(&pod.objects, "Service")["metadata"]["name"]);
        assert_eq!(find(&pod.objects, "Lease")["metadata"]["name"], replicas.lease);
        let is_state = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == replicas.state;
        let state = pod.objects.iter().find(is_state).unwrap();
        // What is applied again must not say anything about what the agents wrote.
        assert!(state["data"].is_null(), "{state}");
    }
}

#[test]
fn the_agent_has_no_rights_that_it_does_not_need() {
    for name in OVERLAYS {
        let Pod { spec, container, .. } = Pod::of(name);
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        let own = &container["securityContext"];
        let effective = |field: &str| if own[field].is_null() { &spec["securityContext"][field] } else { &own[field] };
        assert_eq!(effective("runAsNonRoot"), true, "{name}");
        assert!(effective("runAsUser").as_u64().unwrap() > 0, "{name}");
        assert_eq!(effective("seccompProfile"), &json!({ "type": "RuntimeDefault" }), "{name}");
        assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(own["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec[field].is_null(), "{name}: {field}");
        }
        // No other container gets at the agent's token or its secrets.
        let private = |mount: &Value| mount["mountPath"].as_str().unwrap().contains("secrets");
        for other in list(&spec["containers"]).iter().filter(|other| other["name"] != "paramedic") {
            assert!(!list(&other["volumeMounts"]).iter().any(private), "{name}: {}", other["name"]);
        }
    }
}

#[test]
fn there_is_memory_for_every_run_that_may_be_under_way() {
    const MIB: u64 = 1 << 20;
    for name in OVERLAYS {
        let pod = Pod::of(name);
        let config = pod.config();
        let of_run = config.plugins.values().map(|plugin| plugin.limits.memory_bytes as u64).max().unwrap();
        // What `just bench` allows the idle program with twenty plugins, in measure 10.
        let needed = 40 * MIB + config.server.max_concurrent_runs as u64 * of_run;
        assert_eq!(pod.container["resources"]["limits"], json!({ "memory": "1Gi" }));
        assert!(needed + 256 * MIB <= 1024 * MIB, "{name}: {needed}");
    }
}

#[test]
fn the_image_is_the_one_that_the_manifests_expect() {
    let image = fs::read_to_string(deploy().join("Containerfile")).unwrap();
    let toolchain = fs::read_to_string(deploy().join("../rust-toolchain.toml")).unwrap();
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    assert!(image.contains(&format!("/rust:{channel}-")), "another Rust than {channel}");
    let line = |word: &str| image.lines().filter_map(|line| line.strip_prefix(word)).next_back().unwrap().trim();
    let words = |word: &str| texts(&serde_json::from_str(line(word)).unwrap());
    let pods = OVERLAYS.map(Pod::of);
    for pod in &pods {
        assert_eq!(pod.container["image"], concat!("paramedic:", env!("CARGO_PKG_VERSION")));
        assert_eq!(words("CMD"), texts(&pod.container["args"]));
        assert!(pod.container["command"].is_null());
    }
    assert_eq!(words("ENTRYPOINT"), ["/usr/bin/paramedic"]);
    assert_eq!(line("EXPOSE"), pods[0].config().server.listen.port().to_string());
    let user = &pods[0].spec["securityContext"];
    assert_eq!(line("USER"), format!("{}:{}", user["runAsUser"], user["runAsGroup"]));
    assert!(image.contains("/image/usr/share/paramedic/plugins/") && image.contains("/image/usr/bin/paramedic"));
}
