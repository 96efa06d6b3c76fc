//! Helm services in detail: what is deployed, with which values and images, and what becomes of it (Z§4.21, Z§10, Z§4.17).

use serde_json::{Value, json};
use zadig_sim::{Level, Licence, Options};

use crate::helm::{
    ADD, CREATE, NAMESPACE, creation, deployment, empty_environment, running, service, status,
    updating, values,
};
use crate::support::{Zadig, coded, coded_as, empty, image, success, virtual_time, wrapped};

/// The revisions of a release in a namespace, oldest first.
fn revisions(zadig: &Zadig, namespace: &str, release: &str) -> Vec<String> {
    let prefix = format!("sh.helm.release.v1.{release}.");
    let secrets = zadig.objects(namespace, "Secret");
    let names = secrets
        .iter()
        .filter_map(|it| it["metadata"]["name"].as_str());
    names
        .filter_map(|name| name.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

/// Deploys `hweb` with these fields and lets it end.
async fn deploy(zadig: &Zadig, fields: &Value) {
    assert_eq!(zadig.post(ADD, &service(fields)).await.whole(), updating());
    zadig.settle();
}

fn live_image(zadig: &Zadig) -> Value {
    deployment(zadig)["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

async fn recorded(zadig: &Zadig) -> Value {
    let detail = zadig
        .get("/environments/dev?projectKey=shop-helm")
        .await
        .ok();
    detail["services"].clone()
}

async fn update_time(zadig: &Zadig) -> i64 {
    let list = zadig.get("/environments?projectKey=shop-helm").await.ok();
    list[0]["update_time"].as_i64().unwrap()
}

fn image_call(name: &str) -> Value {
    json!({
        "product_name": "shop-helm", "env_name": "dev", "service_name": "any", "name": "hweb", "container_name": "any",
        "image": name
    })
}

#[tokio::test]
async fn z17_28_the_detail_shows_where_the_values_name_an_image() {
    let zadig = running().await;
    assert_eq!(
        recorded(&zadig).await,
        json!([{
            "service_name": "hweb", "type": "helm", "status": "", "variable_kvs": [],
            "containers": [{
                "name": "hweb", "type": "", "image": image("hweb:v1"), "image_name": "hweb",
                "image_path": {"image": "image.repository", "tag": "image.tag"}
            }]
        }])
    );
}

#[tokio::test]
async fn z17_28_repository_and_tag_together_change_the_image() {
    let zadig = running().await;
    let yaml = format!("image: {{repository: {}, tag: v2}}", image("hweb"));
    deploy(&zadig, &json!({"values_yaml": yaml})).await;
    assert_eq!(live_image(&zadig), image("hweb:v2"));
    assert_eq!(
        recorded(&zadig).await[0]["containers"][0]["image"],
        image("hweb:v2")
    );
    deploy(&zadig, &json!({})).await;
    assert_eq!(
        live_image(&zadig),
        image("hweb:v2"),
        "recorded, so it stays"
    );
}

#[tokio::test]
async fn z17_28_single_values_stand_above_the_values_and_know_lists_and_types() {
    let zadig = empty_environment().await;
    deploy(
        &zadig,
        &json!({
            "values_yaml": "replicaCount: 2\nport: 1\nlist: [a]",
            "override_kvs": [
                {"key": "port", "value": 9090}, {"key": "image.tag", "value": "v3"}, {"key": "list[1].name", "value": "b"},
                {"key": "on", "value": true}, {"key": "text", "value": "007"}
            ]
        }),
    )
    .await;
    assert_eq!(
        values(&zadig).await,
        json!({
            "image": {"repository": image("hweb"), "tag": "v3"}, "port": 9090, "replicaCount": 2, "list": ["a", {"name": "b"}],
            "on": true, "text": "007"
        })
    );
    assert_eq!(live_image(&zadig), image("hweb:v3"));
}

#[tokio::test]
async fn z17_28_calls_do_not_wait_for_each_other() {
    let zadig = running().await;
    let first = zadig
        .post(ADD, &service(&json!({"values_yaml": "replicaCount: 3"})))
        .await;
    let second = zadig
        .post(ADD, &service(&json!({"values_yaml": "replicaCount: 4"})))
        .await;
    assert_eq!((first.whole(), second.whole()), (updating(), updating()));
    zadig.settle();
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 4);
    assert_eq!(revisions(&zadig, NAMESPACE, "hweb"), ["v1", "v2", "v3"]);
}

#[tokio::test]
async fn z17_28_a_release_that_the_cluster_refuses_is_tried_again_and_ends_in_failed() {
    let zadig = empty_environment().await;
    let answer = zadig
        .post(ADD, &service(&json!({"values_yaml": "port: 99999"})))
        .await;
    assert_eq!(answer.whole(), updating());
    zadig.advance(2_000);
    assert_eq!(status(&zadig).await, "updating");
    zadig.settle();
    assert_eq!(status(&zadig).await, "failed");
    assert_eq!(
        revisions(&zadig, NAMESPACE, "hweb"),
        ["v1", "v2", "v3", "v4"]
    );
    assert_eq!(deployment(&zadig), Value::Null);
    assert_eq!(
        recorded(&zadig).await[0]["service_name"],
        "hweb",
        "recorded all the same"
    );
    deploy(&zadig, &json!({})).await;
    assert_eq!(status(&zadig).await, "success");
    assert_eq!(deployment(&zadig)["status"]["readyReplicas"], 1);
}

#[tokio::test]
async fn z17_28_broken_values_record_nothing() {
    let zadig = empty_environment().await;
    deploy(&zadig, &json!({"values_yaml": "a: [b"})).await;
    assert_eq!(
        (status(&zadig).await.as_str(), recorded(&zadig).await),
        ("failed", json!([]))
    );
    assert_eq!(revisions(&zadig, NAMESPACE, "hweb"), Vec::<String>::new());
}

#[tokio::test]
async fn z17_28_an_imported_service_is_recorded_and_never_uninstalled() {
    let zadig = running().await;
    deploy(
        &zadig,
        &json!({"deploy_strategy": "import", "values_yaml": "replicaCount: 5"}),
    )
    .await;
    assert_eq!(revisions(&zadig, NAMESPACE, "hweb"), ["v1"]);
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 2);
    let body = json!({"env_key": "dev", "service_names": ["hweb"]});
    let path = "/environments/service/yaml?projectKey=shop-helm";
    assert_eq!(zadig.delete_with(path, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(recorded(&zadig).await, json!([]));
    assert_eq!(
        deployment(&zadig)["spec"]["replicas"],
        2,
        "imported, so it is not Zadig's to remove"
    );
}

#[tokio::test]
async fn z17_28_a_draft_of_4_3_is_recorded_and_not_applied() {
    let zadig = Zadig::with(Options {
        level: Some(Level::V43),
        ..virtual_time()
    })
    .await;
    assert_eq!(zadig.post(CREATE, &creation()).await.whole(), success());
    zadig.settle();
    deploy(&zadig, &json!({"deploy_strategy": "draft"})).await;
    assert_eq!(recorded(&zadig).await[0]["service_name"], "hweb");
    assert_eq!(deployment(&zadig), Value::Null);
}

#[tokio::test]
async fn z17_28_an_add_of_nothing_flips_the_status_and_changes_nothing() {
    let zadig = running().await;
    let before = (update_time(&zadig).await, recorded(&zadig).await);
    zadig.advance(5_000);
    let body = json!({"env_name": "dev", "services": []});
    assert_eq!(zadig.post(ADD, &body).await.whole(), updating());
    assert_eq!(status(&zadig).await, "updating");
    zadig.settle();
    assert_eq!(status(&zadig).await, "success");
    assert_eq!((update_time(&zadig).await, recorded(&zadig).await), before);
}

#[tokio::test]
async fn z17_28_a_removed_service_leaves_the_record_at_once_and_the_cluster_a_little_later() {
    let zadig = running().await;
    let before = update_time(&zadig).await;
    zadig.advance(5_000);
    let body = json!({"env_key": "dev", "service_names": ["hweb", "ghost"]});
    let path = "/environments/service/yaml?projectKey=shop-helm";
    assert_eq!(zadig.delete_with(path, &body).await.whole(), success());
    assert_eq!(recorded(&zadig).await, json!([]));
    assert!(update_time(&zadig).await > before);
    assert_ne!(deployment(&zadig), Value::Null);
    zadig.settle();
    assert_eq!(deployment(&zadig), Value::Null);
    assert_eq!(revisions(&zadig, NAMESPACE, "hweb"), Vec::<String>::new());
    assert_eq!(status(&zadig).await, "success", "no status changes");
    let path = "/environments/service/values?projectKey=shop-helm&envName=dev&serviceName=hweb";
    let text = "failed get chart values, projectKey: shop-helm, envName: dev, serviceName: hweb, err: release: not found";
    assert_eq!(zadig.get(path).await.whole(), wrapped(text));
}

#[tokio::test]
async fn z17_28_a_service_can_be_removed_and_its_release_kept() {
    let zadig = running().await;
    let body = json!({"env_key": "dev", "service_names": ["hweb"], "not_delete_resource": true});
    let path = "/environments/service/yaml?projectKey=shop-helm";
    assert_eq!(zadig.delete_with(path, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(recorded(&zadig).await, json!([]));
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 2);
    deploy(&zadig, &json!({})).await;
    assert_eq!(
        revisions(&zadig, NAMESPACE, "hweb"),
        ["v1", "v2"],
        "the release is upgraded"
    );
}

#[tokio::test]
async fn z17_28_one_release_of_a_namespace_belongs_to_one_environment() {
    let zadig = running().await;
    let mut other = creation();
    other["env_name"] = json!("qa");
    assert_eq!(zadig.post(CREATE, &other).await.whole(), success());
    zadig.settle();
    let mut body = service(&json!({}));
    body["env_name"] = json!("qa");
    assert_eq!(
        zadig.post(ADD, &body).await.whole(),
        coded(
            6076,
            "release is installed by other envs: hweb: shop-helm/dev"
        )
    );
}

#[tokio::test]
async fn z17_28_a_workload_is_looked_at_by_its_name_and_kind() {
    let zadig = running().await;
    let path = "/environments/dev/services/hweb?projectKey=shop-helm";
    let view = zadig
        .get(&format!("{path}&workLoadType=Deployment"))
        .await
        .ok();
    let scale = &view["scales"][0];
    assert_eq!(
        (
            &scale["name"],
            &scale["type"],
            &scale["replicas"],
            &scale["images"]
        ),
        (
            &json!("hweb"),
            &json!("Deployment"),
            &json!(2),
            &json!([{"name": "hweb", "image": image("hweb:v1"), "image_name": "hweb"}])
        )
    );
    assert_eq!(scale["pods"].as_array().unwrap().len(), 2);
    assert_eq!(
        view["service_endpoints"][0]["name"], "hweb",
        "the Service that leads to it"
    );
    let refused = coded(6083, "service hweb not found, unknow type");
    for kind in ["", "&workLoadType=Job", "&workLoadType=deployment"] {
        assert_eq!(
            zadig.get(&format!("{path}{kind}")).await.whole(),
            refused,
            "{kind}"
        );
    }
    for (kind, text) in [
        (
            "StatefulSet",
            "service hweb not found for statuefulSet, err: statefulset.apps \"hweb\" not found",
        ),
        (
            "CronJob",
            "service hweb not found for cronjob, err: cronjob.batch \"hweb\" not found",
        ),
    ] {
        let answer = zadig.get(&format!("{path}&workLoadType={kind}")).await;
        assert_eq!(answer.whole(), coded(6083, text));
    }
}

#[tokio::test]
async fn z17_28_an_image_call_goes_by_the_image_s_name_and_the_workload_s_release() {
    let zadig = running().await;
    let before = update_time(&zadig).await;
    zadig.advance(5_000);
    let path = "/environments/image/deployment/any";
    let answer = zadig
        .post(path, &image_call("mirror.example.com/hweb:v7"))
        .await;
    assert_eq!(answer.whole(), success());
    assert_eq!(live_image(&zadig), "mirror.example.com/hweb:v7");
    assert_eq!(
        (
            revisions(&zadig, NAMESPACE, "hweb"),
            update_time(&zadig).await > before
        ),
        (vec!["v1".to_owned(), "v2".to_owned()], true)
    );
    let answer = zadig.post(path, &image_call(&image("other:v1"))).await;
    assert_eq!(answer.whole(), success());
    assert_eq!(
        live_image(&zadig),
        "mirror.example.com/hweb:v7",
        "no image of that name"
    );
    let mut call = image_call(&image("hweb:v1"));
    call["name"] = json!("ghost");
    assert_eq!(
        zadig.post(path, &call).await.whole(),
        coded(6082, "failed to find resource ghost, type Deployment")
    );
    assert_eq!(revisions(&zadig, NAMESPACE, "hweb").len(), 3);
}

#[tokio::test]
async fn z17_28_scaling_asks_for_no_service_and_records_nothing() {
    let zadig = running().await;
    let before = update_time(&zadig).await;
    zadig.advance(5_000);
    let scale = |name: &str| {
        json!({
            "project_key": "shop-helm", "env_key": "dev", "service_name": "ghost", "workload_name": name,
            "workload_type": "Deployment", "target_replicas": 0
        })
    };
    let path = "/environments/scale";
    assert_eq!(zadig.post(path, &scale("hweb")).await.whole(), success());
    assert_eq!(deployment(&zadig)["spec"]["replicas"], 0);
    assert_eq!(update_time(&zadig).await, before);
    assert_eq!(zadig.post(path, &scale("ghost")).await.status, 500);
}

#[tokio::test]
async fn z17_28_a_restart_goes_by_the_workload_s_name() {
    let zadig = running().await;
    let before = zadig.pods(NAMESPACE, "hweb");
    let path = "/environments/dev/service/hweb/restart?projectKey=shop-helm";
    assert_eq!(zadig.post(path, &Value::Null).await.whole(), success());
    zadig.settle();
    let after = zadig.pods(NAMESPACE, "hweb");
    assert_eq!((before.len(), after.len()), (2, 2));
    assert!(before.iter().all(|pod| !after.contains(pod)));
    let path = "/environments/dev/service/ghost/restart?projectKey=shop-helm";
    assert_eq!(zadig.post(path, &Value::Null).await.whole(), success());
}

#[tokio::test]
async fn z17_28_a_deletion_uninstalls_in_a_foreign_namespace_too_and_can_leave_all() {
    let zadig = Zadig::start().await;
    zadig.kubectl(json!({"verb": "create", "kind": "Namespace", "name": NAMESPACE}));
    for (with_resources, left) in [("false", true), ("true", false)] {
        assert_eq!(zadig.post(CREATE, &creation()).await.whole(), success());
        zadig.settle();
        deploy(&zadig, &json!({})).await;
        let path = format!("/environments/dev?projectKey=shop-helm&isDelete={with_resources}");
        assert_eq!(zadig.delete(&path).await.whole(), success());
        zadig.settle();
        assert_eq!(zadig.namespace(NAMESPACE)["phase"], "Active");
        assert_eq!(deployment(&zadig) != Value::Null, left);
    }
}

#[tokio::test]
async fn z17_28_an_upgrade_that_a_restart_cuts_off_stays_updating_until_a_deletion() {
    let zadig = running().await;
    zadig
        .post(ADD, &service(&json!({"values_yaml": "replicaCount: 3"})))
        .await;
    zadig.sim.restart();
    zadig.settle();
    assert_eq!(status(&zadig).await, "updating");
    let path = "/environments/dev?projectKey=shop-helm&isDelete=true";
    assert_eq!(zadig.delete(path).await.whole(), success());
    zadig.settle();
    assert_eq!(status(&zadig).await, "absent");
}

#[tokio::test]
async fn z17_28_a_helm_environment_of_a_yaml_project_is_accepted() {
    let zadig = Zadig::start().await;
    let mut body = creation();
    body["namespace"] = json!("shop-env-h1");
    let path = "/environments/helm?projectKey=shop";
    assert_eq!(zadig.post(path, &body).await.whole(), success());
    assert_eq!(zadig.status("dev").await, "creating");
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
}

#[tokio::test]
async fn z17_28_each_refusal_of_a_helm_creation_has_its_code() {
    let zadig = Zadig::start().await;
    let mut body = creation();
    body["project_key"] = json!("shop-helm");
    assert_eq!(
        zadig.post("/environments/helm", &body).await.whole(),
        wrapped("project key is required"),
        "the query's counts"
    );
    let answer = zadig
        .send(reqwest::Method::POST, CREATE, "{".to_owned())
        .await;
    assert_eq!(answer.status, 500);
    body["cluster_id"] = json!("aaaaaaaaaaaaaaaaaaaaaaaa");
    let text = "failed to find cluster aaaaaaaaaaaaaaaaaaaaaaaa: mongo: no documents in result";
    assert_eq!(zadig.post(CREATE, &body).await.whole(), coded(6074, text));
    let mut body = creation();
    body["production"] = json!(true);
    body["namespace"] = json!("kube-system");
    let answer = zadig.post(CREATE, &body).await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(400))
    );
    body["production"] = json!(false);
    assert_eq!(
        zadig.user("viewer").post(CREATE, &body).await.bare(),
        empty(403)
    );
    assert_eq!(status(&zadig).await, "absent");
}

#[tokio::test]
async fn z17_28_each_refusal_of_a_helm_add_has_its_code() {
    let zadig = empty_environment().await;
    let answer = zadig.send(reqwest::Method::POST, ADD, "{".to_owned()).await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(400))
    );
    let git = json!({"import_values_from_git": {"codehost_name": "git", "repo": "r"}});
    let answer = zadig.post(ADD, &service(&git)).await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (400, json!(400))
    );
    let answer = zadig.user("viewer").post(ADD, &service(&json!({}))).await;
    assert_eq!(answer.bare(), empty(403));
    zadig.settle();
    assert_eq!(
        (status(&zadig).await.as_str(), recorded(&zadig).await),
        ("success", json!([]))
    );
}

#[tokio::test]
async fn z17_28_production_environments_of_helm_have_lists_and_values_of_their_own() {
    let zadig = Zadig::start().await;
    let mut body = creation();
    body["production"] = json!(true);
    assert_eq!(zadig.post(CREATE, &body).await.whole(), success());
    zadig.settle();
    let list = zadig
        .get("/environments/production?projectKey=shop-helm")
        .await
        .ok();
    assert_eq!(
        (&list[0]["env_key"], &list[0]["envName"]),
        (&json!("dev"), &json!("Dev"))
    );
    assert_eq!(status(&zadig).await, "absent");
    let mut body = service(&json!({}));
    body["production"] = json!(true);
    assert_eq!(zadig.post(ADD, &body).await.whole(), updating());
    zadig.settle();
    let query = "projectKey=shop-helm&envName=dev&serviceName=hweb";
    let path = format!("/environments/production/service/values?{query}");
    assert_eq!(zadig.get(&path).await.status, 200);
    let path = format!("/environments/service/values?{query}");
    assert_eq!(zadig.get(&path).await.status, 500, "another kind");
    let path = "/environments/production/dev?projectKey=shop-helm";
    assert_eq!(zadig.delete(path).await.whole(), success());
    zadig.settle();
    assert_ne!(
        deployment(&zadig),
        Value::Null,
        "nothing in the cluster is deleted"
    );
}

#[tokio::test]
async fn z17_28_production_of_helm_needs_a_licence_but_for_an_administrator_s_creation() {
    let zadig = Zadig::with(Options {
        licence: Some(Licence::None),
        ..virtual_time()
    })
    .await;
    let mut body = creation();
    body["production"] = json!(true);
    assert_eq!(zadig.post(CREATE, &body).await.whole(), success());
    let mut body = service(&json!({}));
    body["production"] = json!(true);
    let refused = coded_as(7050, "用户许可证不可用，请检查许可证后重试", "");
    assert_eq!(zadig.post(ADD, &body).await.whole(), refused);
}
