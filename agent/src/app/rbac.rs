//! The rights that the grants in force need in each namespace of each cluster.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clients::kubernetes::Kubernetes;
use crate::config::{Config, KubernetesTarget};
use crate::domain::{Diagnosis, TargetName};
use crate::policy::rbac::Needs;

/// A namespace of a cluster, and what is needed there.
pub struct Place {
    /// The targets that are this namespace, reached as the same user.
    pub targets: Vec<TargetName>,
    /// The namespace.
    pub namespace: String,
    /// What the grants need there.
    pub needs: Needs,
    /// Whether its API server is asked about callers, which takes rights in all of the cluster.
    pub callers: bool,
    /// Which of the clusters it is in; equal only for places that are reached by the same kubeconfig and context.
    pub cluster: usize,
}

/// The places of all Kubernetes targets; of `only` where that is given, with what the others of the same place need.
pub fn places(config: &Config, only: Option<&TargetName>) -> anyhow::Result<Vec<Place>> {
    let all = &config.targets.kubernetes;
    if let Some(missing) = only.filter(|name| !all.contains_key(name)) {
        anyhow::bail!("there is no target kubernetes/{missing}; {}", configured(all.keys()));
    }
    let mut clusters = Vec::new();
    let mut places = Vec::<(&KubernetesTarget, Place)>::new();
    for (name, target) in all {
        if let Some((_, place)) = places.iter_mut().find(|(known, _)| *known == target) {
            place.targets.push(name.clone());
            continue;
        }
        let way = (&target.kubeconfig, &target.context);
        let cluster = clusters.iter().position(|known| *known == way).unwrap_or(clusters.len());
        if cluster == clusters.len() {
            clusters.push(way);
        }
        let (namespace, targets) = (target.namespace.clone(), vec![name.clone()]);
        places.push((target, Place { targets, namespace, needs: Needs::default(), callers: false, cluster }));
    }
    let lines = || config.plugins.iter().flat_map(|(name, plugin)| plugin.grants.iter().map(move |line| (name, line)));
    let wanted =
        places.into_iter().map(|(_, place)| place).filter(|place| only.is_none_or(|name| place.targets.contains(name)));
    let needs = |targets: &[TargetName]| {
        let needs = Needs::of(targets, lines());
        match config.replicas.as_ref().filter(|replicas| targets.contains(&replicas.kubernetes)) {
            Some(replicas) => needs.with_replicas(&replicas.lease, &replicas.state),
            None => needs,
        }
    };
    let asked = config.auth.kubernetes.as_ref().map(|callers| &callers.target);
    let callers = |targets: &[TargetName]| asked.is_some_and(|target| targets.contains(target));
    Ok(wanted.map(|place| Place { needs: needs(&place.targets), callers: callers(&place.targets), ..place }).collect())
}

/// Refuses what cannot be given to one `kubectl apply`.
pub fn in_one_cluster(places: &[Place]) -> anyhow::Result<()> {
    let needing: Vec<&Place> = places.iter().filter(|place| !place.needs.is_empty() || place.callers).collect();
    if needing.windows(2).any(|two| matches!(two, [one, other] if one.cluster != other.cluster)) {
        let names = needing.iter().flat_map(|place| &place.targets);
        anyhow::bail!(
            "the targets are in several clusters, each of which needs a Role of its own: choose with --target; {}",
            configured(names)
        );
    }
    Ok(())
}

fn configured<'a>(names: impl Iterator<Item = &'a TargetName>) -> String {
    let names: Vec<&str> = names.map(TargetName::as_str).collect();
    if names.is_empty() { "none is configured".to_owned() } else { format!("there are {}", names.join(", ")) }
}

/// What the agent may really do in each of the places, compared with what it needs there.
pub async fn examine_rights(config: &Config, places: &[Place]) -> anyhow::Result<Vec<Diagnosis>> {
    let clients = super::targets::build(&config.targets, &Arc::new(super::seal::of_nobody()))?.kubernetes;
    let mut report = compare(places, &clients).await;
    for client in places.iter().filter(|place| place.callers).filter_map(|place| place.client(&clients)) {
        report.extend(client.diagnose_reviews().await);
    }
    Ok(report)
}

impl Place {
    /// All of its targets are the same place; any will do.
    fn client<'c>(&self, clients: &'c HashMap<TargetName, Arc<Kubernetes>>) -> Option<&'c Arc<Kubernetes>> {
        self.targets.first().and_then(|name| clients.get(name))
    }
}

pub(super) async fn compare(places: &[Place], clients: &HashMap<TargetName, Arc<Kubernetes>>) -> Vec<Diagnosis> {
    let mut report = Vec::new();
    for place in places {
        if let Some(client) = place.client(clients) {
            report.extend(client.diagnose(&place.needs).await);
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CONFIG: &str = "
targets:
  kubernetes:
    prod: { namespace: shop }
    same: { namespace: shop }
    jobs: { namespace: jobs }
    staging: { namespace: shop, kubeconfig: { env: STAGING } }
plugins:
  k8s-pods:
    source: { file: k8s-pods.wasm }
    grants:
      - { kubernetes: prod, verbs: [list-pods] }
      - { kubernetes: same, verbs: [list-events] }
";

    fn found(more: &str, only: Option<&str>) -> anyhow::Result<Vec<Place>> {
        let text = format!("{CONFIG}{more}");
        let config = Config::parse(&text, Path::new("paramedic.yaml"), &|_| Ok("kubeconfig".to_owned()))?;
        places(&config, only.map(|name| name.parse().unwrap()).as_ref())
    }

    #[test]
    fn targets_that_are_the_same_place_have_one_role() {
        let told = |places: Vec<Place>| {
            let tell = |place: &Place| (place.targets.len(), place.namespace.clone(), place.needs.rights().count());
            places.iter().map(tell).collect::<Vec<_>>()
        };
        let (shop, jobs) = ("shop".to_owned(), "jobs".to_owned());
        assert_eq!(told(found("", None).unwrap()), [(1, jobs, 0), (2, shop.clone(), 2), (1, shop.clone(), 0)]);
        // The Role of one is the Role of both.
        assert_eq!(told(found("", Some("same")).unwrap()), [(2, shop, 2)]);
        let error = found("", Some("qa")).err().unwrap().to_string();
        assert_eq!(error, "there is no target kubernetes/qa; there are jobs, prod, same, staging");
    }

    #[test]
    fn replicas_need_their_two_objects_and_no_other_of_the_kind() {
        let replicas = "replicas: { kubernetes: prod, name: { env: NAME }, key: { env: KEY } }\n";
        let text = format!("{CONFIG}{replicas}");
        let secret = |name: &str| Ok(if name == "KEY" { "k".repeat(32) } else { "paramedic-0".to_owned() });
        let config = Config::parse(&text, Path::new("paramedic.yaml"), &secret).unwrap();
        let target = "prod".parse().unwrap();
        let places = places(&config, Some(&target)).unwrap();
        let rights: Vec<String> = places[0].needs.rights().map(|(right, _)| right.to_string()).collect();
        let shared: Vec<&str> =
            rights.iter().map(String::as_str).filter(|right| right.contains("paramedic-")).collect();
        assert_eq!(
            shared,
            [
                "get configmaps paramedic-state",
                "patch configmaps paramedic-state",
                "get leases.coordination.k8s.io paramedic-leader",
                "patch leases.coordination.k8s.io paramedic-leader",
            ]
        );
    }

    #[test]
    fn callers_are_asked_about_in_the_cluster_of_their_target_alone() {
        let auth = "auth: { kubernetes: { target: same } }\n";
        let asked = |only| {
            let places = found(auth, only).unwrap();
            places.iter().map(|place| (place.namespace.clone(), place.callers)).collect::<Vec<_>>()
        };
        let (shop, jobs) = ("shop".to_owned(), "jobs".to_owned());
        assert_eq!(asked(None), [(jobs, false), (shop.clone(), true), (shop.clone(), false)]);
        assert_eq!(asked(Some("staging")), [(shop, false)]);
        // That alone is a reason to choose.
        let elsewhere = "auth: { kubernetes: { target: staging } }\n";
        assert!(in_one_cluster(&found(elsewhere, None).unwrap()).is_err());
    }

    #[test]
    fn roles_for_several_clusters_are_not_given_to_one() {
        assert!(in_one_cluster(&found("", None).unwrap()).is_ok());
        let both = "      - { kubernetes: staging, verbs: [list-pods] }\n";
        let error = in_one_cluster(&found(both, None).unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("choose with --target; there are prod, same, staging"), "{error}");
        assert!(in_one_cluster(&found(both, Some("staging")).unwrap()).is_ok());
    }
}
