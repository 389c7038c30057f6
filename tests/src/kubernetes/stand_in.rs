//! The stand-in as a cluster that goes by itself: in this process, or served by a process of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use kubernetes_stand_in::Cluster;

use crate::components;
use crate::process::{self, Server, StopSignal};

/// Between two steps of the controllers.
const STEP: Duration = Duration::from_millis(20);

/// An empty cluster whose controllers and time are those of this machine.
#[derive(Debug)]
pub struct StandIn {
    kubeconfig: String,
    controllers: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl StandIn {
    /// Starts one.
    pub fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().context("no runtime")?;
        let cluster = runtime.block_on(Cluster::start_now())?;
        let kubeconfig = cluster.kubeconfig("admin", "default");
        let is_over = Arc::new(AtomicBool::new(false));
        let controllers = Some(set_going(cluster, &is_over));
        Ok(StandIn { kubeconfig, controllers, is_over })
    }

    /// The way in of who may do everything.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.controllers.take().map(JoinHandle::join) {
            eprintln!("the controllers of the stand-in panicked");
        }
    }
}

fn set_going(cluster: Cluster, is_over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let is_over = is_over.clone();
    std::thread::spawn(move || {
        let mut then = Instant::now();
        while !is_over.load(Ordering::Relaxed) {
            cluster.controllers().progress();
            std::thread::sleep(STEP);
            let now = Instant::now();
            cluster.advance(now - then);
            then = now;
        }
    })
}

/// The stand-in in another process, of which nothing is known here but a kubeconfig.
#[derive(Debug)]
pub struct Served {
    server: Server,
}

impl Served {
    /// Starts one with pods that run.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one that has no node.
    pub fn start_without_nodes() -> anyhow::Result<Self> {
        Self::start_with(&["without-nodes"])
    }

    fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        let program = components::beside_this_program("examples/serve").context(
            "the example `serve` is missing; run `cargo build --workspace --exclude 'guest-*' --example serve`",
        )?;
        let program = program.display().to_string();
        let command: Vec<String> = [program.as_str()].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
        let has_printed =
            |at: &Path| std::fs::read_to_string(at.join("log")).is_ok_and(|text| text.contains("contexts:"));
        let directory = process::temporary_directory("stand-in")?;
        Ok(Served { server: Server::start(directory, &command, StopSignal::Terminate, has_printed)? })
    }

    /// The way in of who may do everything.
    pub fn kubeconfig(&self) -> anyhow::Result<String> {
        self.server.log().context("what the stand-in printed cannot be read")
    }
}
