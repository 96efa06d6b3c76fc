//! What Argo CD is told about our kinds: their health, and actions on them.
//!
//! The scripts of `deploy/argocd/lua` are the source. They are laid out for each kind as Argo CD's own repository has them, and as the
//! entries of `argocd-cm` that a person adds to an Argo CD of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::paths;

/// The folder of everything for Argo CD, within the workspace.
const FOLDER: &str = "deploy/argocd";
/// What is offered for a kind, in the order of a menu; `approve` where the spec has what it writes.
const ACTIONS: [&str; 4] = ["reconcile", "suspend", "resume", APPROVE];
const APPROVE: &str = "approve";

/// The scripts as they are laid out in Argo CD's own repository.
#[must_use]
pub fn customizations() -> PathBuf {
    paths::workspace()
        .join(FOLDER)
        .join("resource_customizations")
}

/// The entries of `argocd-cm`.
#[must_use]
pub fn config_map() -> PathBuf {
    paths::workspace().join(FOLDER).join("argocd-cm.yaml")
}

/// Every file that follows from the scripts, for the kinds that these definitions define.
///
/// # Errors
/// When a script cannot be read, or a definition is none.
pub fn files<'a>(
    definitions: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut entries = String::new();
    for definition in definitions {
        let kind = Kind::read(definition)?;
        let dir = customizations().join(&kind.group).join(&kind.name);
        let health = script("health")?;
        let discovery = script("discovery")?;
        let id = format!("{}_{}", kind.group, kind.name);
        entries.push_str(&format!("  resource.customizations.health.{id}: |\n"));
        entries.push_str(&indented(&health, 4));
        entries.push_str(&format!("  resource.customizations.actions.{id}: |\n"));
        entries.push_str("    discovery.lua: |\n");
        entries.push_str(&indented(&discovery, 6));
        entries.push_str("    definitions:\n");
        files.insert(dir.join("health.lua"), health);
        files.insert(dir.join("actions/discovery.lua"), discovery);
        for action in kind.actions() {
            let text = script(action)?;
            entries.push_str(&format!("      - name: {action}\n        action.lua: |\n"));
            entries.push_str(&indented(&text, 10));
            files.insert(dir.join("actions").join(action).join("action.lua"), text);
        }
    }
    files.insert(config_map(), format!("{HEAD}{entries}"));
    Ok(files)
}

const HEAD: &str = "\
# Made from lua/ by `cargo xtask generate`. Added to an Argo CD, whose other entries stay as they are, by
#   kubectl apply --server-side --field-manager zadig-operator-customizations -f argocd-cm.yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
data:
";

/// A kind, as its definition tells it.
struct Kind {
    group: String,
    name: String,
    has_plan: bool,
}

impl Kind {
    fn read(definition: &str) -> Result<Self> {
        let crd: Value = serde_saphyr::from_str(definition)?;
        let spec = &crd["spec"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let schema = &spec["versions"][0]["schema"]["openAPIV3Schema"];
        let fields = &schema["properties"]["spec"]["properties"];
        Ok(Self {
            group: text(&spec["group"]).context("a definition has a group")?,
            name: text(&spec["names"]["kind"]).context("a definition has a kind")?,
            has_plan: fields["approvedPlan"].is_object(),
        })
    }

    fn actions(&self) -> impl Iterator<Item = &'static str> {
        let has_plan = self.has_plan;
        let offered = move |action: &&str| has_plan || *action != APPROVE;
        ACTIONS.into_iter().filter(offered)
    }
}

fn script(name: &str) -> Result<String> {
    let path = paths::workspace()
        .join(FOLDER)
        .join(format!("lua/{name}.lua"));
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("{:by$}{line}\n", ""),
    };
    text.lines().map(line).collect()
}
