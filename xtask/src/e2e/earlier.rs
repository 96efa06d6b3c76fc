//! The chart that is upgraded from: which commit has it, and which definitions are others in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;

/// Where a chart has its definitions.
const WITHIN: &str = "files/crds";
/// The same within the repository.
const DEFINITIONS: &str = "charts/zadig-operator/files/crds";

/// The newest commit whose definitions are others than those of the work tree, so that an upgrade from its chart has to change some.
pub(super) fn commit(repository: &Path) -> Result<String> {
    if !git(repository, &["status", "--porcelain", "--", DEFINITIONS])?.is_empty() {
        return git(repository, &["rev-parse", "--short", "HEAD"]);
    }
    let tree = |commit: &str| {
        git(
            repository,
            &["rev-parse", &format!("{commit}:{DEFINITIONS}")],
        )
    };
    let now = tree("HEAD")?;
    // Before each commit that touched them they were others, and perhaps are again.
    let touched = git(repository, &["rev-list", "HEAD", "--", DEFINITIONS])?;
    for commit in touched.lines() {
        let before = format!("{commit}^");
        // The first one of all had none before, and neither does the first one of a clone that is not whole.
        if tree(&before).is_ok_and(|before| before != now) {
            return git(repository, &["rev-parse", "--short", &before]);
        }
    }
    bail!(
        "there is no commit here whose chart has other definitions; if the clone is not whole, `git fetch --unshallow` gets the \
         rest, else name one with --upgrade-from"
    )
}

fn git(repository: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(repository)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("git {args:?}: {}", said.trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Definitions by name.
pub(super) type Definitions = BTreeMap<String, CustomResourceDefinition>;

/// The definitions that a chart installs.
pub(super) fn definitions(chart: &Path) -> Result<Definitions> {
    let dir = chart.join(WITHIN);
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut definitions = Definitions::new();
    for entry in entries {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let found: Vec<CustomResourceDefinition> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("{} holds no definitions", path.display()))?;
        definitions.extend(found.into_iter().map(|found| (found.name_any(), found)));
    }
    Ok(definitions)
}

/// Names of what differs, or is new, in `now`. What the API server adds by itself is no difference.
pub(super) fn changed(before: &Definitions, now: &Definitions) -> Vec<String> {
    let differs = |name: &String, now: &CustomResourceDefinition| {
        before.get(name).is_none_or(|before| {
            before.spec.versions != now.spec.versions
                || before.spec.names.short_names != now.spec.names.short_names
                || before.spec.names.categories != now.spec.names.categories
        })
    };
    now.iter()
        .filter(|(name, now)| differs(name, now))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Fails unless a cluster has the definitions of a chart as they are there.
pub(super) fn are_those_of(chart: &Definitions, cluster: &Definitions) -> Result<()> {
    let others = changed(cluster, chart);
    ensure!(
        others.is_empty(),
        "the cluster has other definitions than the chart: {}",
        others.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A definition with this explanation of its kind.
    fn definition(said: &str) -> String {
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: things.example.com}}
spec:
  group: example.com
  scope: Namespaced
  names: {{kind: Thing, plural: things}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {{type: object, description: {said}}}
"
        )
    }

    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().unwrap());
            repository.git(&["init", "--quiet", "--initial-branch=main"]);
            repository
        }

        fn git(&self, args: &[&str]) -> String {
            let who = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
            git(self.0.path(), &[&who, args].concat()).unwrap()
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// Commits a file and says how the commit is called.
        fn commit(&self, file: &str, text: &str) -> String {
            self.write(file, text);
            self.git(&["add", "--all"]);
            self.git(&["commit", "--quiet", "--message", "-"]);
            self.git(&["rev-parse", "--short", "HEAD"])
        }
    }

    #[test]
    fn an_upgrade_is_from_the_newest_commit_with_other_definitions() {
        let file = format!("{DEFINITIONS}/things.yaml");
        let values = "charts/zadig-operator/values.yaml";
        let repository = Repository::new();
        let path = repository.0.path();
        repository.commit("README.md", "without a chart");
        repository.commit(&file, &definition("one"));
        let told = commit(path).unwrap_err().to_string();
        assert!(told.contains("--upgrade-from"), "{told}");
        let before = repository.commit(values, "replicas: 1");
        repository.commit(&file, &definition("two"));
        repository.commit(values, "replicas: 2");
        assert_eq!(commit(path).unwrap(), before);
        // What was taken back is no difference; the newest other one is that which was taken back.
        let between = repository.commit(&file, &definition("three"));
        repository.commit(&file, &definition("two"));
        let head = repository.commit("README.md", "more");
        assert_eq!(commit(path).unwrap(), between);
        // What is not committed yet is upgraded to as well.
        repository.write(&file, &definition("four"));
        assert_eq!(commit(path).unwrap(), head);

        // A clone that is not whole says so, instead of upgrading to the same.
        let clone = tempfile::tempdir().unwrap();
        let url = format!("file://{}", path.display());
        let into = clone.path().display().to_string();
        repository.git(&["clone", "--quiet", "--depth=1", &url, &into]);
        let told = commit(clone.path()).unwrap_err().to_string();
        assert!(told.contains("--unshallow"), "{told}");
    }

    #[test]
    fn definitions_are_compared_by_what_a_chart_says_of_them() {
        let of = |said: &str| -> Definitions {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join(WITHIN);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("things.yaml"), definition(said)).unwrap();
            definitions(dir.path()).unwrap()
        };
        let (one, two) = (of("one"), of("two"));
        assert_eq!(changed(&one, &one), [""; 0]);
        assert_eq!(changed(&one, &two), ["things.example.com"]);
        assert_eq!(changed(&Definitions::new(), &one), ["things.example.com"]);
        assert_eq!(changed(&one, &Definitions::new()), [""; 0]);
        // As the API server gives it back.
        let mut stored = one.clone();
        for definition in stored.values_mut() {
            definition.spec.names.list_kind = Some("ThingList".to_owned());
            definition.spec.names.singular = Some("thing".to_owned());
            definition.metadata.generation = Some(1);
        }
        are_those_of(&one, &stored).unwrap();
        let told = are_those_of(&two, &stored).unwrap_err().to_string();
        assert!(told.ends_with(": things.example.com"), "{told}");
    }

    #[test]
    fn the_chart_has_definitions() {
        assert_eq!(definitions(&crate::chart::dir()).unwrap().len(), 4);
    }
}
