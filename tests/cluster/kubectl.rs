//! What kubectl shows: columns, selectors, and one event for each transition.

use http::Request;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use zadig_operator::api::connection::ZadigConnection;
use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{EnvironmentFixture, World, is_ready, scenario};

#[test]
fn environments_are_selected_by_project_and_key() {
    scenario(async |world| {
        let suspended = |name: &str| world.environment(name).field("suspend", true);
        world.apply(&suspended("dev")).await;
        world.apply(&suspended("qa")).await;
        world
            .apply(&suspended("elsewhere").field("projectKey", "another"))
            .await;
        let selected = async |selector: String| {
            let params = ListParams::default().fields(&selector);
            let list = world.api::<ZadigEnvironment>().list(&params).await;
            let items = list.expect("the selector is known").items;
            let mut names: Vec<String> = items.iter().map(ResourceExt::name_any).collect();
            names.sort();
            names
        };
        let project = &world.zadig.project;
        let (dev, qa) = (world.env_key("dev"), world.env_key("qa"));
        assert_eq!(
            selected(format!("spec.projectKey={project}")).await,
            ["dev", "qa"]
        );
        assert_eq!(selected(format!("spec.envKey={qa}")).await, ["qa"]);
        assert_eq!(
            selected(format!("spec.projectKey!={project}")).await,
            ["elsewhere"]
        );
        assert_eq!(
            selected(format!("spec.projectKey={project},spec.envKey={dev}")).await,
            ["dev"]
        );
    });
}

/// The table that `kubectl get` prints: titles of columns, and the cells of the one row by title.
async fn table(world: &World, plural: &str, wide: bool) -> Vec<(String, Value)> {
    let path = format!(
        "/apis/zadig-operator.io/v1alpha1/namespaces/{}/{plural}",
        world.namespace
    );
    let request = Request::get(path)
        .header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .expect("a request");
    let table: Value = world
        .client
        .request(request)
        .await
        .expect("the API server prints tables");
    let columns = table["columnDefinitions"].as_array().expect("columns");
    let cells = table["rows"][0]["cells"].as_array().expect("one row");
    columns
        .iter()
        .zip(cells)
        .filter(|(column, _)| wide || column["priority"] == json!(0))
        .map(|(column, cell)| {
            let title = column["name"].as_str().unwrap_or_default();
            (title.to_owned(), cell.clone())
        })
        .filter(|(title, _)| title != "Age")
        .collect()
}

fn row(cells: &[(&str, Value)]) -> Vec<(String, Value)> {
    let owned = |(title, cell): &(&str, Value)| ((*title).to_owned(), cell.clone());
    cells.iter().map(owned).collect()
}

#[test]
fn get_answers_whether_it_is_up_and_in_sync_and_how_many_services() {
    scenario(async |world| {
        let env = world.environment("dev").service("plain").service("web");
        world.apply(&env).await;
        world.await_ready("dev").await;
        let key = world.env_key("dev");
        let project = world.zadig.project.as_str();
        let expected = [
            ("Name", json!("dev")),
            ("Ready", json!("True")),
            ("Reason", json!("Ready")),
            ("Status", json!("success")),
            ("Synced", json!("True")),
            ("Drifted", Value::Null),
            ("Services", json!("2/2")),
            ("Project", json!(project)),
            ("Env", json!(key)),
        ];
        assert_eq!(
            table(world, "zadigenvironments", false).await,
            row(&expected)
        );
        let wide = [
            ("Expires", Value::Null),
            ("Target", json!(format!("{project}-env-{key}"))),
            ("Connection", json!("default")),
            (
                "URL",
                json!(format!(
                    "{}/v1/projects/detail/{project}/envs/detail?envName={key}",
                    world.zadig.url
                )),
            ),
            ("Management", json!("Enforce")),
            ("Plan", Value::Null),
            ("Message", json!("everything declared is so and healthy")),
        ];
        let expected = [&expected[..], &wide[..]].concat();
        assert_eq!(
            table(world, "zadigenvironments", true).await,
            row(&expected)
        );
    });
}

#[test]
fn get_of_a_connection_answers_whether_it_can_be_used_and_what_it_leads_to() {
    scenario(async |world| {
        world
            .apply(&world.environment("dev").service("plain"))
            .await;
        world.await_ready("dev").await;
        let connection = world
            .await_that::<ZadigConnection>("default", "Ready with its user counted", |connection| {
                let status = connection.status.clone().unwrap_or_default();
                is_ready(connection) && status.environments == Some(1)
            })
            .await;
        let server = connection.status.and_then(|status| status.server);
        let server = server.expect("the server was probed");
        let expected = [
            ("Name", json!("default")),
            ("Ready", json!("True")),
            ("Reason", json!("Ready")),
            ("URL", json!(world.zadig.url)),
            ("API", json!(server.api_level)),
            ("Licence", json!(server.licence)),
            ("Environments", json!(1)),
        ];
        assert_eq!(
            table(world, "zadigconnections", false).await,
            row(&expected)
        );
    });
}

#[test]
fn there_is_one_event_for_each_transition_and_each_change() {
    scenario(async |world| {
        // An environment that is seen before its connection says so.
        world
            .await_that::<ZadigConnection>("default", "Ready", is_ready)
            .await;
        let image = |tag: &str| format!("registry.example.com/reg-main/plain:{tag}");
        let env = world
            .environment("dev")
            .image("plain", "plain", &image("v1"));
        world.apply(&env).await;
        world.await_ready("dev").await;
        world
            .apply(&env.image("plain", "plain", &image("v2")))
            .await;
        let running = async || {
            let key = world.env_key("dev");
            world.zadig.running_image(&key, "plain", "plain").await
        };
        world
            .eventually("the image is there", async || {
                running().await == Some(image("v2"))
            })
            .await;
        world.await_ready("dev").await;
        let told = async || {
            let events = world.events("dev").await;
            let reasons: Vec<String> = events.into_iter().map(|(reason, _)| reason).collect();
            reasons
        };
        world
            .eventually("the last event is there", async || {
                told()
                    .await
                    .iter()
                    .filter(|reason| *reason == "Ready")
                    .count()
                    == 2
            })
            .await;
        // How often it is seen waiting for pods depends on how fast they start.
        let told: Vec<String> = told()
            .await
            .into_iter()
            .filter(|reason| !matches!(reason.as_str(), "Creating" | "Progressing"))
            .collect();
        let expected = [
            "EnvironmentCreated",
            "Applying",
            "Ready",
            "ImageSet",
            "Applying",
            "Ready",
        ];
        assert_eq!(told, expected);
        let changes: Vec<String> = world
            .events("dev")
            .await
            .into_iter()
            .filter(|(reason, _)| reason == "ImageSet")
            .map(|(_, note)| note)
            .collect();
        let note = format!("set image plain/plain {} → {}", image("v1"), image("v2"));
        assert_eq!(changes, [note]);
    });
}
