//! The environments as `kubectl get zenv --watch` shows them: a line whenever one changes.

use std::collections::BTreeMap;

use anyhow::Result;
use comfy_table::{Table, presets};
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::time::Instant;
use xtask::console::took;

use crate::objects::{self, ENVIRONMENT, condition, reason, text};

const HEADER: [&str; 7] = [
    "NAME", "READY", "REASON", "STATUS", "SERVICES", "PROJECT", "ENV",
];

/// Looks at the environments of a namespace and tells what changed since the last look.
pub(super) struct Show {
    api: Api<DynamicObject>,
    started: Instant,
    shown: BTreeMap<String, [String; 7]>,
}

impl Show {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        println!("\n{}", line("after", &HEADER.map(ToOwned::to_owned)));
        Self {
            api: objects::api(client, namespace, ENVIRONMENT),
            started: Instant::now(),
            shown: BTreeMap::new(),
        }
    }

    /// The environments as they are now, by name; changes are printed.
    pub(super) async fn look(&mut self) -> Result<BTreeMap<String, DynamicObject>> {
        let list = self.api.list(&ListParams::default()).await?;
        let now: BTreeMap<String, DynamicObject> = list
            .items
            .into_iter()
            .map(|object| (object.name_any(), object))
            .collect();
        let time = took(self.started.elapsed());
        for (name, object) in &now {
            let row = row(object);
            if self.shown.get(name) != Some(&row) {
                println!("{}", line(&time, &row));
                self.shown.insert(name.clone(), row);
            }
        }
        let gone: Vec<String> = self
            .shown
            .keys()
            .filter(|name| !now.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            println!("{time:>8}  {name} is gone");
            self.shown.remove(&name);
        }
        Ok(now)
    }

    /// Everything once more, as one table.
    pub(super) async fn table(&mut self) -> Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(HEADER);
        for object in self.look().await?.values() {
            table.add_row(row(object));
        }
        println!("\n{}\n", table.trim_fmt());
        Ok(())
    }
}

fn row(object: &DynamicObject) -> [String; 7] {
    let or_empty = Option::unwrap_or_default;
    let field = |path: &[&str]| or_empty(text(&object.data, path));
    [
        object.name_any(),
        or_empty(condition(object, "Ready")),
        or_empty(reason(object, "Ready")),
        field(&["status", "zadigStatus"]),
        field(&["status", "servicesReady"]),
        field(&["spec", "projectKey"]),
        field(&["spec", "envKey"]),
    ]
}

fn line(time: &str, [name, ready, reason, status, services, project, env]: &[String; 7]) -> String {
    let line = format!(
        "{time:>8}  {name:<12} {ready:<6} {reason:<20} {status:<10} {services:<9} {project:<8} {env}"
    );
    line.trim_end().to_owned()
}
