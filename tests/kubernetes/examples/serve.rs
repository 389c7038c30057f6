//! Serves the seeded cluster until it is killed, for a look at it with kubectl. Here, and only here, time and
//! controllers go by themselves.
//!
//! `cargo run -p paramedic-kubernetes-stand-in --example serve > kubeconfig`, then `kubectl --kubeconfig kubeconfig get pods`.

use std::time::Duration;

use kubernetes_stand_in::{Cluster, Metrics, Usage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // kubectl sends no token in the clear.
    let cluster = Cluster::seeded().await?.copy_encrypted().await?;
    cluster.set_metrics(Metrics::There(Usage::default()));
    println!("{}", cluster.kubeconfig("admin", "shop"));
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.advance(Duration::from_secs(1));
        cluster.controllers().progress();
        cluster.controllers().autoscale();
    }
}
