//! Where in Git a configuration object comes from: told at the creation of its environment alone (Z§4.6), shown by its detail
//! (Z§4.14), and ended by any later write through the OpenAPI.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// `git_repo_config` of a create call: `GitRepoConfig` of 4.2.1's templates.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct GitFile {
    codehost_id: i64,
    owner: String,
    repo: String,
    branch: String,
    values_paths: Option<Vec<String>>,
}

impl GitFile {
    /// As the detail shows it: nothing without a code host, and the whole detail fails for one that is not there.
    pub(crate) fn shown(&self, codehosts: &BTreeMap<i64, String>) -> Result<Value, String> {
        if self.codehost_id == 0 {
            return Ok(Value::Null);
        }
        let alias = codehosts.get(&self.codehost_id).ok_or_else(|| {
            "failed to get codehost, err: failed to get codehost: record not found".to_owned()
        })?;
        let path = self.values_paths.iter().flatten().next();
        Ok(json!({
            "git_repo_config": {
                "codehost_key": alias,
                "owner": self.owner,
                "repo": self.repo,
                "branch": self.branch,
            },
            "load_path": path.map_or("", String::as_str),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_needs_a_code_host_and_the_first_file_counts() {
        let sent = json!({
            "codehost_id": 7, "owner": "shop", "repo": "config", "branch": "main",
            "values_paths": ["dev/app.yaml", "ignored.yaml"],
        });
        let source: GitFile = serde_json::from_value(sent).unwrap();
        let hosts = BTreeMap::from([(7, "gitlab".to_owned())]);
        let shown = source.shown(&hosts).unwrap();
        assert_eq!(shown["git_repo_config"]["codehost_key"], "gitlab");
        assert_eq!(shown["load_path"], "dev/app.yaml");
        assert!(source.shown(&BTreeMap::new()).is_err());
        assert_eq!(GitFile::default().shown(&hosts), Ok(Value::Null));
    }
}
