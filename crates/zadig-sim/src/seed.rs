//! The state a simulator starts from, read from a `seed.yaml` and the files it names.
//!
//! The format is that of the recordings' seed, extended: `licence` and `level` under `zadig`, permissions of users, environments
//! of projects, production templates, bases of collaboration modes, several clusters, which may be meshes, code hosts. Nothing is
//! checked against Zadig's rules here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::options::{Level, Licence};
use crate::yaml;

/// Why a seed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what a seed looks like.
    #[error("failed to understand {path}: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A state to start from; every file it names has been read.
#[derive(Debug, Clone)]
pub struct Seed {
    pub(crate) document: Document,
    /// Template texts and charts by the path the document names.
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) charts: BTreeMap<String, ChartFiles>,
}

/// The files of a Helm chart that matter here.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChartFiles {
    /// `Chart.yaml`.
    pub(crate) metadata: Value,
    /// `values.yaml`; an empty map if there is none.
    pub(crate) values: Value,
    /// Path within `templates/`, text.
    pub(crate) templates: Vec<(String, String)>,
}

impl Seed {
    /// Reads a seed file, or the `seed.yaml` of a folder.
    ///
    /// # Errors
    ///
    /// [`SeedError`] names the file that is missing or not understood.
    pub fn load(path: &Path) -> Result<Self, SeedError> {
        let file = if path.is_dir() {
            path.join("seed.yaml")
        } else {
            path.to_path_buf()
        };
        let folder = file.parent().unwrap_or(Path::new(".")).to_path_buf();
        let text = read(&file)?;
        let document: Document =
            serde_saphyr::from_str(&text).map_err(|error| SeedError::Parse {
                path: file,
                reason: error.to_string(),
            })?;
        let mut texts = BTreeMap::new();
        let mut charts = BTreeMap::new();
        let services = document
            .projects
            .iter()
            .flat_map(|p| p.services.iter().chain(&p.production_services));
        for service in services {
            if let Some(name) = &service.yaml {
                texts.insert(name.clone(), read(&folder.join(name))?);
            }
            if let Some(name) = &service.chart {
                charts.insert(name.clone(), read_chart(&folder.join(name))?);
            }
        }
        Ok(Self {
            document,
            texts,
            charts,
        })
    }
}

fn read(path: &Path) -> Result<String, SeedError> {
    fs::read_to_string(path).map_err(|source| SeedError::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn read_chart(folder: &Path) -> Result<ChartFiles, SeedError> {
    let values = folder.join("values.yaml");
    let values = if values.exists() {
        read_yaml(&values)?
    } else {
        Value::Null
    };
    let mut files = ChartFiles {
        metadata: read_yaml(&folder.join("Chart.yaml"))?,
        values: if values.is_null() { json!({}) } else { values },
        templates: Vec::new(),
    };
    read_templates(&folder.join("templates"), "", &mut files.templates)?;
    files.templates.sort();
    Ok(files)
}

/// The files of a folder and of those in it, each with its path below the first one.
fn read_templates(
    folder: &Path,
    below: &str,
    found: &mut Vec<(String, String)>,
) -> Result<(), SeedError> {
    let entries = fs::read_dir(folder).map_err(|source| SeedError::Read {
        path: folder.to_path_buf(),
        source,
    })?;
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            read_templates(&path, &format!("{name}/"), found)?;
        } else {
            found.push((name, read(&path)?));
        }
    }
    Ok(())
}

fn read_yaml(path: &Path) -> Result<Value, SeedError> {
    yaml::document(&read(path)?).map_err(|reason| SeedError::Parse {
        path: path.to_path_buf(),
        reason,
    })
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) zadig: Installation,
    pub(crate) kubernetes: Kubernetes,
    pub(crate) clusters: Vec<ClusterSeed>,
    pub(crate) registries: Vec<RegistrySeed>,
    /// Names of code hosts by number.
    pub(crate) codehosts: BTreeMap<i64, String>,
    pub(crate) users: Vec<UserSeed>,
    pub(crate) projects: Vec<ProjectSeed>,
    pub(crate) namespaces: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Installation {
    pub(crate) start_timeout_s: Option<u64>,
    pub(crate) licence: Option<Licence>,
    pub(crate) level: Option<Level>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Kubernetes {
    pub(crate) nodes: Vec<String>,
    pub(crate) host_ip: String,
    pub(crate) istio: bool,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            nodes: vec!["node-0".to_owned()],
            host_ip: "127.0.0.1".to_owned(),
            istio: false,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ClusterSeed {
    pub(crate) cluster_id: String,
    /// `local` unless said otherwise: Zadig's own cluster has a name too.
    #[serde(default = "local")]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) local: bool,
    #[serde(default)]
    pub(crate) production: bool,
    /// Overrides `kubernetes.istio` for this cluster.
    #[serde(default)]
    pub(crate) istio: Option<bool>,
    /// `normal` unless said otherwise; anything else cannot be reached.
    #[serde(default)]
    pub(crate) status: Option<String>,
}

fn local() -> String {
    "local".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RegistrySeed {
    pub(crate) registry_id: String,
    #[serde(default)]
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) provider: String,
    #[serde(default)]
    pub(crate) region: String,
    #[serde(default)]
    pub(crate) is_default: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserSeed {
    pub(crate) name: String,
    pub(crate) system_admin: bool,
    /// Projects the user administers.
    pub(crate) project_admin: Vec<String>,
    /// Verbs of Z§1.2 by project.
    pub(crate) permissions: BTreeMap<String, Vec<String>>,
    /// Verbs by project and environment: what a collaboration mode grants.
    pub(crate) collaboration: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Whether the API token may be used (4.3 and later, users who are no system administrator).
    pub(crate) api_token_disabled: bool,
    /// Whether a second factor is demanded (4.3 and later).
    pub(crate) mfa_required: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ProjectSeed {
    pub(crate) project_name: String,
    pub(crate) project_key: String,
    pub(crate) deploy_type: String,
    pub(crate) description: String,
    pub(crate) environments: Vec<EnvironmentSeed>,
    /// Names of the collaboration modes that are based on an environment, by its key.
    pub(crate) collaboration_bases: BTreeMap<String, Vec<String>>,
    pub(crate) global_variables: Vec<Value>,
    pub(crate) production_global_variables: Vec<Value>,
    pub(crate) services: Vec<ServiceSeed>,
    pub(crate) production_services: Vec<ServiceSeed>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceSeed {
    pub(crate) name: String,
    pub(crate) yaml: Option<String>,
    pub(crate) chart: Option<String>,
    pub(crate) release_naming: Option<String>,
    pub(crate) images: Vec<ImageSeed>,
    pub(crate) variables: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImageSeed {
    pub(crate) container: String,
    pub(crate) image_path: BTreeMap<String, String>,
}

/// An environment that is there from the start: the body of a create call, and whether it is a production one.
///
/// In a Helm project `services` is what a Helm add takes, since a creation there takes none (Z§4.21).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EnvironmentSeed {
    pub(crate) production: bool,
    #[serde(flatten)]
    pub(crate) body: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/seed")
    }

    #[test]
    fn the_seed_of_the_recordings_is_read_with_all_its_files() {
        let seed = Seed::load(&golden()).unwrap();
        let names: Vec<_> = seed.texts.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "services/db.yaml",
                "services/job.yaml",
                "services/plain.yaml",
                "services/web.yaml"
            ]
        );
        let templates: Vec<_> = seed.charts["charts/hweb"]
            .templates
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(templates, ["deployment.yaml", "service.yaml"]);
        assert_eq!(seed.document.zadig.start_timeout_s, Some(60));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Seed::load(Path::new("does-not-exist.yaml")).unwrap_err();
        assert_eq!(error.to_string(), "failed to read does-not-exist.yaml");
    }
}
