//! Projects and their service templates, as a seed declares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::helm::chart::Chart;
use crate::scope::Scope;
use crate::seed::{ProjectSeed, Seed, ServiceSeed};
use crate::variables::{Global, Variable};

/// A project with its service templates.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) deploy_type: String,
    pub(crate) description: String,
    /// Names of the collaboration modes that are based on an environment, by its key.
    pub(crate) collaboration_bases: BTreeMap<String, Vec<String>>,
    /// The global variables that its test environments may have.
    pub(crate) globals: Vec<Variable>,
    /// The templates of its test environments.
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) production_globals: Vec<Variable>,
    pub(crate) production_services: BTreeMap<String, Service>,
}

impl Project {
    /// The project that a seed declares; services without a template are left out.
    pub(super) fn of(seed: &Seed, project: &ProjectSeed) -> Self {
        let templates = |services: &[ServiceSeed]| {
            services
                .iter()
                .filter_map(|service| Some((service.name.clone(), template(seed, service)?)))
                .collect()
        };
        let declared = |variables: &[Value]| variables.iter().filter_map(variable).collect();
        Self {
            name: project.project_name.clone(),
            key: project.project_key.clone(),
            deploy_type: project.deploy_type.clone(),
            description: project.description.clone(),
            collaboration_bases: project.collaboration_bases.clone(),
            globals: declared(&project.global_variables),
            services: templates(&project.services),
            production_globals: declared(&project.production_global_variables),
            production_services: templates(&project.production_services),
        }
    }

    /// The service templates of one kind of environments; the other kind does not see them (Z§9 no. 1).
    pub(crate) fn templates(&self, scope: Scope) -> &BTreeMap<String, Service> {
        match scope {
            Scope::Test => &self.services,
            Scope::Production => &self.production_services,
        }
    }

    pub(crate) fn templates_mut(&mut self, scope: Scope) -> &mut BTreeMap<String, Service> {
        match scope {
            Scope::Test => &mut self.services,
            Scope::Production => &mut self.production_services,
        }
    }

    /// The global variables that are declared for one kind of environments.
    pub(crate) fn declared(&self, scope: Scope) -> &[Variable] {
        match scope {
            Scope::Test => &self.globals,
            Scope::Production => &self.production_globals,
        }
    }
}

/// A service template with all its revisions, the newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) revisions: Vec<Revision>,
}

/// One revision of a service template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Revision {
    pub(crate) text: String,
    pub(crate) variables: Vec<Variable>,
    /// For a service of a Helm project, in place of a text.
    pub(crate) chart: Option<Arc<Chart>>,
}

fn template(seed: &Seed, service: &ServiceSeed) -> Option<Service> {
    let text = service.yaml.as_ref().and_then(|it| seed.texts.get(it));
    let chart = service.chart.as_ref().and_then(|it| seed.charts.get(it));
    if text.is_none() && chart.is_none() {
        return None;
    }
    Some(Service {
        revisions: vec![Revision {
            text: text.cloned().unwrap_or_default(),
            variables: service.variables.iter().filter_map(variable).collect(),
            chart: chart.map(|files| Arc::new(Chart::new(files, service))),
        }],
    })
}

fn variable(value: &Value) -> Option<Variable> {
    serde_json::from_value(value.clone()).ok()
}

/// A global variable as an environment starts with it.
pub(crate) fn global(variable: &Variable) -> Global {
    Global {
        variable: variable.clone(),
        related_services: Vec::new(),
    }
}
