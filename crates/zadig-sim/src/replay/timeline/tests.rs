//! Order, last value, values on the way and times: each difference is found.

use super::*;

const SETTING: Setting<'_> = Setting {
    name: "some.watch",
    interval_ms: 50,
    ended_ms: 20_000,
    anchor_ms: -100,
    created: None,
    after_delete: false,
    update_tolerance: 2,
};

fn points(facet: &str, values: &[(i64, &str)]) -> Vec<(i64, Facets)> {
    values
        .iter()
        .map(|(time, value)| {
            let facets = match *value {
                "absent" => Facets::new(),
                value => Facets::from([(facet.to_owned(), json!(value))]),
            };
            (*time, facets)
        })
        .collect()
}

fn differences(
    setting: &Setting<'_>,
    facet: &str,
    recorded: &[(i64, &str)],
    observed: &[(i64, &str)],
) -> Vec<String> {
    let probe = Probe {
        recorded: points(facet, recorded),
        observed: points(facet, observed),
    };
    compare(setting, &[probe])
        .iter()
        .map(ToString::to_string)
        .collect()
}

const LIST: &str = "list[dev]";

#[test]
fn the_same_way_a_little_faster_is_no_difference() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(30, "updating"), (400, "success")],
            &[(-101, "success"), (-100, "updating"), (10, "success")]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn another_end_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(30, "creating"), (400, "failed")],
            &[(-101, "absent"), (-100, "creating"), (10, "success")]
        ),
        [
            "some.watch: list[dev]: expected the end of creating -> failed, got absent -> creating -> success"
        ]
    );
}

#[test]
fn a_value_that_never_came_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(30, "updating"), (400, "success")],
            &[(-101, "success"), (-100, "success")]
        ),
        ["some.watch: list[dev]: expected updating -> success, got success"]
    );
}

#[test]
fn another_order_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            "k8s[Deployment/web].replicas",
            &[(0, "1"), (100, "2"), (200, "1")],
            &[(-101, "2"), (0, "1")]
        ),
        ["some.watch: k8s[Deployment/web].replicas: expected 1 -> 2 -> 1, got 2 -> 1"]
    );
}

#[test]
fn a_final_status_on_the_way_is_found_and_a_transition_is_not() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(300, "success")],
            &[(-101, "success"), (-100, "updating"), (0, "success")]
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(300, "success")],
            &[(-101, "success"), (-100, "failed"), (0, "success")]
        ),
        [
            "some.watch: list[dev]: expected success, got \"failed\" on the way: success -> failed -> success"
        ]
    );
}

#[test]
fn too_late_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(30, "updating"), (400, "success")],
            &[(-101, "success"), (-100, "updating"), (700, "success")]
        ),
        ["some.watch: list[dev]: expected \"success\" by 400 ms, got it at 700 ms"]
    );
}

#[test]
fn a_time_out_that_comes_too_early_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            LIST,
            &[(30, "creating"), (19_000, "failed")],
            &[(-101, "absent"), (-100, "creating"), (5000, "failed")]
        ),
        ["some.watch: list[dev]: expected \"failed\" not before 8950 ms, got it at 5000 ms"]
    );
}

#[test]
fn a_create_takes_a_second_and_a_namespace_five() {
    let create = Setting {
        created: Some("dev"),
        ..SETTING
    };
    assert_eq!(
        differences(
            &create,
            LIST,
            &[(30, "creating"), (1000, "success")],
            &[(-101, "absent"), (-100, "creating"), (300, "success")]
        ),
        ["some.watch: list[dev]: expected \"success\" not before 900 ms, got it at 300 ms"]
    );
    let delete = Setting {
        after_delete: true,
        ..SETTING
    };
    assert_eq!(
        differences(
            &delete,
            "ns",
            &[(30, "Terminating"), (6000, "NotFound")],
            &[(-101, "Active"), (-50, "Terminating"), (3000, "NotFound")]
        ),
        ["some.watch: ns: expected \"NotFound\" not before 4900 ms, got it at 3000 ms"]
    );
}

#[test]
fn what_a_namespace_that_goes_still_holds_is_chance() {
    let workload = "k8s[Deployment/web]";
    let recorded = [(200, "absent")];
    let observed = [(-101, "present"), (6000, "absent")];
    let delete = Setting {
        after_delete: true,
        ..SETTING
    };
    assert_eq!(
        differences(&delete, workload, &recorded, &observed),
        Vec::<String>::new()
    );
    assert_eq!(
        differences(&SETTING, workload, &recorded, &observed),
        ["some.watch: k8s[Deployment/web]: expected \"absent\" by 200 ms, got it at 6000 ms"]
    );
}

#[test]
fn a_thing_that_was_not_recorded_is_found() {
    let recorded = points("k8s[Deployment/web]", &[(0, "present")]);
    let mut observed = points("k8s[Deployment/web]", &[(-101, "present"), (0, "present")]);
    observed[1]
        .1
        .insert("k8s[Deployment/db]".to_owned(), json!("present"));
    let found = compare(&SETTING, &[Probe { recorded, observed }]);
    assert_eq!(
        found,
        [Difference::new(
            "some.watch",
            "k8s[Deployment/db]",
            "expected the end of absent, got absent -> present"
        )]
    );
}

#[test]
fn update_time_is_compared_with_its_tolerance() {
    let at = |times: &[i64]| {
        times
            .iter()
            .map(|time| (0, Facets::from([("update_time".to_owned(), json!(time))])))
            .collect::<Vec<_>>()
    };
    let near = Probe {
        recorded: at(&[1000, 1010]),
        observed: at(&[900, 1008]),
    };
    assert_eq!(compare(&SETTING, &[near]), Vec::new());
    let far = Probe {
        recorded: at(&[1010]),
        observed: at(&[1000]),
    };
    assert_eq!(
        compare(&SETTING, &[far]),
        [Difference::new(
            "some.watch",
            "update_time",
            "expected 1010 within 2 s, got 1000 (-10 s)"
        )]
    );
}

#[test]
fn an_empty_service_status_is_a_failed_look_up_and_left_out() {
    let service = "detail.services[web]";
    assert_eq!(
        differences(
            &SETTING,
            service,
            &[(50, ""), (300, "running")],
            &[(-101, "running")]
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        differences(&SETTING, service, &[(50, "")], &[(-101, "running")]),
        ["some.watch: detail.services[web]: expected the end of , got running"]
    );
}

#[test]
fn a_service_of_helm_appears_without_a_status() {
    let service = "detail.services[web]";
    let recorded = [(50, "absent"), (300, "")];
    assert_eq!(
        differences(&SETTING, service, &recorded, &[(-101, "absent"), (90, "")]),
        Vec::<String>::new()
    );
    assert_eq!(
        differences(&SETTING, service, &recorded, &[(-101, "absent")]),
        ["some.watch: detail.services[web]: expected the end of absent -> , got absent"]
    );
}

#[test]
fn an_image_that_was_not_recorded_on_the_way_is_found() {
    assert_eq!(
        differences(
            &SETTING,
            "images",
            &[(200, "a:2")],
            &[(-101, "a:1"), (-100, "a:3"), (-50, "a:2")]
        ),
        ["some.watch: images: expected a:2, got \"a:3\" on the way: a:1 -> a:3 -> a:2"]
    );
}
