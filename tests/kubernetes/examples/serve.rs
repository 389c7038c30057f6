//! Serves the seeded cluster until it is killed, for a look at it with kubectl, and for tests that reach a cluster by a
//! kubeconfig alone. Here, and only here, time and controllers go by themselves.
//!
//! `cargo run -p paramedic-kubernetes-stand-in --example serve > kubeconfig`, then `kubectl --kubeconfig kubeconfig get pods`.
//! With the argument `without-nodes` new pods wait for somebody who plays a node.

use std::time::{Duration, Instant};

use kubernetes_stand_in::{Cluster, Metrics, Usage};
use serde_json::Value;

/// Between two steps of the controllers.
const STEP: Duration = Duration::from_millis(50);

/// Between two looks of the autoscalers, in such steps.
const LOOKS: u32 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // kubectl sends no token in the clear.
    let cluster = Cluster::seeded_now().await?.copy_encrypted().await?;
    cluster.set_metrics(Metrics::There(Usage::default()));
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("without-nodes") => {
            for node in cluster.list("v1/Node", None) {
                let name = node.pointer("/metadata/name").and_then(Value::as_str);
                cluster.delete("v1/Node", "", name.unwrap_or_default());
            }
        }
        Some(other) => anyhow::bail!("`{other}` is no argument; `without-nodes` is the only one"),
    }
    println!("{}", cluster.kubeconfig("admin", "shop"));
    let mut then = Instant::now();
    for step in 1_u32.. {
        tokio::time::sleep(STEP).await;
        let now = Instant::now();
        cluster.advance(now - then);
        then = now;
        cluster.controllers().progress();
        if step % LOOKS == 0 {
            cluster.controllers().autoscale();
        }
    }
    Ok(())
}
