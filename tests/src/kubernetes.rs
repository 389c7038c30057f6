//! Where a scenario of a cluster stands: a namespace of its own, with nothing in it yet, and an administrator's hand in it.
//!
//! ```text
//! Stage::stand_in()   the stand-in in this process; its controllers go by themselves
//! Stage::real(…)      KUBECONFIG and PARAMEDIC_TEST_NAMESPACE: that cluster
//!                     KUBEBUILDER_ASSETS: etcd and a control plane from that folder, with nodes that we play
//! ```
//!
//! All of them are reached in the same way, over the wire by a kubeconfig, so what a scenario does on one it does on every other. A
//! [`Stage`] takes its namespace along when it is dropped, also when the scenario failed. [`scenarios!`](crate::scenarios) makes the
//! tests of both kinds from one list. `server` is the client, `nodes` plays the kubelet where there is no node, `control_plane` starts
//! what is in `KUBEBUILDER_ASSETS`.

#![expect(clippy::indexing_slicing, reason = "only JSON is indexed, where what is not there is null")]

mod control_plane;
mod nodes;
mod server;
mod stand_in;

use std::io::Write;
use std::sync::Once;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

pub use control_plane::ControlPlane;
use nodes::Nodes;
use server::Server;
pub use stand_in::Served;
use stand_in::StandIn;

use crate::{secret, wait};

const KUBECONFIG: &str = "KUBECONFIG";
const NAMESPACE: &str = "PARAMEDIC_TEST_NAMESPACE";
const SIMULATED_NODES: &str = "PARAMEDIC_TEST_SIMULATED_NODES";
const IMAGES: &str = "PARAMEDIC_TEST_IMAGES";

/// On every namespace that is made here, for whoever finds one that was left by a test that was killed.
const LABEL: &str = "paramedic.dev/test";

/// Where images are that nobody pulls.
const MADE_UP: &str = "example.invalid/";

/// What pods are made of where nobody looks at it.
const MADE_UP_IMAGES: &str = "example.invalid/api:1 example.invalid/api:2";

/// What pods are made of on nodes that pull it: two versions of something with a shell, which every node can reach.
const REAL_IMAGES: &str = "docker.io/library/busybox:1.36 docker.io/library/busybox:1.37";

/// The workloads that the scenarios are about.
const SHOP: &str = include_str!("kubernetes/shop.yaml");

/// What a scenario needs beside an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: objects are stored and rights are kept.
    Api,
    /// Somebody who makes pods of Deployments, and nodes on which they run.
    Controllers,
}

/// The images of a stage.
#[derive(Clone, Debug)]
pub struct Images {
    /// What `api` runs at first.
    pub first: String,
    /// What it can run as well.
    pub second: String,
    /// What no node can pull.
    pub bad: String,
    /// A pattern for all of these.
    pub all: String,
}

/// A namespace of a cluster for one scenario.
#[derive(Debug)]
pub struct Stage {
    server: Server,
    namespace: String,
    images: Images,
    has_controllers: bool,
    // Dropped in this order, after the namespace is gone.
    nodes: Option<Nodes>,
    stand_in: Option<StandIn>,
}

/// Makes two tests of each scenario, a function that takes a [`Stage`]: one on the stand-in, and one on a real control plane, which
/// tells that it did not run where there is none.
#[macro_export]
macro_rules! scenarios {
    (api: [$($plain:ident),* $(,)?], controllers: [$($driven:ident),* $(,)?] $(,)?) => {
        mod on_the_stand_in {
            $(#[test]
            fn $plain() {
                super::$plain($crate::kubernetes::Stage::stand_in().unwrap());
            })*
            $(#[test]
            fn $driven() {
                super::$driven($crate::kubernetes::Stage::stand_in().unwrap());
            })*
        }
        mod on_a_control_plane {
            $(#[test]
            fn $plain() {
                if let Some(stage) = $crate::kubernetes::Stage::real($crate::kubernetes::Needs::Api).unwrap() {
                    super::$plain(stage);
                }
            })*
            $(#[test]
            fn $driven() {
                if let Some(stage) = $crate::kubernetes::Stage::real($crate::kubernetes::Needs::Controllers).unwrap() {
                    super::$driven(stage);
                }
            })*
        }
    };
}

impl Stage {
    /// A cluster in this process, for this scenario alone.
    pub fn stand_in() -> anyhow::Result<Self> {
        let stand_in = StandIn::start()?;
        let mut stage = Self::open(Server::of(stand_in.kubeconfig())?, "paramedic-test", MADE_UP_IMAGES)?;
        stage.stand_in = Some(stand_in);
        Ok(stage)
    }

    /// The control plane that the environment names. None if it names none, or not all that is needed is there; then this was told.
    #[expect(clippy::disallowed_methods, reason = "which cluster there is, is for who runs the tests to say")]
    pub fn real(needs: Needs) -> anyhow::Result<Option<Self>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable(KUBECONFIG), variable(NAMESPACE), variable("KUBEBUILDER_ASSETS")) {
            (Some(_), Some(prefix), _) => {
                let is_simulated = variable(SIMULATED_NODES).is_some_and(|value| value == "1");
                let server = Server::of_environment().with_context(|| format!("{KUBECONFIG} leads to no cluster"))?;
                let has_nodes = !is_simulated && server.has_nodes();
                let images = variable(IMAGES);
                Self::on_cluster(server, &prefix, has_nodes, images.as_deref()).map(Some)
            }
            (None, Some(_), None) => bail!("{NAMESPACE} is set and {KUBECONFIG} is not"),
            (_, _, Some(folder)) => {
                let control_plane = ControlPlane::shared(&folder)?;
                if needs == Needs::Controllers && !control_plane.has_controllers() {
                    tell(&format!(
                        "what needs controllers did not run: there is no kube-controller-manager in {folder}"
                    ));
                    return Ok(None);
                }
                let server = Server::of(control_plane.kubeconfig())?;
                let mut stage = Self::on_cluster(server, "paramedic-test", false, None)?;
                stage.has_controllers = control_plane.has_controllers();
                Ok(Some(stage))
            }
            (_, None, None) => {
                tell(&format!(
                    "nothing ran on a real control plane: set KUBEBUILDER_ASSETS, or {KUBECONFIG} and {NAMESPACE}; see \
                     docs/development.md"
                ));
                Ok(None)
            }
        }
    }

    /// A cluster that is reached by this kubeconfig, and that has nodes if it says so.
    pub fn by_kubeconfig(kubeconfig: &str, prefix: &str) -> anyhow::Result<Self> {
        let server = Server::of(kubeconfig)?;
        let has_nodes = server.has_nodes();
        Self::on_cluster(server, prefix, has_nodes, None)
    }

    fn on_cluster(server: Server, prefix: &str, has_nodes: bool, images: Option<&str>) -> anyhow::Result<Self> {
        let usual = if has_nodes { REAL_IMAGES } else { MADE_UP_IMAGES };
        let mut stage = Self::open(server, prefix, images.unwrap_or(usual))?;
        if !has_nodes {
            stage.nodes = Some(Nodes::play(stage.server.clone(), &stage.namespace)?);
        }
        Ok(stage)
    }

    fn open(server: Server, prefix: &str, images: &str) -> anyhow::Result<Self> {
        let images = Images::parse(images)?;
        let end: String = secret::random().chars().take(8).collect();
        let namespace = format!("{prefix}-{end}");
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": { LABEL: "true" } },
        });
        server.create("", &object).with_context(|| {
            format!(
                "cannot make the namespace {namespace}; each scenario has one of its own, so {KUBECONFIG} has to be of somebody who may \
                 create and delete namespaces, and everything in them"
            )
        })?;
        Ok(Stage { server, namespace, images, has_controllers: true, nodes: None, stand_in: None })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What pods are made of here.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// Brings the shop: Deployments `api`, `worker` and `billing`, StatefulSet `redis`, Services, a CronJob, an autoscaler, and the
    /// service account `agent` with its Roles; and waits until all is rolled out, where somebody does that.
    pub fn open_shop(&self) -> anyhow::Result<()> {
        self.apply(SHOP)?;
        if !self.has_controllers {
            return Ok(());
        }
        for name in ["api", "worker", "billing"] {
            self.rolled_out("apps/v1/Deployment", name)?;
        }
        self.rolled_out("apps/v1/StatefulSet", "redis")
    }

    /// Creates the objects of this YAML in the namespace, or merges them into those that are there. What is bound to a service account
    /// without a namespace is bound to the one in this, and images of `example.invalid` are those that can be had here.
    pub fn apply(&self, yaml: &str) -> anyhow::Result<()> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
        for mut object in documents.into_iter().filter(|object| !object.is_null()) {
            self.settle_in(&mut object)?;
            let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
            self.server.create_or_merge(&self.namespace, &object).with_context(|| format!("cannot apply {what}"))?;
        }
        Ok(())
    }

    fn settle_in(&self, object: &mut Value) -> anyhow::Result<()> {
        let space = object["metadata"]["namespace"].as_str().unwrap_or(&self.namespace);
        ensure!(space == self.namespace, "this is for the namespace {space}, and {} is ours", self.namespace);
        object["metadata"]["namespace"] = self.namespace.clone().into();
        for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            if subject["kind"] == "ServiceAccount" && subject["namespace"].is_null() {
                subject["namespace"] = self.namespace.clone().into();
            }
        }
        for at in ["/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"] {
            for container in object.pointer_mut(at).and_then(Value::as_array_mut).into_iter().flatten() {
                let is_made_up = container["image"].as_str().is_some_and(|image| image.starts_with(MADE_UP));
                if is_made_up && !self.images.first.starts_with(MADE_UP) {
                    container["image"] = self.images.first.clone().into();
                }
            }
        }
        Ok(())
    }

    /// An object of the namespace; `kind` is written `apps/v1/Deployment` or `v1/Pod`.
    pub fn get(&self, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        self.server.get(&self.namespace, kind, name)
    }

    /// All objects of a kind in the namespace.
    pub fn list(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        self.server.list(&self.namespace, kind)
    }

    /// All objects of a kind in the whole cluster.
    pub fn list_everywhere(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        self.server.list("", kind)
    }

    /// Changes an object as an administrator would, with this strategic merge patch.
    pub fn patch(&self, kind: &str, name: &str, patch: &Value) -> anyhow::Result<Value> {
        self.server.patch(&self.namespace, kind, name, "", "strategic-merge-patch", patch)
    }

    /// Asks that an object goes.
    pub fn delete(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        self.server.delete(&self.namespace, kind, name, None)
    }

    /// A token of a service account of the namespace, good for an hour.
    pub fn token(&self, account: &str) -> anyhow::Result<String> {
        self.server.token(&self.namespace, account)
    }

    /// The way into the namespace with this token, as a kubeconfig that a program other than this one can read.
    pub fn kubeconfig(&self, token: &str) -> anyhow::Result<String> {
        self.server.kubeconfig(&self.namespace, token)
    }

    /// Waits until the newest template of a workload is rolled out.
    pub fn rolled_out(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let mut last = Value::Null;
        let done = wait::until(&format!("{kind} {name} to be rolled out"), || {
            let object = self.get(kind, name)?.with_context(|| format!("{kind} {name} is not there"))?;
            let (status, wanted) = (&object["status"], &object["spec"]["replicas"]);
            last = status.clone();
            // Which ones of a StatefulSet are new it tells by its revisions.
            let counts = match kind.ends_with("/StatefulSet") {
                true => ["replicas", "readyReplicas", "availableReplicas"],
                false => ["replicas", "updatedReplicas", "availableReplicas"],
            };
            let is_done = status["observedGeneration"] == object["metadata"]["generation"]
                && counts.iter().all(|count| status[*count] == *wanted)
                && status["currentRevision"] == status["updateRevision"];
            Ok(is_done.then_some(()))
        });
        done.with_context(|| format!("the status of {name} is {last}"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let (server, namespace) = (&self.server, &self.namespace);
        let mut gone = server.delete("", "v1/Namespace", namespace, None);
        if gone.is_ok() && self.has_controllers {
            // Where we play the nodes, pods go only as long as we do.
            gone = wait::until(&format!("the namespace {namespace} to be gone"), || {
                Ok(server.get("", "v1/Namespace", namespace)?.is_none().then_some(()))
            });
        }
        if let Err(error) = gone {
            eprintln!("the namespace {namespace} was left behind: {error:#}");
        }
    }
}

impl Images {
    /// Two images, with a space between, of the same place.
    fn parse(text: &str) -> anyhow::Result<Self> {
        let Some((first, second)) = text.trim().split_once(' ') else {
            bail!("{IMAGES} is `{text}`, and has to be two images with a space between");
        };
        let place = |image: &str| image.rsplit_once('/').map(|(place, _)| place.to_owned());
        let place = place(first).filter(|of_first| Some(of_first) == place(second).as_ref());
        let place =
            place.with_context(|| format!("the images `{first}` and `{second}` of {IMAGES} are not of one place"))?;
        Ok(Images {
            first: first.to_owned(),
            second: second.to_owned(),
            bad: format!("{place}/does-not-exist:2"),
            all: format!("{place}/*"),
        })
    }
}

/// Says once, past whatever keeps the output of tests that pass, why something did not run.
fn tell(what: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Who cannot be told anything cannot be told that either.
        let _ = writeln!(std::io::stderr(), "note: {what}");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_two_of_one_place() {
        let images = Images::parse("registry.example/a/tool:1 registry.example/a/tool:2").unwrap();
        assert_eq!((images.first.as_str(), images.all.as_str()), ("registry.example/a/tool:1", "registry.example/a/*"));
        assert_eq!(images.bad, "registry.example/a/does-not-exist:2");
        for wrong in ["", "a/b:1", "a:1 a:2", "a/b:1 c/b:1"] {
            assert!(Images::parse(wrong).unwrap_err().to_string().contains(IMAGES), "{wrong}");
        }
        for usual in [MADE_UP_IMAGES, REAL_IMAGES] {
            Images::parse(usual).unwrap();
        }
    }
}
