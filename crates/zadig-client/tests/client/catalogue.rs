//! The neighbouring routes of Z§15 and the pod routes of Z§12, which the recording does not hold:
//! bodies written from the contract, with invented values.

use serde_json::{Value, json};
use zadig_client::{
    Client, Cluster, ErrorClass, OperationLog, OperationLogPage, PodSummary, Project,
    ProjectDetail, Registry, Scope, ServicePods, TemplateContainer, TemplateSummary,
    TemplateVariable, VariableType,
};

use crate::server::{Server, answer, json as reply};

/// A server that gives this answer, and its client.
async fn stage(body: Value) -> (Server, Client) {
    let server = Server::start(move |_, _| {
        let response = reply(200, &body);
        async move { response }
    })
    .await;
    let client = server.client();
    (server, client)
}

fn targets(server: &Server) -> Vec<String> {
    let asked = server.asked().into_iter();
    asked
        .map(|asked| format!("{} {}", asked.method, asked.target))
        .collect()
}

fn variable(key: &str, value: &str, kind: VariableType, options: &[&str]) -> TemplateVariable {
    TemplateVariable {
        key: key.to_owned(),
        value: json!(value),
        kind,
        options: options.iter().map(ToString::to_string).collect(),
        desc: String::new(),
    }
}

#[tokio::test]
async fn projects_are_read_page_by_page_until_all_are_there() {
    let server = Server::start(|_, asked| async move {
        let page: u64 = asked
            .target
            .split("pageNum=")
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let projects: Vec<Value> = (0..250)
            .skip(usize::try_from(page - 1).unwrap() * 200)
            .take(200)
            .map(|number| json!({"project_key": format!("p{number}"), "deploy_type": "k8s"}))
            .collect();
        reply(200, &json!({"total": 250, "projects": projects}))
    })
    .await;
    let projects = server.client().projects().await.unwrap();
    let keys: Vec<String> = projects
        .iter()
        .map(|project| project.project_key.clone())
        .collect();
    assert_eq!(
        keys,
        (0..250)
            .map(|number| format!("p{number}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        targets(&server),
        [
            "GET /openapi/projects/project?pageSize=200&pageNum=1",
            "GET /openapi/projects/project?pageSize=200&pageNum=2",
        ]
    );

    let (_server, client) = stage(json!({"total": 1, "projects": [
        {"project_name": "Shop", "project_key": "shop", "description": "d", "deploy_type": "helm"},
    ]}))
    .await;
    let expected = Project {
        project_key: "shop".to_owned(),
        project_name: "Shop".to_owned(),
        description: "d".to_owned(),
        deploy_type: "helm".to_owned(),
    };
    assert_eq!(client.projects().await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_project_and_the_variables_it_declares_are_read() {
    let (server, client) = stage(json!({
        "project_name": "Shop", "project_key": "shop", "is_public": true, "desc": "d",
        "deploy_type": "k8s", "create_time": 1_763_900_000, "created_by": "alice",
    }))
    .await;
    let expected = ProjectDetail {
        project_key: "shop".to_owned(),
        project_name: "Shop".to_owned(),
        is_public: true,
        description: "d".to_owned(),
        deploy_type: "k8s".to_owned(),
    };
    assert_eq!(client.project("shop").await.unwrap(), expected);
    assert_eq!(
        targets(&server),
        ["GET /openapi/projects/project/detail?projectKey=shop"]
    );

    let (server, client) = stage(json!({
        "variables": [{"key": "a", "value": "x", "type": "enum", "options": ["x", "y"], "desc": ""}],
        "production_variables": null,
    }))
    .await;
    let declared = client.declared_variables("shop").await.unwrap();
    assert_eq!(
        declared.of(Scope::Test),
        [variable("a", "x", VariableType::Enum, &["x", "y"])]
    );
    assert_eq!(declared.of(Scope::Production), []);
    assert_eq!(
        targets(&server),
        ["GET /openapi/projects/project/globalVariable?projectKey=shop"]
    );
}

#[tokio::test]
async fn clusters_and_registries_are_read() {
    let (server, client) = stage(json!([{
        "cluster_id": "0123456789abcdef12345678", "name": "local", "production": false,
        "description": "", "provider": 0, "provider_name": "", "created_by": "", "created_time": 0,
        "local": true, "status": "normal", "type": "agent", "project_names": ["shop"],
    }]))
    .await;
    let expected = Cluster {
        cluster_id: "0123456789abcdef12345678".to_owned(),
        name: "local".to_owned(),
        production: false,
        local: true,
        status: "normal".to_owned(),
        project_names: vec!["shop".to_owned()],
    };
    assert_eq!(client.clusters().await.unwrap(), [expected]);
    // Never with a parameter: `projectName` wakes a middleware (Z§1.4).
    assert_eq!(targets(&server), ["GET /openapi/system/cluster"]);

    let (server, client) = stage(json!([{
        "registry_id": "6b04620901383fca57a37f93", "address": "https://registry.example.com",
        "provider": "native", "region": "", "namespace": "shop", "is_default": true,
    }]))
    .await;
    let expected = Registry {
        registry_id: "6b04620901383fca57a37f93".to_owned(),
        address: "https://registry.example.com".to_owned(),
        provider: "native".to_owned(),
        region: String::new(),
        namespace: "shop".to_owned(),
        is_default: true,
    };
    assert_eq!(client.registries().await.unwrap(), [expected]);
    assert_eq!(targets(&server), ["GET /openapi/system/registry"]);

    let (server, client) = stage(json!(true)).await;
    assert!(client.istio_installed("c1").await.unwrap());
    assert_eq!(targets(&server), ["GET /openapi/cluster/istio/check/c1"]);
}

#[tokio::test]
async fn service_templates_are_read_in_both_scopes() {
    let containers = json!([{"name": "web", "image": "r/web:1", "image_name": "web"}]);
    let container = TemplateContainer {
        name: "web".to_owned(),
        image: "r/web:1".to_owned(),
        image_name: "web".to_owned(),
    };
    let (server, client) = stage(json!([
        {"service_name": "web", "source": "spock", "type": "k8s", "containers": containers},
    ]))
    .await;
    let expected = TemplateSummary {
        service_name: "web".to_owned(),
        source: "spock".to_owned(),
        kind: "k8s".to_owned(),
        containers: vec![container.clone()],
    };
    for scope in [Scope::Test, Scope::Production] {
        let list = client.service_templates(scope, "shop").await.unwrap();
        assert_eq!(list, std::slice::from_ref(&expected));
    }
    assert_eq!(
        targets(&server),
        [
            "GET /openapi/service/yaml/services?projectKey=shop",
            "GET /openapi/service/yaml/production/services?projectKey=shop",
        ]
    );

    let (server, client) = stage(json!({
        "service_name": "web", "source": "spock", "type": "k8s", "template_name": "",
        "created_by": "alice", "created_time": 1_763_900_000, "yaml": "kind: Service\n",
        "containers": containers,
        "service_variable_kvs": [{"key": "a", "value": "x", "type": "string", "options": [], "desc": ""}],
    }))
    .await;
    let template = client
        .service_template(Scope::Production, "shop", "web")
        .await
        .unwrap();
    assert_eq!(
        (
            template.service_name.as_str(),
            template.yaml.as_str(),
            template.created_time
        ),
        ("web", "kind: Service\n", 1_763_900_000)
    );
    assert_eq!(template.containers, [container]);
    assert_eq!(
        template.variables,
        [variable("a", "x", VariableType::String, &[])]
    );
    assert_eq!(
        targets(&server),
        ["GET /openapi/service/yaml/production/web?projectKey=shop"]
    );
}

#[tokio::test]
async fn the_log_of_operations_is_read_without_the_bodies_of_requests() {
    let (server, client) = stage(json!({"total": 1, "operation_logs": [{
        "username": "alice", "project_key": "shop", "method": "PUT", "function": "update",
        "scene": "env", "targets": ["dev"], "detail": "d", "request_body": "hunter2",
        "body_type": "json", "status": 200, "created_at": 1_763_900_000,
    }]}))
    .await;
    let log = client.operation_log("shop", "dev", 1, 20).await.unwrap();
    let entry = OperationLog {
        username: "alice".to_owned(),
        project_key: "shop".to_owned(),
        method: "PUT".to_owned(),
        function: "update".to_owned(),
        scene: "env".to_owned(),
        targets: vec!["dev".to_owned()],
        detail: "d".to_owned(),
        status: 200,
        created_at: 1_763_900_000,
    };
    assert_eq!(
        log,
        OperationLogPage {
            logs: vec![entry],
            total: 1
        }
    );
    assert!(!format!("{log:?}").contains("hunter2"));
    assert_eq!(
        targets(&server),
        [
            "GET /openapi/system/operation/env?projectKey=shop&envName=dev&perPage=20&page=1&searchType=all"
        ]
    );
}

#[tokio::test]
async fn pods_are_read_from_a_zadig_that_has_the_route() {
    let (server, client) = stage(json!({"service_name": "web", "pods": [{
        "pod_name": "web-1", "status": "Running", "pod_ready": true, "containers_ready": true,
        "create_time": 1_763_900_000, "ip": "10.0.0.1", "images": ["r/web:1"],
        "workload_name": "web", "workload_type": "Deployment",
    }]}))
    .await;
    let pod = PodSummary {
        pod_name: "web-1".to_owned(),
        status: "Running".to_owned(),
        pod_ready: true,
        containers_ready: true,
        create_time: 1_763_900_000,
        ip: "10.0.0.1".to_owned(),
        images: vec!["r/web:1".to_owned()],
        workload_name: "web".to_owned(),
        workload_type: "Deployment".to_owned(),
    };
    let expected = ServicePods {
        service_name: "web".to_owned(),
        pods: vec![pod],
    };
    let pods = client
        .service_pods(Scope::Test, "shop", "dev", "web")
        .await
        .unwrap();
    assert_eq!(pods, expected);
    assert_eq!(
        targets(&server),
        ["GET /openapi/environments/dev/service/web/pods?projectKey=shop"]
    );

    let older = Server::start(|_, asked| async move {
        answer(
            404,
            Some("text/plain; charset=utf-8"),
            format!("Invalid path: {}", asked.target),
        )
    })
    .await;
    let client = older.client();
    let read = client
        .service_pods(Scope::Production, "shop", "dev", "web")
        .await
        .unwrap_err();
    let write = client
        .restart_pod(Scope::Test, "shop", "dev", "web", "web-1")
        .await
        .unwrap_err();
    assert_eq!(
        (read.class(), write.class(), write.outcome_unknown()),
        (ErrorClass::NotFoundRoute, ErrorClass::NotFoundRoute, false)
    );
    assert_eq!(
        targets(&older),
        [
            "GET /openapi/environments/production/dev/service/web/pods?projectKey=shop",
            "POST /openapi/environments/dev/service/web/pod/web-1/restart?projectKey=shop",
        ]
    );
}
