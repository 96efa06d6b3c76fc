//! Environments put to sleep and woken, which the web page does (Z§5.1).

use std::collections::BTreeMap;

use serde_json::json;

use super::World;

/// What an environment was before it was put to sleep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asleep {
    /// By kind and name.
    replicas: BTreeMap<(String, String), i64>,
    /// Cron jobs that were not suspended.
    cron_jobs: Vec<String>,
}

impl World {
    /// Takes replicas to zero and suspends cron jobs; `false` if there is no such environment awake and at rest.
    pub(crate) fn sleep(&mut self, project: &str, env: &str) -> bool {
        let now = self.now().as_second();
        let Some(environment) = self
            .environment_mut(project, env)
            .filter(|environment| matches!(environment.status.as_str(), "success" | "failed"))
        else {
            return false;
        };
        "sleeping".clone_into(&mut environment.status);
        environment.update_time = now;
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        let before = self.in_cluster(&cluster, |kube, cx| {
            let replicas: BTreeMap<(String, String), i64> = kube
                .workloads(&namespace)
                .filter(|(kind, ..)| !matches!(*kind, "Job" | "DaemonSet"))
                .map(|(kind, name, object)| ((kind.to_owned(), name.clone()), object.replicas()))
                .collect();
            let cron_jobs: Vec<String> = kube
                .of_kind(&namespace, "CronJob")
                .filter(|(_, object)| object.manifest["spec"]["suspend"] != true)
                .map(|(name, _)| name.clone())
                .collect();
            for (kind, name) in replicas.keys() {
                // One that goes meanwhile needs no more rest.
                let _ = kube.scale(cx, &namespace, kind, name, 0);
            }
            for name in &cron_jobs {
                let _ = kube.edit(cx, &namespace, "CronJob", name, |manifest| {
                    manifest["spec"]["suspend"] = json!(true);
                });
            }
            Asleep {
                replicas,
                cron_jobs,
            }
        });
        if let Some(environment) = self.environment_mut(project, env) {
            environment.asleep = Some(before.unwrap_or_default());
        }
        true
    }

    /// Puts back what sleeping took; `false` if there is no such environment asleep.
    pub(crate) fn wake(&mut self, project: &str, env: &str) -> bool {
        let now = self.now().as_second();
        let Some(environment) = self.environment_mut(project, env) else {
            return false;
        };
        let Some(before) = environment.asleep.take() else {
            return false;
        };
        "success".clone_into(&mut environment.status);
        environment.update_time = now;
        let (cluster, namespace) = (
            environment.cluster_id.clone(),
            environment.namespace.clone(),
        );
        self.in_cluster(&cluster, |kube, cx| {
            for ((kind, name), replicas) in before.replicas {
                // What was removed meanwhile stays away.
                let _ = kube.scale(cx, &namespace, &kind, &name, replicas);
            }
            for name in before.cron_jobs {
                let _ = kube.edit(cx, &namespace, "CronJob", &name, |manifest| {
                    manifest["spec"]["suspend"] = json!(false);
                });
            }
        });
        true
    }
}
