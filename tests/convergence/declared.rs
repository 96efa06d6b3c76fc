//! What may be declared, and what may come between: strategies that shrink.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use proptest::prelude::*;
use zadig_operator::api::environment::{
    Creation, DeployType, FieldPolicy, LiveDrift, Prune, RegistryRef, WorkloadKind,
};
use zadig_operator::plan::environment::helm::values::Values;
use zadig_operator::plan::environment::helm::{Helm, Source};
use zadig_operator::plan::environment::memory::Memory;
use zadig_operator::plan::environment::moving::GRACE;
use zadig_operator::plan::environment::sharing::Declared;
use zadig_operator::plan::environment::{
    EnvStatus, Environment, Image, Replicas, Service, Variable,
};
use zadig_operator::plan::secret::SecretText;

use crate::object::Object;
use crate::zadig::{NAMESPACE, SERVICES, VALUES, Zadig};

/// The same as a production environment can be declared.
pub(crate) fn for_production(mut environment: Environment) -> Environment {
    for service in environment.services.values_mut() {
        service.containers.clear();
        service.workloads.clear();
    }
    environment.alias = environment.registry.is_some().then(|| "Shop".to_owned());
    environment
}

/// Something that happens between two reconciles, or to the next one.
#[derive(Clone, Debug)]
pub(crate) enum Interruption {
    /// Nothing.
    Pass,
    /// The next call works, and its answer is lost.
    LoseAnswer,
    /// The next call is refused.
    Refuse,
    /// The next call works, and the process ends before anything is written down.
    Crash,
    /// The process is started again.
    Restart,
    /// The object's status is gone, as after a restore from a backup.
    LoseStatus,
    /// The object's annotations are gone, as after a replacing sync.
    LoseAnnotation,
    /// Both.
    LoseEverything,
    /// Something else is declared.
    Declare(Box<Environment>),
    /// Somebody else does something in Zadig.
    Foreign(Foreign),
}

/// What others do in Zadig and in its cluster.
#[derive(Clone, Debug)]
pub(crate) enum Foreign {
    Image(&'static str, &'static str),
    /// In the cluster alone.
    LiveImage(&'static str, &'static str),
    Replicas(&'static str, i32),
    Variable(&'static str, &'static str, &'static str),
    Bind(&'static str),
    Global(&'static str),
    Registry,
    Add(&'static str),
    Remove(&'static str),
    Template(&'static str),
    /// The cluster begins to refuse patches of a service, or takes them again.
    Jam(&'static str, bool),
    Delete,
    Sleep,
    Wake,
    Fail,
    /// Values of a release, all of them.
    Values(&'static str, &'static str, i64),
    /// Zadig's server starts anew while it works, and never ends it.
    Stick(EnvStatus),
}

impl Interruption {
    /// The same to a production environment.
    pub(crate) fn for_production(self) -> Self {
        match self {
            Self::Declare(environment) => Self::Declare(Box::new(for_production(*environment))),
            other => other,
        }
    }

    pub(crate) fn happen(&self, object: &mut Object, zadig: &mut Zadig) {
        // Two changes within one second cannot be told apart (Z§6.3).
        zadig.pass(2);
        match self {
            Self::Pass => {}
            Self::LoseAnswer | Self::Refuse | Self::Crash => object.disturb(self.clone()),
            Self::Restart => object.restart(),
            Self::LoseStatus => {
                object.lose_status();
                object.restart();
            }
            Self::LoseAnnotation => {
                object.lose_annotation();
                object.restart();
            }
            Self::LoseEverything => {
                object.lose_status();
                object.lose_annotation();
                object.restart();
            }
            Self::Declare(environment) => object.declare(environment.as_ref().clone()),
            Self::Foreign(change) => {
                object.forgot |= change.is_hidden_from(&object.memory);
                change.happen(zadig);
            }
        }
    }
}

impl Foreign {
    /// An edit between our write and the next look cannot be told from what we wrote: values are not shown (Z§6.1).
    fn is_hidden_from(&self, memory: &Memory) -> bool {
        let unseen = |name: &str| {
            memory
                .applied
                .get(name)
                .is_none_or(|a| a.rendered.is_none())
        };
        match self {
            Self::Variable(name, ..) | Self::Bind(name) => unseen(name),
            Self::Global(_) => SERVICES.into_iter().any(unseen),
            _ => false,
        }
    }

    pub(crate) fn happen(&self, zadig: &mut Zadig) {
        let now = zadig.now;
        let fresh = SERVICES.map(|name| (name, zadig.fresh(name)));
        match self {
            Self::Template(name) => {
                *zadig.revisions.entry((*name).to_owned()).or_default() += 1;
                return;
            }
            Self::Delete => {
                zadig.env = None;
                return;
            }
            _ => {}
        }
        let Some(env) = &mut zadig.env else { return };
        match self {
            Self::Image(name, image) => {
                if let Some(service) = env.services.get_mut(*name) {
                    (*image).clone_into(&mut service.image);
                    (*image).clone_into(&mut service.recorded);
                    env.update_time = now;
                }
            }
            Self::LiveImage(name, image) => {
                if let Some(service) = env.services.get_mut(*name) {
                    (*image).clone_into(&mut service.image);
                }
            }
            Self::Replicas(name, replicas) => {
                if let Some(service) = env.services.get_mut(*name) {
                    service.replicas = *replicas;
                }
            }
            Self::Variable(name, key, value) => {
                if let Some(service) = env.services.get_mut(*name) {
                    service.set(key, (*value).to_owned(), now);
                    if let Some(global) = env.globals.get_mut(*key) {
                        global.related.remove(*name);
                    }
                    env.update_time = now;
                }
            }
            Self::Bind(name) => {
                if let (Some(service), Some(global)) =
                    (env.services.get_mut(*name), env.globals.get_mut("LOG"))
                {
                    let value = global.value.as_str().unwrap_or_default().to_owned();
                    service.set("LOG", value, now);
                    global.related.insert((*name).to_owned());
                    env.update_time = now;
                }
            }
            Self::Global(value) => {
                if let Some(global) = env.globals.get_mut("LOG") {
                    global.value = (*value).into();
                    for name in global.related.clone() {
                        if let Some(service) = env.services.get_mut(&name) {
                            service.set("LOG", (*value).to_owned(), now);
                            env.update_time = now;
                        }
                    }
                }
            }
            Self::Values(name, key, value) => {
                let service = env.services.get_mut(*name);
                if let Some(release) = service.and_then(|it| it.release.as_mut()) {
                    release.deploy(BTreeMap::from([((*key).to_owned(), *value)]), true);
                    env.update_time = now;
                }
            }
            Self::Registry => "r-other".clone_into(&mut env.registry),
            Self::Add(name) => {
                let new = fresh.iter().find(|(known, _)| known == name);
                if let Some((_, new)) = new {
                    let missing = !env.services.contains_key(*name);
                    env.services
                        .entry((*name).to_owned())
                        .or_insert_with(|| new.clone());
                    if missing {
                        env.update_time = now;
                    }
                }
            }
            Self::Jam(name, jammed) => {
                if let Some(service) = env.services.get_mut(*name) {
                    service.jammed = *jammed;
                }
            }
            Self::Remove(name) => {
                env.services.remove(*name);
                for global in env.globals.values_mut() {
                    global.related.remove(*name);
                }
                env.update_time = now;
            }
            Self::Sleep if env.is_idle() => {
                env.status = EnvStatus::Sleeping;
                env.since = now;
                env.update_time = now;
            }
            Self::Wake if env.status == EnvStatus::Sleeping => {
                env.status = EnvStatus::Success;
                env.since = now;
                env.update_time = now;
            }
            Self::Fail if env.is_idle() => {
                env.status = EnvStatus::Failed;
                env.since = now;
            }
            Self::Stick(status) => {
                env.status = status.clone();
                env.since = now;
                env.done_at = None;
            }
            Self::Sleep | Self::Wake | Self::Fail | Self::Template(_) | Self::Delete => {}
        }
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&SERVICES[..])
}

fn foreign() -> BoxedStrategy<Foreign> {
    let image = || prop::sample::select(&["one:1", "one:2"][..]);
    prop_oneof![
        (name(), image()).prop_map(|(name, image)| Foreign::Image(name, image)),
        (name(), image()).prop_map(|(name, image)| Foreign::LiveImage(name, image)),
        (name(), 0..4).prop_map(|(name, replicas)| Foreign::Replicas(name, replicas)),
        (
            name(),
            prop::sample::select(&[("LOG", "odd"), ("MODE", "slow"), ("TRACE", "true")][..])
        )
            .prop_map(|(name, (key, value))| Foreign::Variable(name, key, value)),
        name().prop_map(Foreign::Bind),
        prop::sample::select(&["info", "odd"][..]).prop_map(Foreign::Global),
        Just(Foreign::Registry),
        (name(), prop::sample::select(&VALUES[..]), 1..4_i64)
            .prop_map(|(name, key, value)| Foreign::Values(name, key, value)),
        name().prop_map(Foreign::Add),
        name().prop_map(Foreign::Remove),
        name().prop_map(Foreign::Template),
        (name(), any::<bool>()).prop_map(|(name, jammed)| Foreign::Jam(name, jammed)),
        Just(Foreign::Delete),
        Just(Foreign::Sleep),
        Just(Foreign::Wake),
        Just(Foreign::Fail),
    ]
    .boxed()
}

/// Changes that leave an environment behind.
pub(crate) fn foreigns(count: Range<usize>) -> impl Strategy<Value = Vec<Foreign>> {
    let lasting = foreign().prop_filter("a deleted one is none", |change| {
        !matches!(change, Foreign::Delete)
    });
    prop::collection::vec(lasting, count)
}

/// What comes between the steps of a repair, and loses nothing that is stored.
pub(crate) fn hitches(count: Range<usize>) -> impl Strategy<Value = Vec<Interruption>> {
    let one = prop_oneof![
        Just(Interruption::Pass),
        Just(Interruption::LoseAnswer),
        Just(Interruption::Refuse),
        Just(Interruption::Crash),
        Just(Interruption::Restart),
    ];
    prop::collection::vec(one, count)
}

/// Any order of interruptions.
pub(crate) fn interruptions(
    environments: BoxedStrategy<Environment>,
    count: Range<usize>,
) -> impl Strategy<Value = Vec<Interruption>> {
    let one = prop_oneof![
        3 => Just(Interruption::Pass),
        2 => Just(Interruption::LoseAnswer),
        2 => Just(Interruption::Refuse),
        2 => Just(Interruption::Crash),
        1 => Just(Interruption::Restart),
        1 => Just(Interruption::LoseStatus),
        1 => Just(Interruption::LoseAnnotation),
        1 => Just(Interruption::LoseEverything),
        2 => environments.prop_map(|it| Interruption::Declare(Box::new(it))),
        6 => foreign().prop_map(Interruption::Foreign),
    ];
    prop::collection::vec(one, count)
}

fn policy() -> impl Strategy<Value = FieldPolicy> {
    prop_oneof![Just(FieldPolicy::Enforce), Just(FieldPolicy::OnCreate)]
}

fn variables(bound: bool) -> impl Strategy<Value = BTreeMap<String, Variable>> {
    let value = |values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(|text| Variable::Value(SecretText::new(text)))
    };
    let log = value(&["info", "debug"]).prop_flat_map(move |own| {
        prop_oneof![Just(own.clone()), Just(Variable::Global)]
            .prop_map(move |variable| if bound { variable } else { own.clone() })
    });
    (
        prop::option::of(log),
        prop::option::of(value(&["fast", "slow"])),
        prop::option::of(value(&["true", "false"])),
    )
        .prop_map(|(log, mode, trace)| {
            [("LOG", log), ("MODE", mode), ("TRACE", trace)]
                .into_iter()
                .filter_map(|(key, variable)| Some((key.to_owned(), variable?)))
                .collect()
        })
}

fn service(name: &'static str, bound: bool) -> BoxedStrategy<Service> {
    let image = (prop::sample::select(&["one:1", "one:2"][..]), policy());
    (
        variables(bound),
        prop::option::of(image),
        prop::option::of((0..4, policy())),
        prop::option::of(prop::sample::select(&["1", "2"][..])),
    )
        .prop_map(move |(variables, image, replicas, token)| Service {
            // What stands for the keyed digest.
            digest: (!variables.is_empty()).then(|| digest(&variables)),
            variables,
            containers: image
                .map(|(image, policy)| {
                    let image = image.to_owned();
                    (name.to_owned(), Image { image, policy })
                })
                .into_iter()
                .collect(),
            workloads: replicas
                .map(|(replicas, policy)| {
                    let workload = (WorkloadKind::Deployment, name.to_owned());
                    (workload, Replicas { replicas, policy })
                })
                .into_iter()
                .collect(),
            restart_token: token.map(str::to_owned),
            helm: None,
        })
        .boxed()
}

fn digest(variables: &BTreeMap<String, Variable>) -> String {
    let text = |variable: &Variable| match variable {
        Variable::Value(text) => text.expose().to_owned(),
        Variable::Global => "(global)".to_owned(),
    };
    let parts: Vec<String> = variables
        .iter()
        .map(|(key, variable)| format!("{key}={}", text(variable)))
        .collect();
    parts.join(",")
}

/// Environments that the project can hold.
pub(crate) fn environments() -> BoxedStrategy<Environment> {
    let global = prop::option::of(prop::sample::select(&["info", "debug"][..]));
    let of = |name, bound| prop::option::of(service(name, bound));
    (global, any::<bool>())
        .prop_flat_map(move |(global, binds)| {
            let bound = binds && global.is_some();
            let services = (of("api", bound), of("db", bound), of("web", bound));
            let live = prop_oneof![Just(LiveDrift::Report), Just(LiveDrift::Repair)];
            let prune = prop_oneof![
                3 => Just(Prune::Owned), 1 => Just(Prune::All), 1 => Just(Prune::None),
            ];
            let grace = prop_oneof![Just(GRACE), Just(Duration::ZERO)];
            (Just(global), services, (prune, grace), any::<bool>(), live)
        })
        .prop_map(
            |(global, (api, db, web), (prune, grace), registry, live_drift)| Environment {
                live_drift,
                grace,
                deploy_type: DeployType::KubernetesYaml,
                alias: None,
                cluster: None,
                namespace: NAMESPACE.to_owned(),
                registry: registry.then(|| RegistryRef {
                    address: None,
                    id: Some("r-default".to_owned()),
                }),
                global_variables: global
                    .map(|value| ("LOG".to_owned(), SecretText::new(value)))
                    .into_iter()
                    .collect(),
                configs: BTreeSet::new(),
                sharing: Declared::default(),
                services: [("api", api), ("db", db), ("web", web)]
                    .into_iter()
                    .filter_map(|(name, service)| Some((name.to_owned(), service?)))
                    .collect(),
                creation: Creation::CreateOrAdopt,
                prune,
            },
        )
        .boxed()
}

fn release() -> impl Strategy<Value = Service> {
    let value = || prop::option::of(1..3_i64);
    let helm = (value(), value()).prop_map(|values| {
        let declared: BTreeMap<String, i64> = VALUES
            .into_iter()
            .zip(<[Option<i64>; 2]>::from(values))
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        Helm {
            // What stands for the keyed digest.
            digest: format!("{declared:?}"),
            source: Source::Values(Values::new(
                declared
                    .into_iter()
                    .map(|(key, value)| (key, value.into()))
                    .collect(),
            )),
            ..Helm::default()
        }
    });
    helm.prop_map(|helm| Service {
        helm: Some(helm),
        ..Service::default()
    })
}

/// Environments that a project of charts can hold.
pub(crate) fn helm_environments() -> BoxedStrategy<Environment> {
    let of = || prop::option::of(release());
    (environments(), (of(), of(), of()))
        .prop_map(|(environment, (api, db, web))| Environment {
            deploy_type: DeployType::Helm,
            global_variables: BTreeMap::new(),
            services: [("api", api), ("db", db), ("web", web)]
                .into_iter()
                .filter_map(|(name, service)| Some((name.to_owned(), service?)))
                .collect(),
            ..environment
        })
        .boxed()
}
