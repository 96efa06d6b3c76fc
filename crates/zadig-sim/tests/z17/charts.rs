//! A chart with what charts usually have: helpers, several workloads, several images, a naming rule of its own (Z§4.21, Z§10).

use serde_json::{Value, json};

use crate::support::{CLUSTER, REGISTRY, Zadig, image, success};

#[tokio::test]
async fn z17_28_charts_are_rendered_with_their_helpers() {
    let zadig = Zadig::start().await;
    let list = zadig.get("/environments?projectKey=lab").await.ok();
    assert_eq!(
        (&list[0]["env_key"], &list[0]["envName"], &list[0]["status"]),
        (&json!("old"), &json!("Old one"), &json!("success"))
    );
    let namespace = "lab-env-old";
    let config = zadig.object(namespace, "ConfigMap", "old-suite");
    assert_eq!(config["data"], json!({"greeting": "hello old-suite"}));
    let live = zadig.object(namespace, "Deployment", "old-suite");
    let template = &live["spec"]["template"];
    assert_eq!(
        template["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "suite", "app.kubernetes.io/instance": "old-suite"})
    );
    let images: Vec<&Value> = template["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["image"])
        .collect();
    assert_eq!(
        images,
        [&json!(image("suite:v1")), &json!(image("proxy:v1"))]
    );
    let view = |kind: &str, name: &str| {
        format!("/environments/old/services/{name}?projectKey=lab&workLoadType={kind}")
    };
    let set = zadig.get(&view("StatefulSet", "old-suite-db")).await.ok();
    assert_eq!(set["scales"][0]["replicas"], 1);
    let job = zadig.get(&view("CronJob", "old-suite-job")).await.ok();
    assert_eq!(
        (&job["cron_jobs"][0]["schedule"], &job["scales"]),
        (&json!("*/5 * * * *"), &json!([]))
    );
}

#[tokio::test]
async fn z17_28_an_upgrade_takes_away_what_the_chart_no_longer_has() {
    let zadig = Zadig::start().await;
    let upgrade = json!({"env_name": "old", "services": [{"service_name": "suite", "values_yaml": "db: {enabled: false}"}]});
    let path = "/environments/helm/old/services?projectKey=lab";
    assert_eq!(zadig.post(path, &upgrade).await.status, 200);
    zadig.settle();
    assert_eq!(
        zadig.objects("lab-env-old", "StatefulSet"),
        Vec::<Value>::new()
    );
    let config = zadig.object("lab-env-old", "ConfigMap", "old-suite");
    assert_eq!(config["data"], json!({"none": "true"}));
}

#[tokio::test]
async fn z17_28_the_parts_of_an_image_go_to_the_paths_that_the_chart_has() {
    let zadig = Zadig::start().await;
    let call = |image: &str| {
        json!({
            "product_name": "lab", "env_name": "old", "service_name": "suite", "name": "old-suite", "container_name": "x",
            "image": image
        })
    };
    let path = "/environments/image/deployment/old";
    assert_eq!(
        zadig
            .post(path, &call("mirror.example.com/deep/proxy:v2"))
            .await
            .whole(),
        success()
    );
    let path = "/environments/service/values?projectKey=lab&envName=old&serviceName=suite";
    let shown: Value = serde_saphyr::from_str(&zadig.get(path).await.text).unwrap();
    assert_eq!(
        shown["sidecar"],
        json!({"image": "mirror.example.com/deep/proxy:v2"})
    );
    assert_eq!(
        (&shown["registry"], &shown["image"]),
        (
            &json!("registry.example.com/main"),
            &json!({"repository": "suite", "tag": "v1"})
        ),
        "the other container's image is written into the values as well"
    );
}

#[tokio::test]
async fn z17_28_several_services_are_deployed_one_after_the_other() {
    let zadig = Zadig::start().await;
    let body = json!({
        "env_name": "both", "cluster_id": CLUSTER, "namespace": "lab-env-both", "registry_id": REGISTRY
    });
    assert_eq!(
        zadig
            .post("/environments/helm?projectKey=lab", &body)
            .await
            .whole(),
        success()
    );
    zadig.settle();
    let body = json!({"env_name": "both", "services": [{"service_name": "hweb"}, {"service_name": "suite"}]});
    let path = "/environments/helm/both/services?projectKey=lab";
    assert_eq!(zadig.post(path, &body).await.status, 200);
    zadig.advance(1_200);
    let status = |list: &Value| {
        let items = list.as_array().unwrap();
        items.iter().find(|it| it["env_key"] == "both").unwrap()["status"].clone()
    };
    let list = "/environments?projectKey=lab";
    assert_eq!(
        status(&zadig.get(list).await.ok()),
        "updating",
        "each takes its second"
    );
    zadig.settle();
    assert_eq!(status(&zadig.get(list).await.ok()), "success");
    let names: Vec<&str> = vec!["both-suite", "hweb"];
    let live = zadig.objects("lab-env-both", "Deployment");
    let live: Vec<&str> = live
        .iter()
        .map(|it| it["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(live, names);
}
