//! Variables of services and environments: Z§17 nos. 5, 6, 7, 8 and 20.

use serde_json::{Value, json};

use crate::support::{
    BUSY, OTHER_REGISTRY, Zadig, coded, creation, creation_with, success, wrapped,
};

const CREATE: &str = "/environments?projectKey=shop";
const VARIABLE: &str = "/environments/dev/variable?projectKey=shop";

fn deployment(documents: &[Value]) -> &Value {
    documents
        .iter()
        .find(|it| it["kind"] == "Deployment")
        .unwrap()
}

fn container(documents: &[Value]) -> &Value {
    &deployment(documents)["spec"]["template"]["spec"]["containers"][0]
}

/// An environment with global variables, `web` bound to `cpuLimit`.
async fn bound() -> Zadig {
    let zadig = Zadig::start().await;
    let fields = json!({
        "global_variables": [{"key": "cpuLimit", "value": "120m"}, {"key": "logLevel", "value": "warn"}],
        "services": [{"service_name": "web", "variable_kvs": [{"key": "cpuLimit", "use_global_variable": true}]}]
    });
    zadig.create_with(creation_with("dev", &[], &fields)).await;
    zadig
}

fn cpu_limit(value: &str, related: &[&str]) -> Value {
    json!({
        "key": "cpuLimit", "value": value, "type": "string", "options": [], "desc": "CPU limit",
        "related_services": related
    })
}

fn log_level(value: &str) -> Value {
    json!({
        "key": "logLevel", "value": value, "type": "enum", "options": ["debug", "info", "warn"], "desc": "log level",
        "related_services": []
    })
}

#[tokio::test]
async fn z17_05_the_detail_shows_template_defaults_and_the_yaml_the_environments_values() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .set(
            "dev",
            "web",
            json!([{"key": "replicas", "value": "3"}, {"key": "debug", "value": true}]),
        )
        .await;
    let shown = zadig.detail_of("dev", "web").await["variable_kvs"].clone();
    assert_eq!(
        shown,
        json!([
            {"key": "replicas", "value": "1", "type": "string", "options": [], "desc": "replicas"},
            {"key": "port", "value": "8080", "type": "string", "options": [], "desc": "port"},
            {"key": "cpuLimit", "value": "50m", "type": "string", "options": [], "desc": "cpu"},
            {"key": "logLevel", "value": "info", "type": "enum", "options": ["debug", "info", "warn"], "desc": "log level"},
            {"key": "debug", "value": false, "type": "bool", "options": [], "desc": "debug"}
        ])
    );
    let yaml = zadig.yaml("dev", "web").await;
    assert_eq!(deployment(&yaml)["spec"]["replicas"], 3);
    assert_eq!(
        container(&yaml)["env"][1],
        json!({"name": "DEBUG", "value": "true"})
    );
}

#[tokio::test]
async fn z17_05_the_rendered_text_has_go_s_form_and_system_variables() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web", "db"]).await;
    let path = "/environments/service/yaml?projectKey=shop&envName=dev&serviceName=web";
    let answer = zadig.get(path).await;
    assert_eq!(answer.bare().1, Some("text/plain; charset=utf-8"));
    assert!(answer.text.contains("\n\n---\n"), "{}", answer.text);
    let yaml = zadig.yaml("dev", "web").await;
    let workload = deployment(&yaml);
    assert_eq!(workload["metadata"]["creationTimestamp"], Value::Null);
    assert!(
        workload["metadata"]
            .as_object()
            .unwrap()
            .contains_key("creationTimestamp")
    );
    assert_eq!(
        (&workload["status"], &workload["spec"]["strategy"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(
        yaml[2]["data"]["GREETING"],
        "hello from dev in shop-env-dev (shop/web)"
    );
    assert_eq!(
        zadig.yaml("dev", "db").await[0]["status"],
        json!({"availableReplicas": 0, "replicas": 0})
    );
}

#[tokio::test]
async fn z17_05_the_yaml_of_what_is_unknown_is_empty_and_200() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    for query in [
        "projectKey=shop&envName=dev&serviceName=ghost",
        "projectKey=shop&envName=dev&serviceName=db",
        "projectKey=shop&envName=nope&serviceName=web",
        "projectKey=ghost&envName=dev&serviceName=web",
    ] {
        let answer = zadig
            .get(&format!("/environments/service/yaml?{query}"))
            .await;
        assert_eq!(
            answer.bare(),
            (200, Some("text/plain; charset=utf-8"), ""),
            "{query}"
        );
    }
    let answer = zadig
        .get("/environments/service/yaml?projectKey=shop&envName=dev")
        .await;
    assert_eq!(answer.whole(), coded(400, "serviceName cannot be empty"));
}

/// Puts a newer template with a variable and another image in the place of `plain`.
async fn revise(zadig: &Zadig) {
    let answer = zadig.delete("/service/yaml/plain?projectKey=shop").await;
    assert_eq!(answer.whole(), success());
    let yaml = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: plain
  annotations:
    colour: \"{{.colour}}\"
spec:
  replicas: 1
  selector:
    matchLabels:
      app: plain
  template:
    metadata:
      labels:
        app: plain
    spec:
      containers:
        - name: plain
          image: registry.example.com/main/plain:v2
";
    let body = json!({
        "service_name": "plain", "yaml": yaml,
        "variable_yaml": [{"key": "colour", "value": "blue", "type": "string", "options": [], "desc": ""}]
    });
    let answer = zadig.post("/service/yaml/raw?projectKey=shop", &body).await;
    assert_eq!(answer.whole(), success());
}

fn colour(documents: &[Value]) -> &Value {
    &deployment(documents)["metadata"]["annotations"]["colour"]
}

#[tokio::test]
async fn z17_06_an_update_moves_a_listed_service_to_the_latest_revision() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain", "web"]).await;
    revise(&zadig).await;
    zadig.update("dev", json!([{"service_name": "web"}])).await;
    assert_eq!(
        *colour(&zadig.yaml("dev", "plain").await),
        Value::Null,
        "it was not listed"
    );
    zadig
        .update("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(*colour(&zadig.yaml("dev", "plain").await), "blue");
    assert_eq!(
        zadig.images("dev", "plain").await,
        [("plain".to_owned(), crate::support::image("plain:v2"))],
        "images follow the template"
    );
}

#[tokio::test]
async fn z17_06_an_image_that_was_set_survives_a_new_revision() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let body = json!({
        "product_name": "shop", "env_name": "dev", "service_name": "plain", "name": "plain", "container_name": "plain",
        "image": crate::support::image("plain:mine")
    });
    assert_eq!(
        zadig
            .post("/environments/image/deployment/dev", &body)
            .await
            .whole(),
        success()
    );
    revise(&zadig).await;
    zadig
        .update("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(
        zadig.images("dev", "plain").await,
        [("plain".to_owned(), crate::support::image("plain:mine"))]
    );
}

#[tokio::test]
async fn z17_06_a_key_that_is_new_in_the_template_needs_its_type() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    revise(&zadig).await;
    zadig
        .set("dev", "plain", json!([{"key": "colour", "value": "red"}]))
        .await;
    assert_eq!(
        *colour(&zadig.yaml("dev", "plain").await),
        "blue",
        "without a type: the default"
    );
    zadig
        .set(
            "dev",
            "plain",
            json!([{"key": "colour", "value": "red", "type": "bool"}]),
        )
        .await;
    assert_eq!(
        *colour(&zadig.yaml("dev", "plain").await),
        "blue",
        "another type: the value kept"
    );
    zadig
        .set(
            "dev",
            "plain",
            json!([{"key": "colour", "value": "red", "type": "string"}]),
        )
        .await;
    assert_eq!(*colour(&zadig.yaml("dev", "plain").await), "red");
}

#[tokio::test]
async fn z17_06_a_service_that_an_update_adds_needs_the_types_of_its_values() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["plain"]).await;
    let variables = json!([
        {"key": "replicas", "value": "2"}, {"key": "port", "value": "9090", "type": "string"}
    ]);
    zadig.set("dev", "web", variables).await;
    let yaml = zadig.yaml("dev", "web").await;
    assert_eq!(
        (
            &yaml[0]["spec"]["replicas"],
            &container(&yaml)["ports"][0]["containerPort"]
        ),
        (&json!(1), &json!(9090))
    );
}

#[tokio::test]
async fn z17_06_an_update_keeps_values_and_drops_unknown_keys() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "2"}]))
        .await;
    let generation =
        || zadig.object("shop-env-dev", "Deployment", "web")["metadata"]["generation"].clone();
    let before = generation();
    zadig
        .set(
            "dev",
            "web",
            json!([{"key": "nokey", "value": "x", "type": "string"}]),
        )
        .await;
    assert_eq!(
        deployment(&zadig.yaml("dev", "web").await)["spec"]["replicas"],
        2
    );
    assert_eq!(generation(), before, "nothing is applied");
}

#[tokio::test]
async fn z17_06_a_binding_that_is_not_repeated_is_lost_but_its_value_stays() {
    let zadig = bound().await;
    assert_eq!(
        zadig.globals("dev").await["cpuLimit"]["related_services"],
        json!(["web"])
    );
    zadig
        .set("dev", "web", json!([{"key": "replicas", "value": "2"}]))
        .await;
    assert_eq!(
        zadig.globals("dev").await["cpuLimit"]["related_services"],
        json!([])
    );
    assert_eq!(
        container(&zadig.yaml("dev", "web").await)["resources"]["limits"]["cpu"],
        "120m"
    );
}

#[tokio::test]
async fn z17_06_a_binding_takes_the_global_value_and_one_that_the_environment_lacks_is_dropped() {
    let zadig = bound().await;
    let variables = json!([
        {"key": "logLevel", "value": "debug", "use_global_variable": true},
        {"key": "port", "value": "9091", "use_global_variable": true}
    ]);
    zadig.set("dev", "web", variables).await;
    let yaml = zadig.yaml("dev", "web").await;
    assert_eq!(container(&yaml)["env"][0]["value"], "warn");
    assert_eq!(container(&yaml)["ports"][0]["containerPort"], 9091);
    assert_eq!(
        zadig.globals("dev").await["logLevel"]["related_services"],
        json!(["web"])
    );
}

#[tokio::test]
async fn z17_07_variables_are_replaced_as_a_whole_and_reach_the_bound_services() {
    let zadig = bound().await;
    let body = json!({"global_variables": [cpu_limit("300m", &["web"]), log_level("info")]});
    assert_eq!(zadig.put(VARIABLE, &body).await.whole(), success());
    assert_eq!(zadig.status("dev").await, "updating");
    zadig.settle();
    assert_eq!(zadig.status("dev").await, "success");
    assert_eq!(
        container(&zadig.yaml("dev", "web").await)["resources"]["limits"]["cpu"],
        "300m"
    );
    let globals = zadig.globals("dev").await;
    assert_eq!(globals["cpuLimit"], cpu_limit("300m", &["web"]));
    assert_eq!(globals["logLevel"]["value"], "info");
    let body = json!({"global_variables": [cpu_limit("300m", &["web"])]});
    assert_eq!(zadig.put(VARIABLE, &body).await.whole(), success());
    zadig.settle();
    assert_eq!(
        zadig.globals("dev").await.into_keys().collect::<Vec<_>>(),
        ["cpuLimit"]
    );
}

#[tokio::test]
async fn z17_07_variables_are_stored_as_sent_so_a_short_one_loses_its_bindings() {
    let zadig = bound().await;
    let short = json!({"key": "cpuLimit", "value": "300m"});
    let body = json!({"global_variables": [short, log_level("warn")]});
    zadig.put(VARIABLE, &body).await;
    zadig.settle();
    let stored = zadig.globals("dev").await["cpuLimit"].clone();
    assert_eq!(
        (&stored["value"], &stored["type"]),
        (&json!("300m"), &json!(""))
    );
    assert_ne!(stored["related_services"], json!(["web"]));
    zadig
        .put(
            VARIABLE,
            &json!({"global_variables": [{"key": "cpuLimit", "value": "400m"}, log_level("warn")]}),
        )
        .await;
    zadig.settle();
    let cpu = container(&zadig.yaml("dev", "web").await)["resources"]["limits"]["cpu"].clone();
    assert_ne!(cpu, "400m", "a later change no longer reaches the service");
}

#[tokio::test]
async fn z17_07_a_binding_created_without_its_global_variable_breaks_every_update_of_the_service() {
    let zadig = Zadig::start().await;
    let variables = json!([{"key": "cpuLimit", "value": "70m", "use_global_variable": true}]);
    let fields = json!({"services": [
        {"service_name": "web", "variable_kvs": variables}, {"service_name": "plain"}
    ]});
    zadig
        .create_with(crate::support::creation_with("dev", &[], &fields))
        .await;
    assert_eq!(zadig.status("dev").await, "success");
    let web = zadig
        .put_services("dev", json!([{"service_name": "web"}]))
        .await;
    assert_eq!(web.bare(), crate::support::empty(500));
    let plain = zadig
        .put_services("dev", json!([{"service_name": "plain"}]))
        .await;
    assert_eq!(plain.whole(), success());
}

#[tokio::test]
async fn z17_07_a_bound_variable_cannot_be_deleted() {
    let zadig = bound().await;
    let answer = zadig
        .put(VARIABLE, &json!({"global_variables": [log_level("warn")]}))
        .await;
    let text = "global variable cpuLimit is used by service [web], can't delete it";
    assert_eq!(answer.whole(), coded(6076, text));
    assert_eq!(zadig.globals("dev").await.len(), 2);
}

#[tokio::test]
async fn z17_07_a_new_variable_must_be_declared_and_come_without_services() {
    let zadig = bound().await;
    let put = async |variable: Value| {
        let body =
            json!({"global_variables": [cpu_limit("120m", &["web"]), log_level("warn"), variable]});
        zadig.put(VARIABLE, &body).await.whole()
    };
    assert_eq!(
        put(json!({"key": "ghost", "value": "x"})).await,
        coded(
            6076,
            "added global variable ghost is not in project's global variable list"
        )
    );
    assert_eq!(
        put(json!({"key": "port", "value": "1", "related_services": ["web"]})).await,
        coded(
            6076,
            "UNEXPECT ERROR: global variable port is new, but RelatedServices is not empty"
        )
    );
    assert_eq!(put(json!({"key": "port", "value": "1"})).await, success());
}

#[tokio::test]
async fn z17_07_a_change_that_reaches_no_service_moves_no_update_time() {
    let zadig = bound().await;
    let before = zadig.update_time("dev").await;
    let body = json!({"global_variables": [cpu_limit("120m", &["web"]), log_level("debug")]});
    assert_eq!(zadig.put(VARIABLE, &body).await.whole(), success());
    assert_eq!(
        zadig.status("dev").await,
        "success",
        "nothing goes on after the answer"
    );
    assert_eq!(zadig.globals("dev").await["logLevel"]["value"], "debug");
    zadig.settle();
    assert_eq!(zadig.update_time("dev").await, before);
}

#[tokio::test]
async fn z17_07_equal_variables_store_nothing_and_a_missing_environment_is_500() {
    let zadig = bound().await;
    let body = json!({"global_variables": [cpu_limit("120m", &["web"]), log_level("warn")]});
    assert_eq!(zadig.put(VARIABLE, &body).await.whole(), success());
    assert_eq!(zadig.status("dev").await, "success");
    let answer = zadig
        .put("/environments/nope/variable?projectKey=shop", &body)
        .await;
    let text = "GetProductEnv envName:nope productName: shop error, error msg:mongo: no documents in result";
    assert_eq!(answer.whole(), wrapped(text));
}

#[tokio::test]
async fn z17_08_update_time_is_in_seconds_and_moves_with_creation_and_every_update() {
    let zadig = Zadig::start().await;
    let second = || zadig.sim.now().as_second();
    zadig.advance(700);
    let inserted_at = second();
    zadig.post(CREATE, &creation("dev", &["web"])).await;
    assert_eq!(zadig.update_time("dev").await, inserted_at);
    zadig.settle();
    let created = zadig.update_time("dev").await;
    assert!(
        created > inserted_at && created <= second(),
        "{inserted_at} {created}"
    );
    let before = second();
    zadig.update("dev", json!([])).await;
    assert!(
        zadig.update_time("dev").await >= before,
        "an empty update moves it too"
    );
    assert_eq!(
        zadig.detail("dev").await["update_time"],
        zadig.update_time("dev").await
    );
}

#[tokio::test]
async fn z17_08_one_update_moves_update_time_several_times() {
    use std::time::Duration;
    use zadig_sim::{Options, Pace};
    let pace = Pace {
        update_background: Duration::from_secs(30),
        ..Pace::default()
    };
    let zadig = Zadig::with(Options {
        pace,
        ..crate::support::virtual_time()
    })
    .await;
    zadig.create("dev", &["web", "db"]).await;
    let mut times = vec![zadig.update_time("dev").await];
    zadig
        .put_services(
            "dev",
            json!([{"service_name": "web"}, {"service_name": "db"}]),
        )
        .await;
    for _ in 0..40 {
        zadig.advance(1_000);
        times.push(zadig.update_time("dev").await);
    }
    times.dedup();
    assert!(times.len() > 2, "{times:?}");
}

#[tokio::test]
async fn z17_08_update_time_does_not_move_with_edit_configs_restart_and_foreign_changes() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    let before = zadig.update_time("dev").await;
    zadig
        .put(
            "/environments/dev?projectKey=shop",
            &json!({"registry_id": OTHER_REGISTRY}),
        )
        .await;
    let config = json!({
        "name": "web-config", "env_key": "dev", "common_env_cfg_type": "ConfigMap",
        "yaml_data": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web-config\ndata:\n  k: v\n"
    });
    assert_eq!(
        zadig
            .put("/environments/envcfgs?projectKey=shop", &config)
            .await
            .whole(),
        success()
    );
    zadig
        .post(
            "/environments/dev/service/web/restart?projectKey=shop",
            &Value::Null,
        )
        .await;
    zadig.kubectl(json!({
        "verb": "scale", "kind": "Deployment", "namespace": "shop-env-dev", "name": "web", "replicas": 4
    }));
    zadig.settle();
    assert_eq!(zadig.update_time("dev").await, before);
    assert_eq!(zadig.listed("dev").await["registry_id"], OTHER_REGISTRY);
}

#[tokio::test]
async fn z17_20_an_enum_is_checked_on_creation_and_on_scaling_but_not_on_update() {
    let zadig = Zadig::start().await;
    let loud = json!([{"key": "logLevel", "value": "loud"}]);
    let services = json!({"services": [{"service_name": "web", "variable_kvs": loud}]});
    let create = zadig
        .post(CREATE, &creation_with("dev", &[], &services))
        .await;
    let reason = "invaild value for enum, key: logLevel, value: loud, options: [debug info warn]";
    assert_eq!(
        create.whole(),
        coded(6074, &format!("failed to render variable: {reason}"))
    );
    zadig.create("dev", &["web"]).await;
    zadig.set("dev", "web", loud).await;
    assert_eq!(
        container(&zadig.yaml("dev", "web").await)["env"][0]["value"],
        "loud"
    );
    let scale = json!({
        "project_key": "shop", "env_key": "dev", "service_name": "web", "workload_name": "web",
        "workload_type": "Deployment", "target_replicas": 2
    });
    let text = format!(
        "failed to merge render variables for service web: failed to convert render variable kv to yaml, err: {reason}"
    );
    assert_eq!(
        zadig.post("/environments/scale", &scale).await.whole(),
        coded(6081, &text)
    );
    zadig
        .set("dev", "web", json!([{"key": "logLevel", "value": "warn"}]))
        .await;
    assert_eq!(
        zadig.post("/environments/scale", &scale).await.whole(),
        success()
    );
}

#[tokio::test]
async fn z17_20_a_missing_value_renders_nil_and_is_refused_where_a_workload_cannot_hold_it() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .set("dev", "web", json!([{"key": "logLevel", "value": null}]))
        .await;
    assert_eq!(
        container(&zadig.yaml("dev", "web").await)["env"][0]["value"],
        "<nil>"
    );
    let answer = zadig
        .put_services(
            "dev",
            json!([{"service_name": "web", "variable_kvs": [{"key": "replicas"}]}]),
        )
        .await;
    assert_eq!(answer.status, 500);
    let start = "1 error occurred:\n\t* 更新环境失败: failed to reconcile replica overrides for service web: unmarshal Deployment error: ";
    assert!(answer.description().starts_with(start), "{answer:?}");
    assert_ne!(answer.description(), BUSY);
}

#[tokio::test]
async fn z17_20_numbers_and_words_are_taken_for_strings_and_booleans() {
    let zadig = Zadig::start().await;
    zadig.create("dev", &["web"]).await;
    zadig
        .set(
            "dev",
            "web",
            json!([{"key": "replicas", "value": 2}, {"key": "debug", "value": "true"}]),
        )
        .await;
    let yaml = zadig.yaml("dev", "web").await;
    assert_eq!(deployment(&yaml)["spec"]["replicas"], 2);
    assert_eq!(container(&yaml)["env"][1]["value"], "true");
}
