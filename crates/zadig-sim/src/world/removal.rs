//! Objects and namespaces that are going: they are there for a while longer (Z§4.9, Z§4.12, Z§4.14).

use std::time::Duration;

use super::{Event, World};

impl World {
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
        let at = |cluster, namespace, uid, emptied| Event::Gone {
            cluster,
            namespace,
            uid,
            emptied,
        };
        self.plan_always(
            after / 2,
            at(cluster.clone(), namespace.clone(), uid.clone(), false),
        );
        self.plan_always(after, at(cluster, namespace, uid, true));
    }

    /// A namespace has lost its pods, or is gone when nothing is left in it.
    pub(super) fn lose_namespace(
        &mut self,
        cluster: &str,
        namespace: &str,
        uid: &str,
        emptied: bool,
    ) {
        let Some(kube) = self.clusters.get_mut(cluster) else {
            return;
        };
        let Some(found) = kube
            .namespaces
            .get_mut(namespace)
            .filter(|found| found.uid == uid)
        else {
            return;
        };
        if emptied {
            kube.namespaces.remove(namespace);
            return;
        }
        for object in found
            .objects
            .values_mut()
            .flat_map(|kind| kind.values_mut())
        {
            object.pods.clear();
        }
    }
}
