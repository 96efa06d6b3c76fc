//! Images of every kind of workload that has some: Zadig has a route for each (Z§4.17).

use zadig_operator::api::environment::ZadigEnvironment;

use crate::support::{EnvironmentFixture, World, scenario};

fn image(name: &str, tag: &str) -> String {
    format!("registry.example.com/reg-main/{name}:{tag}")
}

/// An environment with a Deployment, a StatefulSet and a CronJob, whose images have this tag.
fn environment(world: &World, tag: &str) -> ZadigEnvironment {
    world
        .environment("dev")
        .image("web", "web", &image("web", tag))
        .image("db", "db", &image("db", tag))
        .image("job", "cleanup", &image("cleanup", tag))
}

#[test]
fn images_of_deployments_stateful_sets_and_cron_jobs_are_set() {
    scenario(async |world| {
        world.apply(&environment(world, "v2")).await;
        world.await_ready("dev").await;
        let mark = world.mark();
        world.apply(&environment(world, "v3")).await;
        let key = world.env_key("dev");
        world
            .eventually("all three are recorded", async || {
                let detail = world.zadig.detail(&key).await.to_string();
                let shows = |name: &str| detail.contains(&image(name, "v3"));
                ["web", "db", "cleanup"].into_iter().all(shows)
            })
            .await;
        world.await_ready("dev").await;
        if world.sim().is_some() {
            let mut sent = world.our_changes_since(mark);
            sent.sort();
            assert_eq!(
                sent,
                ["image.cronjob", "image.deployment", "image.statefulset"]
            );
        }
    });
}
