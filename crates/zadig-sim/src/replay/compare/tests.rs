//! Each class of difference is found, and what is bound to the setting is none.

use serde_json::{Value, json};

use super::super::rules::UPDATE_TIME_TOLERANCE;
use super::*;

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn recorded(path: &str, body: &Value) -> Exchange {
    serde_json::from_value(json!({
        "name": "some.record", "method": "GET", "path": path, "query": {"projectKey": "p"}, "authorization": "valid",
        "status": 200, "response_headers": {"content-type": JSON}, "response_body": body, "response_is_json": true,
        "ts": "2026-01-01T00:00:00+00:00", "elapsed_ms": 1.0
    }))
    .unwrap()
}

fn recorded_text(path: &str, body: &str) -> Exchange {
    let mut exchange = recorded(path, &json!(body));
    exchange.response_is_json = false;
    exchange.response_headers = json!({"content-type": TEXT}).as_object().unwrap().clone();
    exchange
}

fn answer(body: &Value) -> Answer {
    Answer {
        status: 200,
        content_type: Some(JSON.to_owned()),
        body: body.to_string().into_bytes(),
    }
}

fn answer_text(body: &str) -> Answer {
    Answer {
        status: 200,
        content_type: Some(TEXT.to_owned()),
        body: body.as_bytes().to_vec(),
    }
}

fn quiet(exchange: &Exchange) -> Circumstances<'_> {
    Circumstances {
        path: &exchange.path,
        rolling: false,
        update_tolerance: UPDATE_TIME_TOLERANCE,
        just_deleted: false,
    }
}

/// The lines without the name of the record, sorted.
fn lines(exchange: &Exchange, answer: &Answer, circumstances: &Circumstances<'_>) -> Vec<String> {
    let mut lines: Vec<String> = compare(exchange, answer, circumstances)
        .into_iter()
        .map(|difference| format!("{}: {}", difference.path, difference.text))
        .collect();
    // The order of keys in an object says nothing.
    lines.sort();
    lines
}

fn body_lines(path: &str, expected: &Value, got: &Value) -> Vec<String> {
    let exchange = recorded(path, expected);
    lines(&exchange, &answer(got), &quiet(&exchange))
}

const DETAIL: &str = "/openapi/environments/dev";
const LIST: &str = "/openapi/environments";

#[test]
fn an_equal_answer_has_no_difference() {
    let body =
        json!({"status": "success", "services": [{"service_name": "web", "status": "running"}]});
    assert_eq!(body_lines(DETAIL, &body, &body), Vec::<String>::new());
}

#[test]
fn another_status_is_found_and_both_bodies_are_shown() {
    let exchange = recorded(DETAIL, &json!({"message": "success"}));
    let refused = Answer {
        status: 500,
        ..answer(&json!({"code": 500}))
    };
    assert_eq!(
        lines(&exchange, &refused, &quiet(&exchange)),
        [r#"status: expected 200 {"message":"success"}, got 500 {"code":500}"#]
    );
}

#[test]
fn another_content_type_is_found() {
    let exchange = recorded(DETAIL, &json!([]));
    let bare = Answer {
        content_type: None,
        ..answer(&json!([]))
    };
    assert_eq!(
        lines(&exchange, &bare, &quiet(&exchange)),
        ["content-type: expected application/json; charset=utf-8, got none"]
    );
}

#[test]
fn a_missing_key_an_extra_key_and_another_type_are_found() {
    assert_eq!(
        body_lines(
            DETAIL,
            &json!({"status": "success", "update_by": "admin", "production": false}),
            &json!({"status": "success", "production": "false", "alias": ""})
        ),
        [
            "body.production: expected a boolean, got a string \"false\"",
            "body: extra key \"alias\": \"\"",
            "body: missing key \"update_by\", expected \"admin\""
        ]
    );
}

#[test]
fn another_code_description_or_value_is_found() {
    assert_eq!(
        body_lines(
            DETAIL,
            &json!({"code": 6076, "description": "环境不存在", "message": "更新环境失败"}),
            &json!({"code": 6077, "description": "环境已存在", "message": "更新环境失败 "})
        ),
        [
            "body.code: expected 6076, got 6077",
            "body.description: expected \"环境不存在\", got \"环境已存在\"",
            "body.message: expected \"更新环境失败\", got \"更新环境失败 \""
        ]
    );
}

#[test]
fn a_number_is_no_fraction_and_null_is_no_list() {
    assert_eq!(
        body_lines(
            DETAIL,
            &json!({"a": 1, "b": []}),
            &json!({"a": 1.0, "b": null})
        ),
        [
            "body.a: expected an integer, got a fraction 1.0",
            "body.b: expected a list, got null null"
        ]
    );
}

#[test]
fn environments_and_services_are_compared_by_key() {
    let list = |names: [&str; 2]| json!([{"env_key": names[0]}, {"env_key": names[1]}]);
    assert_eq!(
        body_lines(LIST, &list(["a", "b"]), &list(["b", "a"])),
        Vec::<String>::new()
    );
    assert_eq!(
        body_lines(LIST, &list(["a", "b"]), &list(["b", "c"])),
        ["body: extra item \"c\"", "body: missing item \"a\""]
    );
    let services = |status: &str| {
        let mut services = vec![
            json!({"service_name": "web", "status": status}),
            json!({"service_name": "db", "status": "running"}),
        ];
        if status != "running" {
            services.reverse();
        }
        json!({"services": services})
    };
    assert_eq!(
        body_lines(DETAIL, &services("running"), &services("unstart")),
        ["body.services[web].status: expected \"running\", got \"unstart\""]
    );
}

#[test]
fn related_services_are_a_set_and_options_a_sequence() {
    let variable = |options: [&str; 2], related: [&str; 2]| json!([{"key": "k", "options": options, "related_services": related}]);
    let path = "/openapi/environments/dev/variable";
    assert_eq!(
        body_lines(
            path,
            &variable(["x", "y"], ["a", "b"]),
            &variable(["x", "y"], ["b", "a"])
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        body_lines(
            path,
            &variable(["x", "y"], ["a", "b"]),
            &variable(["y", "x"], ["b", "c"])
        ),
        [
            r#"body[k].options: expected ["x","y"], got ["y","x"]"#,
            r#"body[k].related_services: expected ["a","b"], got ["b","c"]"#
        ]
    );
}

#[test]
fn the_order_of_containers_and_of_configuration_objects_counts() {
    let images = |names: [&str; 2]| json!({"images": [{"name": names[0]}, {"name": names[1]}]});
    assert_eq!(
        body_lines(
            "/openapi/environments/dev/services/web",
            &images(["new", "web"]),
            &images(["web", "new"])
        ),
        ["body.images: expected the order new, web, got web, new"]
    );
    assert_eq!(
        body_lines(
            "/openapi/environments/dev/envcfgs",
            &json!([{"name": "a"}, {"name": "b"}]),
            &json!([{"name": "b"}, {"name": "a"}])
        ),
        ["body: expected the order a, b, got b, a"]
    );
}

#[test]
fn update_time_is_compared_with_a_tolerance() {
    let at = |time: i64| json!([{"env_key": "a", "update_time": time}]);
    assert_eq!(body_lines(LIST, &at(1000), &at(1002)), Vec::<String>::new());
    assert_eq!(
        body_lines(LIST, &at(1000), &at(997)),
        ["body[a].update_time: expected 1000 within 2 s, got 997 (-3 s)"]
    );
}

fn pod(name: &str, image: &str) -> Value {
    json!({
        "name": name, "ip": "10.0.0.1", "age": "1m", "labels": {"app": "web", "pod-template-hash": "x"},
        "containers": [{"name": "web", "image": image}]
    })
}

fn service(pods: &[Value]) -> Value {
    json!({"scales": [{"name": "web", "replicas": 1, "pods": pods}]})
}

#[test]
fn pods_are_compared_without_names_and_ages_but_with_images_and_counts() {
    let path = "/openapi/environments/dev/services/web";
    let expected = service(&[pod("web-1", "i:v1")]);
    let mut renamed = pod("web-2", "i:v1");
    renamed["ip"] = json!("10.0.0.2");
    renamed["age"] = json!("2m");
    renamed["labels"]["pod-template-hash"] = json!("y");
    assert_eq!(
        body_lines(path, &expected, &service(&[renamed])),
        Vec::<String>::new()
    );
    let mut unscheduled = pod("web-1", "i:v2");
    unscheduled["ip"] = json!("");
    assert_eq!(
        body_lines(path, &expected, &service(&[unscheduled])),
        [
            "body.scales[web].pods[0].containers[web].image: expected \"i:v1\", got \"i:v2\"",
            "body.scales[web].pods[0].ip: expected \"10.0.0.1\", got \"\""
        ]
    );
    assert_eq!(
        body_lines(path, &expected, &service(&[])),
        ["body.scales[web].pods: expected 1 pods, got 0"]
    );
}

#[test]
fn in_a_rollout_pods_are_compared_by_form_only() {
    let exchange = recorded(
        "/openapi/environments/dev/services/web",
        &service(&[pod("a", "i:v1"), pod("b", "i:v2")]),
    );
    let rolling = Circumstances {
        rolling: true,
        ..quiet(&exchange)
    };
    let mut odd = pod("c", "i:v3");
    odd.as_object_mut().unwrap().remove("age");
    assert_eq!(
        lines(&exchange, &answer(&service(&[odd])), &rolling),
        ["body.scales[web].pods[0]: missing key \"age\", expected \"1m\""]
    );
}

#[test]
fn events_are_compared_by_form_and_by_their_being_there() {
    let path = "/openapi/environments/kube/events";
    let event = |message: &str| json!({"reason": "R", "message": message, "count": 1});
    assert_eq!(
        body_lines(path, &json!([event("a")]), &json!([event("b"), event("c")])),
        Vec::<String>::new()
    );
    assert_eq!(
        body_lines(path, &json!([event("a")]), &json!([])),
        ["body: expected 1 events, got none"]
    );
    assert_eq!(
        body_lines(path, &json!([]), &json!([event("a")])),
        ["body: expected no event, got 1"]
    );
    assert_eq!(
        body_lines(
            path,
            &json!([event("a")]),
            &json!([{"reason": "R", "message": 1, "count": 1}])
        ),
        ["body[0].message: expected a string, got an integer 1"]
    );
}

#[test]
fn yaml_bodies_are_compared_document_by_document_after_parsing() {
    let path = "/openapi/environments/service/yaml";
    let exchange = recorded_text(path, "kind: A\nx: 1\n\n---\nkind: B\ny: \"2\"\n");
    assert_eq!(
        lines(
            &exchange,
            &answer_text("x: 1\nkind: A\n---\nkind: B\ny: '2'\n"),
            &quiet(&exchange)
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        lines(
            &exchange,
            &answer_text("kind: A\nx: 1\n---\nkind: B\ny: 2\n"),
            &quiet(&exchange)
        ),
        ["body[B].y: expected a string, got an integer 2"]
    );
    assert_eq!(
        lines(
            &exchange,
            &answer_text("kind: A\nx: 1\n"),
            &quiet(&exchange)
        ),
        ["body: expected 2 documents, got 1"]
    );
    assert_eq!(
        lines(&exchange, &answer_text(""), &quiet(&exchange)),
        [r#"body: expected "kind: A\\nx: 1\\n\\n---\\nkind: B\\ny: \"2\"\\n", got """#]
    );
}

#[test]
fn yaml_inside_json_is_compared_without_what_the_run_made() {
    let path = "/openapi/environments/dev/envcfg/c";
    let detail = |uid: &str, value: &str| json!({"yaml_data": format!("metadata:\n  uid: {uid}\ndata:\n  k: {value}\n")});
    assert_eq!(
        body_lines(path, &detail("u-1", "a"), &detail("u-2", "a")),
        Vec::<String>::new()
    );
    assert_eq!(
        body_lines(path, &detail("u-1", "a"), &detail("u-1", "b")),
        ["body.yaml_data[0].data.k: expected \"a\", got \"b\""]
    );
}

#[test]
fn other_texts_are_compared_as_they_are() {
    let exchange = recorded_text("/openapi/nope", "Invalid path: /openapi/nope");
    assert_eq!(
        lines(
            &exchange,
            &answer_text("Invalid path: /openapi/nope?"),
            &quiet(&exchange)
        ),
        [r#"body: expected "Invalid path: /openapi/nope", got "Invalid path: /openapi/nope?""#]
    );
}

#[test]
fn an_object_deleted_a_moment_ago_may_be_shown_or_gone() {
    let exchange = recorded(
        "/openapi/environments/dev/envcfg/c",
        &json!({"configMap_detail": {}}),
    );
    let gone = Answer {
        status: 500,
        ..answer(&json!({"code": 500, "description": "not found"}))
    };
    let deleted = Circumstances {
        just_deleted: true,
        ..quiet(&exchange)
    };
    assert_eq!(lines(&exchange, &gone, &deleted), Vec::<String>::new());
    assert_eq!(lines(&exchange, &gone, &quiet(&exchange)).len(), 1);
}
