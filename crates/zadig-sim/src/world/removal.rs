//! Environments, services, objects and namespaces that are going; the last two are there for a while longer (Z§4.9, Z§4.12, Z§4.14).

use std::time::Duration;

use super::environment::{Deployed, kind_and_name};
use super::helm::Source;
use super::share::Share;
use super::{Event, Key, World};

impl World {
    pub(super) fn finish_delete(&mut self, env: &Key, life: u64, with_resources: bool) {
        if self
            .environments
            .get(env)
            .is_none_or(|environment| environment.life != life)
        {
            return;
        }
        if !with_resources {
            self.release(env);
            return;
        }
        let subs = self.subs_of(env);
        let Some(environment) = self.environments.remove(env) else {
            return;
        };
        if environment.share == Share::Base {
            for sub in subs {
                self.begin_delete(&sub, true);
            }
        }
        let releases = environment.installed(|_| true);
        if let Share::Of(base) = environment.share {
            self.unroute(&(env.0.clone(), base));
        }
        let (cluster, namespace) = (environment.cluster_id, environment.namespace);
        let mut after = self.pace().namespace_deletion;
        if environment.source == Source::Helm {
            // Releases are uninstalled from the copy in memory, so unlike objects of YAML they do go (Z§4.9).
            self.plan_uninstall(&cluster, &namespace, releases);
            after = self.pace().helm_uninstall * 2;
        }
        let shared = self
            .environments
            .values()
            .any(|other| other.cluster_id == cluster && other.namespace == namespace);
        let ours = self
            .clusters
            .get(&cluster)
            .and_then(|kube| kube.namespaces.get(&namespace))
            .is_some_and(|found| {
                found
                    .labels
                    .get("createdBy")
                    .is_some_and(|by| by == "koderover")
            });
        if ours && !shared {
            self.plan_always(after, Event::Terminate { cluster, namespace });
        }
    }

    /// Forgets an environment and leaves everything in its cluster but its namespace's labels (Z§4.9).
    pub(crate) fn release(&mut self, env: &Key) {
        let Some(environment) = self.environments.remove(env) else {
            return;
        };
        if let Some(found) = self
            .clusters
            .get_mut(&environment.cluster_id)
            .and_then(|kube| kube.namespaces.get_mut(&environment.namespace))
        {
            found.labels.remove("createdBy");
            found.labels.remove("s-product");
        }
        self.changes += 1;
    }

    /// Takes services out of an environment, with their objects unless they are kept (Z§4.12); how many objects are being deleted.
    pub(crate) fn remove_services(
        &mut self,
        env: &Key,
        names: &[String],
        keep: bool,
        by: &str,
    ) -> u32 {
        let Some(environment) = self.environments.get_mut(env) else {
            return 0;
        };
        let gone = |service: &&Deployed| names.contains(&service.name);
        let objects: Vec<_> = environment
            .services
            .iter()
            .filter(gone)
            .flat_map(|service| environment.objects(service))
            .map(|object| kind_and_name(&object))
            .collect();
        let releases = environment.installed(|service| names.contains(&service.name));
        environment
            .services
            .retain(|service| !names.contains(&service.name));
        for global in &mut environment.globals {
            for name in names {
                global.relate(name, false);
            }
        }
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        self.touch(env, by);
        if keep {
            return 0;
        }
        self.plan_uninstall(&cluster, &namespace, releases);
        let after = self.pace().object_removal / 2;
        objects
            .iter()
            .map(|(kind, name)| {
                u32::from(self.begin_deletion(&cluster, &namespace, kind, name, after))
            })
            .sum()
    }

    /// Begins the foreground deletion of an object, which is gone after that time; whether there was one.
    pub(crate) fn begin_deletion(
        &mut self,
        cluster: &str,
        namespace: &str,
        kind: &str,
        name: &str,
        after: Duration,
    ) -> bool {
        let marked = self.in_cluster(cluster, |kube, cx| {
            let now = cx.now;
            let object = kube.object_mut(namespace, kind, name)?;
            let first = object.mark_deleted(now);
            first.then(|| object.uid.clone())
        });
        let Some(uid) = marked.flatten() else {
            return false;
        };
        self.plan_always(
            after,
            Event::Erase {
                cluster: cluster.to_owned(),
                namespace: namespace.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid,
            },
        );
        true
    }

    /// Takes a deleted object away, unless another one has its name by now.
    pub(super) fn erase(
        &mut self,
        cluster: &str,
        namespace: &str,
        kind: &str,
        name: &str,
        uid: &str,
    ) {
        let Some(kube) = self.clusters.get_mut(cluster) else {
            return;
        };
        if kube
            .object(namespace, kind, name)
            .is_some_and(|object| object.uid == uid)
        {
            kube.remove(namespace, kind, name);
        }
    }

    /// Begins to remove a namespace: pods go half-way, the rest with the namespace (Z§19).
    pub(super) fn terminate(&mut self, cluster: String, namespace: String) {
        let Some(uid) = self
            .in_cluster(&cluster, |kube, _| kube.terminate(&namespace))
            .flatten()
        else {
            return;
        };
        let after = self.pace().namespace_terminating;
        let drained = Event::Drained {
            cluster: cluster.clone(),
            namespace: namespace.clone(),
            uid: uid.clone(),
        };
        self.plan_always(after / 2, drained);
        let gone = Event::Gone {
            cluster,
            namespace,
            uid,
        };
        self.plan_always(after, gone);
    }

    /// A namespace that goes has lost its pods.
    pub(super) fn lose_pods(&mut self, cluster: &str, namespace: &str, uid: &str) {
        let kube = self.clusters.get_mut(cluster);
        let found = kube.and_then(|kube| kube.namespaces.get_mut(namespace));
        let found = found.filter(|found| found.uid == uid);
        let kinds = found.into_iter().flat_map(|it| it.objects.values_mut());
        for object in kinds.flat_map(|kind| kind.values_mut()) {
            object.pods.clear();
        }
    }

    /// A namespace is gone, unless another one has its name by now.
    pub(super) fn lose_namespace(&mut self, cluster: &str, namespace: &str, uid: &str) {
        if let Some(kube) = self.clusters.get_mut(cluster)
            && kube
                .namespaces
                .get(namespace)
                .is_some_and(|found| found.uid == uid)
        {
            kube.namespaces.remove(namespace);
        }
    }
}
