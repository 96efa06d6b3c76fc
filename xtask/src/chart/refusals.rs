//! Values that the chart refuses: each names the key that is wrong.

use anyhow::{Context, Result, bail};

use super::render::{Chart, objects};
use super::values;

/// A value, and what Helm's message must contain.
const REFUSED: &[(&str, &str)] = &[
    // Unknown keys, at every level that has keys of ours.
    ("replicaCount=2", "replicaCount"),
    (r#"image.registry="r""#, "registry"),
    (r#"image.pullSecrets=[{"nam":"r"}]"#, "nam"),
    ("crds.keep=true", "keep"),
    ("secrets.enabled=false", "enabled"),
    ("deletionGuard.enable=false", "enable"),
    (r#"leaderElection.duration="15s""#, "duration"),
    ("log.verbosity=3", "verbosity"),
    (r#"caBundle.configmap="ca""#, "configmap"),
    (r#"proxy.noProxy="a""#, "noProxy"),
    ("serviceAccount.automount=true", "automount"),
    ("rbac.clusterRole=true", "clusterRole"),
    ("resources.request={}", "request"),
    ("podSecurityContext.runAsRoot=false", "runAsRoot"),
    (
        "securityContext.readonlyRootFilesystem=true",
        "readonlyRootFilesystem",
    ),
    (r#"securityContext.capabilities.remove=["ALL"]"#, "remove"),
    ("livenessProbe.period=1", "period"),
    ("podDisruptionBudget.minAvailable=1", "minAvailable"),
    ("networkPolicy.ingress=[]", "ingress"),
    (r#"networkPolicy.from=[{"podselector":{}}]"#, "podselector"),
    (r#"serviceMonitor.scrapeInterval="30s""#, "scrapeInterval"),
    ("prometheusRule.driftDays=1", "driftDays"),
    ("dashboard.create=true", "create"),
    (r#"tolerations=[{"keys":"a"}]"#, "keys"),
    ("affinity.nodeaffinity={}", "nodeaffinity"),
    (r#"topologySpreadConstraints=[{"maxskew":1}]"#, "maxskew"),
    (r#"extraEnv=[{"name":"A","val":"b"}]"#, "val"),
    (r#"extraVolumeMounts=[{"name":"a","path":"/a"}]"#, "path"),
    // Values of the wrong type or out of bounds.
    (r#"replicas="2""#, "replicas"),
    (r#"image.repository="""#, "repository"),
    (r#"image.digest="sha256:abc""#, "digest"),
    (r#"image.pullPolicy="Sometimes""#, "pullPolicy"),
    (r#"watchNamespaces="a,b""#, "watchNamespaces"),
    (r#"watchNamespaces=["A"]"#, "watchNamespaces"),
    (r#"shard="Team_B""#, "shard"),
    // What a Service cannot be called, wherever it comes from.
    (r#"fullnameOverride="my.op""#, "fullnameOverride"),
    (r#"fullnameOverride="1op""#, "fullnameOverride"),
    (r#"nameOverride="my.op""#, "nameOverride"),
    // What the program refuses.
    (r#"leaderElection.leaseDuration="15""#, "leaseDuration"),
    (r#"leaderElection.leaseDuration="1s""#, "leaseDuration"),
    (r#"leaderElection.leaseDuration="3601s""#, "leaseDuration"),
    (r#"leaderElection.leaseDuration="2h""#, "leaseDuration"),
    ("concurrency=0", "concurrency"),
    ("shutdownGrace=25", "shutdownGrace"),
    (r#"log.format="xml""#, "format"),
    (
        r#"podDisruptionBudget.maxUnavailable="half""#,
        "maxUnavailable",
    ),
    (r#"serviceMonitor.interval="30""#, "interval"),
    (r#"prometheusRule.selector="{a=1}""#, "selector"),
    ("prometheusRule.driftHours=0", "driftHours"),
    (r#"prometheusRule.runbooks="runbooks""#, "runbooks"),
    (
        r#"podSecurityContext.supplementalGroupsPolicy="All""#,
        "supplementalGroupsPolicy",
    ),
    // Values that exclude each other.
    (r#"secrets.namespaces=["a"]"#, "namespaces"),
    (
        r#"caBundle={"configMap":"a","secret":"b","key":"c"}"#,
        "secret",
    ),
    ("leaderElection.enabled=false,replicas=2", "replicas"),
];

/// Values at the edge of what is refused.
const TAKEN: &[&str] = &[
    r#"fullnameOverride="op-1""#,
    r#"nameOverride="1op""#,
    r#"leaderElection.leaseDuration="3s""#,
    r#"leaderElection.leaseDuration="1m30s""#,
    r#"leaderElection.leaseDuration="1h""#,
    r#"prometheusRule={"enabled":true,"runbooks":"https://docs.example.com/{alert}"}"#,
    r#"podSecurityContext={"supplementalGroupsPolicy":"Strict","seLinuxChangePolicy":"MountOption"}"#,
];

pub(super) fn check(chart: &Chart) -> Result<()> {
    for (value, key) in REFUSED {
        match chart.attempt(value)? {
            Ok(_) => bail!("the chart takes {value}"),
            Err(said) if names(&said, key) => {}
            Err(said) => bail!("the refusal of {value} does not name {key}:\n{said}"),
        }
    }
    for value in TAKEN {
        if let Err(said) = chart.attempt(value)? {
            bail!("the chart refuses {value}:\n{said}");
        }
    }
    check_absence(chart)
}

/// People drop a default by null: the chart does without the value, or says that it cannot.
fn check_absence(chart: &Chart) -> Result<()> {
    // What is off by default is rendered too, and the definitions are not, where that is not the question.
    const OTHERS: [(&str, &str); 5] = [
        ("serviceMonitor", "enabled=true"),
        ("prometheusRule", "enabled=true"),
        ("dashboard", "enabled=true"),
        ("networkPolicy", "enabled=true"),
        ("crds", "install=false"),
    ];
    for key in values::keys(&super::dir())? {
        let others = OTHERS.iter().filter(|(part, _)| !key.starts_with(part));
        let mut values: Vec<String> = others
            .map(|(part, value)| format!("{part}.{value}"))
            .collect();
        values.push(format!("{key}=null"));
        let last = key.rsplit('.').next().unwrap_or_default();
        match chart.attempt(&values.join(","))? {
            Ok(rendered) => {
                objects(&rendered).with_context(|| format!("the chart fails without {key}"))?;
                let lame = rendered.lines().find(|line| {
                    line.contains("nil>") || (line.contains("- --") && line.ends_with('='))
                });
                if let Some(line) = lame {
                    bail!("without {key} the chart renders {line:?}");
                }
            }
            Err(said) if said.contains("missing propert") && names(&said, last) => {}
            Err(said) => bail!("without {key} the chart fails:\n{said}"),
        }
    }
    Ok(())
}

/// Whether a message has the key as a word of its own.
fn names(said: &str, key: &str) -> bool {
    let mut words = said.split(|letter: char| !letter.is_alphanumeric());
    words.any(|word| word == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_word_names_no_key() {
        assert!(names("at '/image': 'tag' not allowed", "tag"));
        assert!(!names("at '/image': 'tagged' not allowed", "tag"));
    }
}
