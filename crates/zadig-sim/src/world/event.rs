//! Work that goes on after an answer, and what happens when it is due.

use jiff::Timestamp;

use super::helm::Rollout;
use super::update::Update;
use super::{Key, World};
use crate::helm::release;

/// Work that goes on after an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// Apply what a creation brings.
    Create { env: Key, life: u64 },
    /// Look whether a created environment is ready.
    CreateLook {
        env: Key,
        life: u64,
        until: Timestamp,
    },
    /// A creation failed.
    CreateFailed { env: Key, life: u64 },
    /// Apply what an update changed.
    Update { env: Key, life: u64, update: Update },
    /// An update is over.
    Updated { env: Key, life: u64, by: String },
    /// Deploy the releases of a Helm add.
    Rollout {
        env: Key,
        life: u64,
        rollout: Rollout,
    },
    /// A Helm add is over.
    RolledOut {
        env: Key,
        life: u64,
        rollout: Rollout,
        failed: bool,
    },
    /// Uninstall releases.
    Uninstall {
        cluster: String,
        namespace: String,
        releases: Vec<String>,
    },
    /// Take the record of a deleted environment away.
    Delete {
        env: Key,
        life: u64,
        with_resources: bool,
    },
    /// Begin to delete a namespace.
    Terminate { cluster: String, namespace: String },
    /// A namespace that goes has lost its pods.
    Drained {
        cluster: String,
        namespace: String,
        uid: String,
    },
    /// A namespace is gone.
    Gone {
        cluster: String,
        namespace: String,
        uid: String,
    },
    /// A deleted object is gone.
    Erase {
        cluster: String,
        namespace: String,
        kind: String,
        name: String,
        uid: String,
    },
    /// A workload's controller has waited long enough.
    Settle {
        cluster: String,
        namespace: String,
        kind: String,
        name: String,
    },
}

impl Event {
    /// Whether it is done by Zadig's own process, and lost with it.
    pub(super) fn is_zadigs(&self) -> bool {
        !matches!(
            self,
            Self::Drained { .. } | Self::Gone { .. } | Self::Erase { .. } | Self::Settle { .. }
        )
    }
}

impl World {
    /// Does what is due.
    pub(super) fn happen(&mut self, at: Timestamp, event: Event) {
        match event {
            Event::Create { env, life } => self.apply_created(&env, life),
            Event::CreateLook { env, life, until } => self.look_at_created(&env, life, until, at),
            Event::CreateFailed { env, life } => {
                if let Some(environment) = self.alive(&env, life) {
                    "failed".clone_into(&mut environment.status);
                }
            }
            Event::Update { env, life, update } => self.apply_update(&env, life, update),
            Event::Updated { env, life, by } => self.end_update(&env, life, &by),
            Event::Rollout { env, life, rollout } => self.roll_out(&env, life, rollout),
            Event::RolledOut {
                env,
                life,
                rollout,
                failed,
            } => self.end_rollout(&env, life, rollout, failed),
            Event::Uninstall {
                cluster,
                namespace,
                releases,
            } => {
                self.in_cluster(&cluster, |kube, _| {
                    for name in &releases {
                        release::uninstall(kube, &namespace, name);
                    }
                });
            }
            Event::Delete {
                env,
                life,
                with_resources,
            } => {
                self.finish_delete(&env, life, with_resources);
            }
            Event::Terminate { cluster, namespace } => self.terminate(cluster, namespace),
            Event::Drained {
                cluster,
                namespace,
                uid,
            } => self.lose_pods(&cluster, &namespace, &uid),
            Event::Gone {
                cluster,
                namespace,
                uid,
            } => self.lose_namespace(&cluster, &namespace, &uid),
            Event::Erase {
                cluster,
                namespace,
                kind,
                name,
                uid,
            } => {
                self.erase(&cluster, &namespace, &kind, &name, &uid);
                if kind == "Service" {
                    self.reroute_in(&cluster, &namespace);
                }
            }
            Event::Settle {
                cluster,
                namespace,
                kind,
                name,
            } => {
                self.in_cluster(&cluster, |kube, cx| {
                    kube.settle(cx, &namespace, &kind, &name);
                });
            }
        }
        self.changes += 1;
    }
}
