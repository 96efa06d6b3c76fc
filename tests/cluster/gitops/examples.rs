//! The examples for Argo CD and Flux: our objects in them are taken by the API server, and what refers to them names what is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use xtask::{argocd, gitops, paths};
use zadig_operator::api::GROUP;

use crate::support::{Setup, is_taken, know_others, scenario_with};

fn deploy(folder: &str) -> PathBuf {
    paths::workspace().join("deploy").join(folder)
}

/// The YAML files of a folder and those beneath it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The documents of a folder.
fn documents(folder: &Path) -> Vec<Value> {
    let read = |path: PathBuf| -> Vec<Value> {
        let text = fs::read_to_string(&path).expect("an example is readable");
        serde_saphyr::from_multiple(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let found: Vec<Value> = files(folder).into_iter().flat_map(read).collect();
    assert!(!found.is_empty(), "{} is empty", folder.display());
    found
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("{pointer} of {object:#}"))
}

fn group(object: &Value) -> &str {
    let version = text(object, "/apiVersion");
    version.split_once('/').map_or("", |(group, _)| group)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found: Vec<&Value> = objects.iter().filter(|it| it["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = of_kind(objects, kind).into_iter();
    let found = found.find(|it| it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

/// What the ApplicationSet makes of its preview for one pull request.
fn preview() -> Value {
    let examples = documents(&deploy("argocd/examples"));
    let [set] = of_kind(&examples, "ApplicationSet")[..] else {
        panic!("one ApplicationSet");
    };
    let source = &set["spec"]["template"]["spec"]["source"];
    let folder = deploy("argocd/examples").join(text(source, "/path"));
    let patch = &source["kustomize"]["patches"][0];
    let target = &patch["target"];
    let objects = documents(&folder);
    let mut object = named(&objects, text(target, "/kind"), text(target, "/name")).clone();
    let operations = text(patch, "/patch")
        .replace("{{ .number }}", "482")
        .replace("{{ .head_short_sha_7 }}", "0a1b2c3");
    assert!(!operations.contains("{{"), "{operations}");
    let operations: Vec<Value> = serde_saphyr::from_str(&operations).expect("a JSON patch");
    for operation in operations {
        assert_eq!(operation["op"], "replace");
        let field = text(&operation, "/path");
        let place = object.pointer_mut(field);
        *place.unwrap_or_else(|| panic!("there is no {field}")) = operation["value"].clone();
    }
    object
}

/// No release with the definitions of these is to be had from the registries that the others come from.
const UNKNOWN: &str = "image.toolkit.fluxcd.io";

#[test]
fn every_object_of_the_examples_is_taken() {
    scenario_with(Setup::default().without_connection(), async |world| {
        know_others(world).await;
        let mut objects = documents(&deploy("argocd/examples"));
        objects.extend(documents(&deploy("flux")));
        // A file of kustomize, which no API server knows.
        objects.retain(|object| group(object) != "kustomize.config.k8s.io");
        objects.retain(|object| group(object) != UNKNOWN);
        let preview = preview();
        assert_eq!(text(&preview, "/metadata/name"), "pr-482");
        objects.push(preview);
        let ours = objects.iter().filter(|object| group(object) == GROUP);
        assert!(ours.count() > 8, "more are there");
        let mut kinds = BTreeSet::new();
        for mut object in objects {
            kinds.insert(text(&object, "/kind").to_owned());
            object["metadata"]["namespace"] = "replaced".into();
            is_taken(world, object).await;
        }
        for kind in [
            "Application",
            "ApplicationSet",
            "GitRepository",
            "Kustomization",
        ] {
            assert!(kinds.contains(kind), "{kinds:?}");
        }
    });
}

/// As the first line of the file says.
#[test]
fn the_entries_for_argo_cd_leave_others_as_they_are() {
    scenario_with(Setup::default().without_connection(), async |world| {
        world
            .apply(&world.config_map("argocd-cm", "url", "https://argocd.example.com"))
            .await;
        let text = fs::read_to_string(argocd::config_map()).expect("it is generated");
        let mut ours: ConfigMap = serde_saphyr::from_str(&text).expect("a ConfigMap");
        ours.metadata.namespace = Some(world.namespace.clone());
        let api = world.api::<ConfigMap>();
        let params = PatchParams::apply("zadig-operator-customizations");
        let whole = api
            .patch("argocd-cm", &params, &Patch::Apply(&ours))
            .await
            .expect("nobody else has them");
        let mut expected = ours.data.expect("entries");
        expected.insert("url".to_owned(), "https://argocd.example.com".to_owned());
        assert_eq!(whole.data, Some(expected));
    });
}

/// What belongs together is applied together, and what is needed before.
#[test]
fn objects_of_the_examples_refer_to_each_other_in_an_order_that_ends() {
    let wave = |object: &Value| -> i32 {
        let wave = &object["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"];
        wave.as_str()
            .map_or(0, |wave| wave.parse().expect("a number"))
    };
    let objects = documents(&deploy("argocd/examples/environments"));
    for env in of_kind(&objects, "ZadigEnvironment") {
        let connection = text(env, "/spec/connectionRef/name");
        assert!(wave(named(&objects, "ZadigConnection", connection)) < wave(env));
        for config in env["spec"]["configRefs"].as_array().into_iter().flatten() {
            let config = named(&objects, "ZadigEnvConfig", text(config, "/name"));
            assert_eq!(wave(config), wave(env), "each waits for the other");
        }
    }
    for binding in of_kind(&objects, "ZadigServiceBinding") {
        let env = named(
            &objects,
            "ZadigEnvironment",
            text(binding, "/spec/environmentRef/name"),
        );
        assert!(wave(env) <= wave(binding));
        assert_eq!(binding["spec"]["replicas"], Value::Null, "others own it");
    }
}

#[test]
fn what_argo_cd_and_flux_are_told_to_apply_and_wait_for_is_there() {
    let argocd = documents(&deploy("argocd/examples"));
    for application in of_kind(&argocd, "Application") {
        let path = text(application, "/spec/source/path");
        documents(&deploy("argocd/examples").join(path));
    }
    let flux = documents(&deploy("flux"));
    for kustomization in of_kind(&flux, "Kustomization") {
        let spec = &kustomization["spec"];
        named(
            &flux,
            text(spec, "/sourceRef/kind"),
            text(spec, "/sourceRef/name"),
        );
        for needed in spec["dependsOn"].as_array().into_iter().flatten() {
            named(&flux, "Kustomization", text(needed, "/name"));
        }
        let applied = documents(&deploy("flux").join(text(spec, "/path")));
        let checks = spec["healthChecks"].as_array().expect("it waits");
        assert!(!checks.is_empty());
        for check in checks {
            let found = named(&applied, text(check, "/kind"), text(check, "/name"));
            assert_eq!(found["apiVersion"], check["apiVersion"]);
            assert_eq!(spec["targetNamespace"], check["namespace"]);
        }
    }
    for automation in of_kind(&flux, "ImageUpdateAutomation") {
        let spec = &automation["spec"];
        documents(&deploy("flux").join(text(spec, "/update/path")));
        named(
            &flux,
            text(spec, "/sourceRef/kind"),
            text(spec, "/sourceRef/name"),
        );
    }
}

/// The lines of a folder's files that are marked with a policy: file, number, the policy and the image.
fn marked(folder: &Path) -> Vec<(PathBuf, usize, String, String)> {
    let mut found = Vec::new();
    for path in files(folder) {
        let content = fs::read_to_string(&path).expect("it is readable");
        for (number, line) in content.lines().enumerate() {
            let Some((field, marker)) = line.split_once(" # {\"$imagepolicy\": ") else {
                continue;
            };
            let policy = marker.trim_end_matches('}').trim_matches('"');
            let (name, image) = field.trim().split_once(": ").expect("a field");
            assert_eq!(name, "image", "{line}");
            found.push((path.clone(), number, policy.to_owned(), image.to_owned()));
        }
    }
    found
}

/// Each marker is proven with the setter that Flux is made of: the field beside it gets the whole image, and nothing else moves.
#[test]
fn image_automation_of_flux_writes_the_field_that_is_marked_and_no_other() {
    let flux = documents(&deploy("flux"));
    let mut policies = 0;
    for folder in [deploy("samples"), deploy("flux/environments")] {
        let markers = marked(&folder);
        assert!(!markers.is_empty(), "{} shows none", folder.display());
        for (file, number, policy, image) in markers {
            policies += 1;
            let (namespace, name) = policy.split_once(':').expect("namespace:name");
            let found = named(&flux, "ImagePolicy", name);
            assert_eq!(found["metadata"]["namespace"], namespace);
            let repository = text(found, "/spec/imageRepositoryRef/name");
            let repository = text(named(&flux, "ImageRepository", repository), "/spec/image");
            assert!(image.starts_with(&format!("{repository}:")), "{image}");

            let copy = tempfile::tempdir().expect("a folder");
            for file in files(&folder) {
                let name = file.file_name().expect("a file");
                fs::copy(&file, copy.path().join(name)).expect("it is copied");
            }
            let newest = format!("{repository}:99.9.9");
            gitops::set_image(copy.path(), &policy, &newest).expect("it writes");
            for written in files(&folder) {
                let before = fs::read_to_string(&written).expect("it is readable");
                let name = written.file_name().expect("a file");
                let after = fs::read_to_string(copy.path().join(name)).expect("it is readable");
                let expected: Vec<String> = before
                    .lines()
                    .enumerate()
                    .map(|(at, line)| {
                        let is_it = written == file && at == number;
                        if is_it {
                            line.replace(&image, &newest)
                        } else {
                            line.to_owned()
                        }
                    })
                    .collect();
                let after: Vec<&str> = after.lines().collect();
                assert_eq!(after, expected, "{policy} in {}", written.display());
            }
        }
    }
    assert!(policies >= 3, "{policies}");
}
