//! What happens on the node, in order. Each step looks at the cluster and at what the simulator was asked for.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use xtask::console::tail;
use xtask::node::Node;

use super::Plan;
use super::cluster::{Cluster, KINDS, described};
use super::earlier;
use super::figures::{self, Process};
use super::helm::{Helm, RELEASE};
use super::record::Record;
use super::scenes::{self, TEAM, ZADIG};
use crate::chart;
use crate::objects::{self, CONNECTION, ENVIRONMENT};
use crate::zadig::Zadig;

/// Command line of the operator in its container.
const OPERATOR: [&str; 2] = ["/zadig-operator", "run"];
/// A start that takes longer, in seconds, is a mistake.
const COLD_START: f64 = 1.0;
/// The user whose token the connection gets when the first one is refused.
const SUCCESSOR: &str = "successor";

struct Play<'a> {
    cluster: Cluster,
    helm: Helm,
    zadig: Zadig,
    plan: &'a Plan,
}

/// Plays everything, inside of the enclosure.
pub(super) async fn perform(dir: &Path, plan: &Plan, mut record: Record) -> Result<()> {
    let starting = async {
        let node = Node::start(dir, &plan.machine, &plan.programs, &plan.group).await?;
        Ok((node, String::new()))
    };
    let mut node = record.wait("node ready", starting).await?;
    record.step("images loaded", || {
        for image in &plan.images {
            node.load(image)?;
        }
        Ok(((), plan.images.len().to_string()))
    })?;
    let cluster = Cluster {
        client: node.client.clone(),
    };
    let zadig = record
        .wait("simulator in a pod, behind a Service", simulator(&cluster))
        .await?;
    let helm = Helm {
        program: plan.helm.clone(),
        kubeconfig: node.kubeconfig.clone(),
        home: dir.join("helm"),
    };
    let scenes = Play {
        cluster,
        helm,
        zadig,
        plan,
    };
    let seen = scenes.steps(&mut record).await;
    if seen.is_err() {
        scenes.tell_more().await;
    }
    // What a dead program left unfinished says less than its log.
    seen.and(node.check())
}

async fn simulator(cluster: &Cluster) -> Result<(Zadig, String)> {
    for namespace in scenes::namespaces()? {
        objects::apply(&cluster.client, None, &namespace).await?;
    }
    cluster.apply(ZADIG, &scenes::simulator()?).await?;
    cluster.pod_ready(ZADIG, "zadig-sim").await?;
    let url = format!("http://{}", cluster.address(ZADIG, "zadig-sim").await?);
    let zadig = cluster
        .until("the simulator answers behind its Service", async || {
            Ok(Zadig::simulated(&url).await.ok())
        })
        .await?;
    Ok((zadig, String::new()))
}

impl Play<'_> {
    async fn steps(&self, record: &mut Record) -> Result<()> {
        macro_rules! steps {
            ($($name:literal => $step:ident),* $(,)?) => {
                $(record.wait($name, async { Ok(((), self.$step().await?)) }).await?;)*
            };
        }
        steps! {
            "helm install into a restricted namespace" => install,
            "helm test" => test,
            "helm uninstall, definitions removed" => uninstall_all,
            "helm install of the earlier chart" => install_earlier,
            "samples Ready" => samples,
            "helm upgrade under them" => upgrade,
            "idle: nothing is written" => idle,
            "operator killed while Zadig creates" => kill,
            "token rotated without a restart" => rotate_token,
            "a config's Secret rotated" => rotate_config,
            "helm uninstall leaves everything" => uninstall,
            "objects deleted without an operator wait" => delete,
            "helm install completes their deletion" => complete,
            "helm uninstall, nothing left in the cluster" => finish,
        }
        Ok(())
    }

    /// After a failure: what the objects and the operator say.
    async fn tell_more(&self) {
        for object in self.cluster.all().await.unwrap_or_default() {
            println!("  {}", described(&object));
        }
        for pod in self.cluster.operators().await.unwrap_or_default() {
            let name = pod.name_any();
            println!("The end of the log of {name}:");
            print!(
                "{}",
                tail(&self.cluster.log(&name).await.unwrap_or_default(), 20)
            );
        }
    }

    async fn install(&self) -> Result<String> {
        self.helm.install(&chart::dir()).await?;
        let pod = self.cluster.operator().await?;
        let started = Process::find(&OPERATOR)?.started()?;
        let leading = self.first_said(&pod.name, "leading").await?;
        let took = leading.duration_since(started).as_secs_f64();
        ensure!(
            took < COLD_START,
            "the operator was ready {took:.2} s after its start, later than {COLD_START} s"
        );
        Ok(format!("process started to ready: {took:.2} s"))
    }

    /// When the operator first wrote this line into its log.
    async fn first_said(&self, pod: &str, message: &str) -> Result<Timestamp> {
        let log = self.cluster.log(pod).await?;
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["message"] == message);
        let line = line.with_context(|| format!("the operator logs {message:?}:\n{log}"))?;
        let time = line["timestamp"]
            .as_str()
            .context("a log line has a time")?;
        Ok(time.parse()?)
    }

    async fn test(&self) -> Result<String> {
        self.helm.test().await?;
        Ok(String::new())
    }

    async fn uninstall_all(&self) -> Result<String> {
        self.helm.uninstall().await?;
        self.cluster.remove_definitions().await?;
        Ok(String::new())
    }

    async fn install_earlier(&self) -> Result<String> {
        self.helm.install(&self.plan.earlier).await?;
        self.cluster.operator().await?;
        let definitions = earlier::definitions(&self.plan.earlier)?;
        earlier::are_those_of(&definitions, &self.cluster.definitions().await?)?;
        Ok(format!("chart of {}", self.plan.revision))
    }

    async fn samples(&self) -> Result<String> {
        let token = scenes::token(&self.zadig.token)?;
        self.cluster.apply(TEAM, &[token]).await?;
        self.cluster.apply(TEAM, &scenes::samples()?).await?;
        let ready = self.cluster.all_ready().await?;
        Ok(format!("{ready} objects"))
    }

    /// The definitions become those of the new chart. The new operator looks at every object, changes none of them and asks Zadig
    /// for nothing but reads.
    async fn upgrade(&self) -> Result<String> {
        self.zadig.clear_calls().await?;
        let before = self.cluster.operator().await?;
        self.helm.upgrade(&chart::dir()).await?;
        self.cluster.operator().await?;
        let definitions = earlier::definitions(&chart::dir())?;
        earlier::are_those_of(&definitions, &self.cluster.definitions().await?)?;
        let changed = earlier::changed(&earlier::definitions(&self.plan.earlier)?, &definitions);
        self.cluster.look_at_all().await?;
        let count = self.cluster.all_ready().await?;
        let reads = self.only_reads().await?;
        ensure!(
            before != self.cluster.operator().await?,
            "the pod was not replaced"
        );
        Ok(format!(
            "{} definitions changed; {count} objects stay Ready, {reads} reads, no write",
            changed.len()
        ))
    }

    async fn idle(&self) -> Result<String> {
        self.zadig.clear_calls().await?;
        let versions = async || {
            let all = self.cluster.all().await?;
            anyhow::Ok(
                all.iter()
                    .map(ResourceExt::resource_version)
                    .collect::<Vec<_>>(),
            )
        };
        let before = versions().await?;
        // Two lists of the project are a round of everything that is looked at without a cause.
        self.cluster
            .until("two lists by an idle operator", async || {
                let calls = self.zadig.calls().await?;
                let lists = calls
                    .iter()
                    .filter(|call| call["operation"] == "environment.list");
                Ok((lists.count() >= 2).then_some(()))
            })
            .await?;
        self.only_reads().await?;
        ensure!(before == versions().await?, "an idle object was written");
        let (resident, share) = Process::find(&OPERATOR)?.memory()?;
        Ok(format!(
            "memory: {resident:.0} MiB resident, {share:.0} MiB PSS"
        ))
    }

    /// One creation is under way in Zadig and another one's call is on its way when the operator is killed.
    async fn kill(&self) -> Result<String> {
        self.zadig.clear_calls().await?;
        let delay = json!({
            "operation": "environment.create",
            "contains": "on-the-way",
            "nth": 1,
            "action": {"kind": "delay", "milliseconds": 3000},
        });
        self.zadig.fault(delay).await?;
        let environments = ["under-way", "on-the-way"];
        for key in environments {
            self.cluster
                .apply(TEAM, &[scenes::environment(key)?])
                .await?;
        }
        let api = self.cluster.team(ENVIRONMENT);
        self.cluster
            .until(
                "one environment is being created, another about to be",
                async || {
                    let about = api.get("on-the-way").await?.finalizers().is_empty();
                    let state = self.zadig.snapshot().await?;
                    let creating = environment(&state, "under-way")
                        .is_some_and(|it| it["status"] == "creating");
                    Ok((creating && !about).then_some(()))
                },
            )
            .await?;
        let process = Process::find(&OPERATOR)?;
        let pod = self.cluster.operator().await?;
        kill_process(&process)?;
        self.cluster.kill(&pod.name).await?;
        self.cluster
            .until("the process is gone", async || {
                Ok(figures::is_gone(process.pid).then_some(()))
            })
            .await?;
        let state = self.zadig.snapshot().await?;
        let unfinished =
            environment(&state, "under-way").is_some_and(|it| it["status"] == "creating");
        self.cluster.all_ready().await?;
        let now = self.cluster.operator().await?;
        ensure!(now != pod, "the pod was not replaced");
        let calls = self.zadig.calls().await?;
        for key in environments {
            let created = calls.iter().filter(|call| {
                call["operation"] == "environment.create"
                    && call["changed"] == true
                    && call["environment"] == format!("shop/{key}")
            });
            let count = created.count();
            ensure!(count == 1, "{key} was created {count} times");
        }
        let when = if unfinished { "unfinished" } else { "finished" };
        Ok(format!("one creation each; one was {when} at the kill"))
    }

    async fn rotate_token(&self) -> Result<String> {
        let pod = self.cluster.operator().await?;
        self.zadig
            .fault(json!({"user": "admin", "action": {"kind": "unauthorized"}}))
            .await?;
        let asked = objects::tag();
        self.cluster
            .ask_for_a_look(CONNECTION, "default", &asked)
            .await?;
        let connections = self.cluster.team(CONNECTION);
        let refused = self
            .cluster
            .until(
                "the connection says that its token is refused",
                async || {
                    let connection = connections.get("default").await?;
                    let ready = objects::condition(&connection, "Ready");
                    let reason = objects::reason(&connection, "Ready");
                    Ok((ready.as_deref() == Some("False")).then_some(reason))
                },
            )
            .await?;
        ensure!(
            refused.as_deref() == Some("Unauthorized"),
            "the connection says {refused:?}"
        );
        self.zadig.clear_calls().await?;
        let token = self.zadig.token_of(SUCCESSOR).await?;
        self.cluster.apply(TEAM, &[scenes::token(&token)?]).await?;
        self.cluster
            .until("the connection is Ready again", async || {
                let connection = connections.get("default").await?;
                Ok(objects::is_ready(&connection).then_some(()))
            })
            .await?;
        self.cluster.look_at_all().await?;
        self.cluster.all_ready().await?;
        let calls = self.zadig.calls().await?;
        let with_new = calls
            .iter()
            .filter(|call| call["user"] == SUCCESSOR)
            .count();
        ensure!(with_new > 0, "no call was made with the new token");
        self.only_reads().await?;
        ensure!(
            pod == self.cluster.operator().await?,
            "the operator was restarted"
        );
        Ok(format!("refused, then {with_new} calls with the new one"))
    }

    async fn rotate_config(&self) -> Result<String> {
        self.zadig.clear_calls().await?;
        let value = objects::tag();
        self.cluster
            .apply(TEAM, &[scenes::followed(&value)?])
            .await?;
        let encoded = STANDARD.encode(&value);
        let holds = |call: &&Value| {
            call["changed"] == true
                && call["operation"] == "config.update"
                && call["body"]
                    .as_str()
                    .is_some_and(|body| body.contains(&encoded))
        };
        self.cluster
            .until("Zadig has the new value", async || {
                let calls = self.zadig.calls().await?;
                Ok(calls.iter().find(holds).map(|_| ()))
            })
            .await?;
        self.cluster.all_ready().await?;
        let calls = self.zadig.calls().await?;
        let writes = calls.iter().filter(|call| call["mutating"] == true).count();
        ensure!(writes == 1, "{writes} writes for one changed Secret");
        Ok("one write".to_owned())
    }

    async fn uninstall(&self) -> Result<String> {
        self.zadig.clear_calls().await?;
        let before = names(&self.cluster.all().await?);
        let environments = keys(&self.zadig.snapshot().await?);
        self.helm.uninstall().await?;
        self.cluster
            .until("no operator runs", async || {
                Ok(self.cluster.operators().await?.is_empty().then_some(()))
            })
            .await?;
        let definitions = self.cluster.definitions().await?.len();
        ensure!(
            definitions == KINDS.len(),
            "{definitions} definitions are left"
        );
        ensure!(names(&self.cluster.all().await?) == before, "objects went");
        let left = keys(&self.zadig.snapshot().await?);
        ensure!(
            left == environments,
            "environments in Zadig: {left:?}, before {environments:?}"
        );
        self.only_reads().await?;
        Ok(format!(
            "{definitions} definitions, {} objects, {} environments in Zadig",
            before.len(),
            left.len()
        ))
    }

    async fn delete(&self) -> Result<String> {
        let before = self.cluster.all().await?.len();
        for kind in KINDS {
            let api = self.cluster.team(kind);
            api.delete_collection(&DeleteParams::background(), &ListParams::default())
                .await?;
        }
        let all = self.cluster.all().await?;
        let ending = all
            .iter()
            .filter(|object| object.metadata.deletion_timestamp.is_some());
        let ending = ending.count();
        ensure!(
            ending == before,
            "{ending} of {before} objects wait for their end"
        );
        self.only_reads().await?;
        Ok(format!("{ending} objects are Terminating"))
    }

    async fn complete(&self) -> Result<String> {
        self.helm.install(&chart::dir()).await?;
        self.cluster
            .until("every object is gone", async || {
                Ok(self.cluster.all().await?.is_empty().then_some(()))
            })
            .await?;
        let left = keys(&self.zadig.snapshot().await?);
        ensure!(left.is_empty(), "left in Zadig: {left:?}");
        let calls = self.zadig.calls().await?;
        let deleted = calls
            .iter()
            .filter(|call| call["operation"] == "environment.delete" && call["changed"] == true);
        Ok(format!("{} environments deleted in Zadig", deleted.count()))
    }

    async fn finish(&self) -> Result<String> {
        self.helm.uninstall().await?;
        self.cluster.remove_definitions().await?;
        self.cluster
            .remove_namespaces(&[TEAM, RELEASE, ZADIG])
            .await?;
        Ok(String::new())
    }

    /// How many calls Zadig got, if all of them were reads.
    async fn only_reads(&self) -> Result<usize> {
        let calls = self.zadig.calls().await?;
        if let Some(write) = calls.iter().find(|call| call["mutating"] == true) {
            bail!(
                "Zadig was written to: {} {}",
                write["method"],
                write["path"]
            );
        }
        Ok(calls.len())
    }
}

fn kill_process(process: &Process) -> Result<()> {
    let pid = rustix::process::Pid::from_raw(process.pid).context("a process has an id")?;
    Ok(rustix::process::kill_process(
        pid,
        rustix::process::Signal::KILL,
    )?)
}

fn environment<'a>(state: &'a Value, key: &str) -> Option<&'a Value> {
    let mut environments = state["environments"].as_array()?.iter();
    environments.find(|environment| environment["env_key"] == key)
}

/// Keys of the environments in Zadig.
fn keys(state: &Value) -> Vec<String> {
    let environments = state["environments"].as_array().into_iter().flatten();
    environments
        .map(|environment| environment["env_key"].to_string())
        .collect()
}

fn names(objects: &[kube::core::DynamicObject]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
