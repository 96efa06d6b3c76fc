//! Workload controllers: from a spec to pods, over time.
//!
//! A pod's readiness is a matter of the clock alone; a controller has to be woken only while something waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Cx, Object, in_time};
use crate::ailment::Ailment;

/// The alphabet of generated names in Kubernetes.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A pod of a workload.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Which template it was made from.
    pub(crate) hash: String,
    pub(crate) template: Arc<Value>,
    pub(crate) created: Timestamp,
    /// Never, if no node takes it.
    pub(crate) ready_at: Option<Timestamp>,
    pub(crate) address: u32,
    /// Whether it got an Istio proxy when it was made.
    pub(crate) proxied: bool,
    /// What its containers suffer from, by name.
    pub(crate) ailing: BTreeMap<String, Ailment>,
}

impl Pod {
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.ailing.is_empty() && self.ready_at.is_some_and(|at| at <= now)
    }

    /// Whether one of its containers is ready.
    pub(crate) fn has_ready(&self, container: &str, now: Timestamp) -> bool {
        !self.ailing.contains_key(container) && self.ready_at.is_some_and(|at| at <= now)
    }

    /// Its phase.
    pub(crate) fn phase(&self, now: Timestamp) -> &'static str {
        if self.is_ready(now) || self.ailing.values().any(Ailment::runs) {
            "Running"
        } else {
            "Pending"
        }
    }

    /// What its containers suffer from when these images do.
    pub(crate) fn ailments(&self, images: &BTreeMap<String, Ailment>) -> BTreeMap<String, Ailment> {
        let containers = self.template["spec"]["containers"].as_array();
        containers
            .into_iter()
            .flatten()
            .filter_map(|container| {
                let ailment = images.get(container["image"].as_str()?)?;
                Some((container["name"].as_str()?.to_owned(), ailment.clone()))
            })
            .collect()
    }

    /// Its labels: the template's, and those by which its owner knows it.
    pub(crate) fn labels(&self, owner: &Object) -> Value {
        let mut labels = self.template["metadata"]["labels"].clone();
        if !labels.is_object() {
            labels = json!({});
        }
        match owner.kind() {
            "StatefulSet" => {
                let name = owner.manifest["metadata"]["name"].as_str().unwrap_or("");
                let index = ordinal_of(name, self);
                labels["apps.kubernetes.io/pod-index"] = json!(index.to_string());
                labels["controller-revision-hash"] = json!(format!("{name}-{}", self.hash));
                labels["statefulset.kubernetes.io/pod-name"] = json!(self.name);
            }
            "DaemonSet" => labels["controller-revision-hash"] = json!(self.hash),
            "Job" => labels["job-name"] = owner.manifest["metadata"]["name"].clone(),
            _ => labels["pod-template-hash"] = json!(self.hash),
        }
        labels
    }

    /// Whether a node has taken it.
    pub(crate) fn is_scheduled(&self) -> bool {
        self.ready_at.is_some()
    }
}

/// Whether the workload is what its spec says: all pods of the current template, all ready.
pub(crate) fn is_ready(object: &Object, now: Timestamp) -> bool {
    if object.kind() == "Job" {
        object.pods.iter().any(|pod| pod.is_ready(now))
    } else {
        let hash = hash_of(object);
        let current = object
            .pods
            .iter()
            .filter(|pod| pod.hash == hash && pod.is_ready(now))
            .count();
        i64::try_from(current) == Ok(object.replicas()) && current == object.pods.len()
    }
}

/// How many of its pods are ready.
pub(crate) fn ready_count(object: &Object, now: Timestamp) -> usize {
    object.pods.iter().filter(|pod| pod.is_ready(now)).count()
}

/// A hash of the pod template in Kubernetes' alphabet.
pub(crate) fn hash_of(object: &Object) -> String {
    let text = object.template().to_string();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    encode(hash, 10)
}

fn encode(mut number: u64, length: usize) -> String {
    let base = ALPHABET.len() as u64;
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let index = usize::try_from(number % base).unwrap_or_default();
        text.push(char::from(ALPHABET[index]));
        number /= base;
    }
    text
}

/// Makes and deletes pods until the workload is as its spec says or has to wait; when to look again.
pub(crate) fn settle(
    cx: &mut Cx<'_>,
    kind: &str,
    name: &str,
    object: &mut Object,
    next_address: &mut u32,
    proxied: bool,
    events: &mut Vec<(&'static str, String)>,
) -> Option<Timestamp> {
    let hash = hash_of(object);
    // A new template for all pods of this round; an old one is kept if nothing changed.
    let template = object.pods.iter().find(|pod| pod.hash == hash).map_or_else(
        || Arc::new(object.template().clone()),
        |pod| Arc::clone(&pod.template),
    );
    let mut maker = Maker {
        cx,
        name,
        hash: &hash,
        template,
        next_address,
        proxied,
    };
    match kind {
        "StatefulSet" => settle_ordered(&mut maker, object, events),
        "Job" => {
            if object.pods.is_empty() {
                object.pods.push(maker.make(None));
            }
            None
        }
        _ => settle_rolling(&mut maker, object, events),
    }
}

struct Maker<'a, 'b> {
    cx: &'a mut Cx<'b>,
    name: &'a str,
    hash: &'a str,
    template: Arc<Value>,
    next_address: &'a mut u32,
    proxied: bool,
}

impl Maker<'_, '_> {
    fn make(&mut self, ordinal: Option<i64>) -> Pod {
        let name = match ordinal {
            Some(ordinal) => format!("{}-{ordinal}", self.name),
            None => format!(
                "{}-{}-{}",
                self.name,
                self.hash,
                encode(self.cx.rng.u64(..), 5)
            ),
        };
        *self.next_address += 1;
        let pinned = self.template["spec"]["nodeSelector"]
            .as_object()
            .is_some_and(|labels| {
                // Nodes carry the labels every node has; anything else no node has.
                labels.keys().any(|key| !key.starts_with("kubernetes.io/"))
            });
        let opted_out = ["annotations", "labels"]
            .iter()
            .any(|place| self.template["metadata"][place]["sidecar.istio.io/inject"] == "false");
        Pod {
            name,
            uid: self.cx.uid(),
            hash: self.hash.to_owned(),
            template: Arc::clone(&self.template),
            created: self.cx.now,
            ready_at: (!pinned).then(|| in_time(self.cx, self.cx.pod_ready)),
            address: *self.next_address,
            proxied: self.proxied && !opted_out,
            ailing: BTreeMap::new(),
        }
    }
}

/// A Deployment: a rolling update with a quarter more and a quarter less, or all at once with `Recreate`.
fn settle_rolling(
    maker: &mut Maker<'_, '_>,
    object: &mut Object,
    events: &mut Vec<(&'static str, String)>,
) -> Option<Timestamp> {
    let now = maker.cx.now;
    let wanted = usize::try_from(object.replicas()).unwrap_or_default();
    let recreate = object.manifest["spec"]["strategy"]["type"] == "Recreate";
    let (surge, unavailable) = if recreate {
        (0, wanted)
    } else {
        (wanted.div_ceil(4), wanted / 4)
    };
    let hash = maker.hash.to_owned();
    let count = |object: &Object| object.pods.iter().filter(|pod| pod.hash == hash).count();
    let before = count(object);
    let before_old = object.pods.len() - before;
    let (mut old, mut new): (Vec<Pod>, Vec<Pod>) =
        object.pods.drain(..).partition(|pod| pod.hash != hash);
    if wanted == 0 || recreate {
        old.clear();
    }
    // Pods that are not ready go first when there are too many.
    new.sort_by_key(|pod| (!pod.is_ready(now), pod.created));
    new.truncate(wanted);
    old.retain(|pod| pod.is_ready(now) || pod.ready_at.is_some_and(|_| wanted == 0));
    let room = (wanted + surge).saturating_sub(old.len() + new.len());
    for _ in 0..room.min(wanted - new.len()) {
        new.push(maker.make(None));
    }
    let ready = old.len() + new.iter().filter(|pod| pod.is_ready(now)).count();
    let spare = ready.saturating_sub(wanted - unavailable);
    old.truncate(old.len() - spare.min(old.len()));
    // Deleting made room for more.
    let room = (wanted + surge).saturating_sub(old.len() + new.len());
    for _ in 0..room.min(wanted - new.len()) {
        new.push(maker.make(None));
    }
    if new.len() != before {
        let verb = if new.len() > before { "up" } else { "down" };
        let set = format!("{}-{hash}", maker.name);
        events.push((
            "ScalingReplicaSet",
            format!(
                "Scaled {verb} replica set {set} from {before} to {}",
                new.len()
            ),
        ));
    }
    if old.len() < before_old
        && let Some(set) = old.first().map(|pod| pod.hash.clone())
    {
        events.push((
            "ScalingReplicaSet",
            format!(
                "Scaled down replica set {}-{set} from {before_old} to {}",
                maker.name,
                old.len()
            ),
        ));
    }
    let waiting = !old.is_empty();
    object.pods = old;
    object.pods.append(&mut new);
    if waiting {
        next_ready(object, now)
    } else {
        None
    }
}

/// A StatefulSet: one pod after the other, upwards when made, downwards when replaced.
fn settle_ordered(
    maker: &mut Maker<'_, '_>,
    object: &mut Object,
    events: &mut Vec<(&'static str, String)>,
) -> Option<Timestamp> {
    let now = maker.cx.now;
    let wanted = object.replicas().max(0);
    let parallel = object.manifest["spec"]["podManagementPolicy"] == "Parallel";
    let name = maker.name.to_owned();
    object.pods.retain(|pod| ordinal_of(&name, pod) < wanted);
    for ordinal in 0..wanted {
        if object
            .pods
            .iter()
            .any(|pod| ordinal_of(&name, pod) == ordinal)
        {
            continue;
        }
        if !parallel && object.pods.iter().any(|pod| !pod.is_ready(now)) {
            break;
        }
        let pod = maker.make(Some(ordinal));
        events.push((
            "SuccessfulCreate",
            format!("create Pod {} in StatefulSet {name} successful", pod.name),
        ));
        object.pods.push(pod);
    }
    object.pods.sort_by_key(|pod| ordinal_of(&name, pod));
    let complete = i64::try_from(object.pods.len()) == Ok(wanted);
    let all_ready = object.pods.iter().all(|pod| pod.is_ready(now));
    let stale = object
        .pods
        .iter()
        .rposition(|pod| pod.hash != maker.hash || !pod.is_scheduled());
    if complete
        && let Some(index) = stale
        && object.pods[index].hash != maker.hash
        && (all_ready || !object.pods[index].is_ready(now))
    {
        let ordinal = ordinal_of(&name, &object.pods[index]);
        events.push((
            "SuccessfulDelete",
            format!(
                "delete Pod {} in StatefulSet {name} successful",
                object.pods[index].name
            ),
        ));
        object.pods[index] = maker.make(Some(ordinal));
    }
    let unfinished = i64::try_from(object.pods.len()) != Ok(wanted)
        || object.pods.iter().any(|pod| pod.hash != maker.hash);
    if unfinished {
        next_ready(object, now)
    } else {
        None
    }
}

fn ordinal_of(name: &str, pod: &Pod) -> i64 {
    pod.name
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|number| number.parse().ok())
        .unwrap_or(i64::MAX)
}

fn next_ready(object: &Object, now: Timestamp) -> Option<Timestamp> {
    object
        .pods
        .iter()
        .filter_map(|pod| pod.ready_at)
        .filter(|at| *at > now)
        .min()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Bench {
        object: Object,
        now: Timestamp,
        rng: fastrand::Rng,
        kind: &'static str,
        addresses: u32,
    }

    impl Bench {
        fn new(kind: &'static str, replicas: i64) -> Self {
            let now = Timestamp::from_second(100).unwrap();
            let mut rng = fastrand::Rng::with_seed(1);
            let mut cx = Cx {
                now,
                pod_ready: Duration::from_secs(1),
                rng: &mut rng,
                wake: vec![],
            };
            let object = Object::new(
                &mut cx,
                json!({ "kind": kind, "spec": { "replicas": replicas, "template": { "v": 1 } } }),
            );
            Self {
                object,
                now,
                rng,
                kind,
                addresses: 0,
            }
        }

        /// Lets the controller run at each instant it asks for; the counts of pods and of ready ones it passes through.
        fn run(&mut self) -> Vec<(usize, usize)> {
            let mut seen = Vec::new();
            loop {
                let mut cx = Cx {
                    now: self.now,
                    pod_ready: Duration::from_secs(1),
                    rng: &mut self.rng,
                    wake: vec![],
                };
                let again = settle(
                    &mut cx,
                    self.kind,
                    "w",
                    &mut self.object,
                    &mut self.addresses,
                    false,
                    &mut Vec::new(),
                );
                seen.push((self.object.pods.len(), ready_count(&self.object, self.now)));
                match again {
                    Some(at) => self.now = at,
                    None => break,
                }
            }
            self.now = self.now.checked_add(Duration::from_secs(1)).unwrap();
            seen
        }
    }

    #[test]
    fn a_rollout_keeps_the_old_pods_until_new_ones_are_ready() {
        let mut bench = Bench::new("Deployment", 2);
        assert_eq!(bench.run(), [(2, 0)]);
        bench.object.manifest["spec"]["template"] = json!({ "v": 2 });
        assert_eq!(bench.run(), [(3, 2), (3, 2), (2, 2)]);
        assert!(is_ready(&bench.object, bench.now));
    }

    #[test]
    fn a_stateful_set_makes_and_replaces_its_pods_one_by_one() {
        let mut bench = Bench::new("StatefulSet", 2);
        assert_eq!(bench.run(), [(1, 0), (2, 1)]);
        bench.object.manifest["spec"]["template"] = json!({ "v": 2 });
        assert_eq!(bench.run(), [(2, 1), (2, 1)]);
    }

    #[test]
    fn a_pod_that_no_node_takes_is_never_ready() {
        let mut bench = Bench::new("Deployment", 1);
        bench.object.manifest["spec"]["template"] =
            json!({ "spec": { "nodeSelector": { "no-such-label": "true" } } });
        bench.run();
        assert!(!is_ready(&bench.object, Timestamp::MAX));
    }

    #[test]
    fn replicas_of_zero_leave_nothing() {
        let mut bench = Bench::new("Deployment", 3);
        bench.run();
        bench.object.manifest["spec"]["replicas"] = json!(0);
        assert_eq!(bench.run(), [(0, 0)]);
        assert!(is_ready(&bench.object, bench.now));
    }
}
