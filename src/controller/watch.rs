//! The watches of our own kinds: one store of each kind, and what changed in it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

/// One API for all namespaces, or one for each that is named.
pub(super) fn apis<K>(client: &Client, namespaces: &[String]) -> Vec<Api<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    if namespaces.is_empty() {
        return vec![Api::all(client.clone())];
    }
    namespaces
        .iter()
        .map(|name| Api::namespaced(client.clone(), name))
        .collect()
}

/// Own objects as they change in a way that concerns us, deleted ones too; the store shows each change before it is told here.
pub(super) fn own<K>(
    client: &Client,
    namespaces: &[String],
    writer: Writer<K>,
) -> impl Stream<Item = Arc<K>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let apis = apis::<K>(client, namespaces);
    let mut history = History::new(apis.len(), writer);
    stream::select_all(apis.into_iter().enumerate().map(|(watch, api)| {
        kube::runtime::watcher(api, watcher::Config::default())
            .default_backoff()
            .map(move |event| (watch, event))
            .boxed()
    }))
    .flat_map(move |(watch, event)| {
        stream::iter(match event {
            Ok(event) => history.take(watch, event),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(kind = %K::kind(&()), error, "a watch failed and begins anew");
                Vec::new()
            }
        })
    })
}

/// Makes one history of the watches of several namespaces.
///
/// A watch may begin anew at any time, as the API server ends it when it has forgotten where it stood: it lists again then.
/// kube's writer takes such a list for the whole content of the store, shows it when it is complete, and has no word for what is
/// missing in it. So it is given one list, once every watch has listed; from then on it is told changes alone.
struct History<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    watches: Vec<Watch<K>>,
    /// What is known before every watch has listed; `None` afterwards.
    first: Option<HashMap<ObjectRef<K>, K>>,
}

/// What one watch has shown.
struct Watch<K: Resource<DynamicType = ()>> {
    /// A list that is not complete yet.
    listing: Vec<K>,
    has_listed: bool,
    /// The objects that are there, with what of them concerns us.
    known: HashMap<ObjectRef<K>, u64>,
}

impl<K> History<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn new(watches: usize, writer: Writer<K>) -> Self {
        Self {
            store: writer.as_reader(),
            writer,
            watches: (0..watches)
                .map(|_| Watch {
                    listing: Vec::new(),
                    has_listed: false,
                    known: HashMap::new(),
                })
                .collect(),
            first: Some(HashMap::new()),
        }
    }

    /// Writes to the store what the event of a watch shows; the objects of which something that concerns us has changed.
    fn take(&mut self, watch: usize, event: watcher::Event<K>) -> Vec<Arc<K>> {
        match event {
            watcher::Event::Init => {
                self.watches[watch].listing.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                self.watches[watch].listing.push(object);
                Vec::new()
            }
            watcher::Event::InitDone => self.listed(watch),
            watcher::Event::Apply(object) => self.apply(watch, object).into_iter().collect(),
            watcher::Event::Delete(object) => {
                let name = ObjectRef::from_obj(&object);
                self.delete(watch, &name).into_iter().collect()
            }
        }
    }

    fn listed(&mut self, watch: usize) -> Vec<Arc<K>> {
        let Watch {
            listing,
            has_listed,
            known,
        } = &mut self.watches[watch];
        *has_listed = true;
        let listing = std::mem::take(listing);
        let mut gone = known.clone();
        for object in &listing {
            gone.remove(&ObjectRef::from_obj(object));
        }
        let mut changed = Vec::new();
        for name in gone.keys() {
            changed.extend(self.delete(watch, name));
        }
        for object in listing {
            changed.extend(self.apply(watch, object));
        }
        if self.watches.iter().all(|watch| watch.has_listed)
            && let Some(first) = self.first.take()
        {
            self.writer.apply_watcher_event(&watcher::Event::Init);
            for object in first.into_values() {
                self.writer
                    .apply_watcher_event(&watcher::Event::InitApply(object));
            }
            self.writer.apply_watcher_event(&watcher::Event::InitDone);
            return self.store.state();
        }
        changed
    }

    fn apply(&mut self, watch: usize, mut object: K) -> Option<Arc<K>> {
        // Nobody reads them, and they are most of an object.
        object.managed_fields_mut().clear();
        object
            .annotations_mut()
            .remove("kubectl.kubernetes.io/last-applied-configuration");
        let name = ObjectRef::from_obj(&object);
        let mark = mark(&object);
        let before = self.watches[watch].known.insert(name.clone(), mark);
        if let Some(first) = &mut self.first {
            first.insert(name, object);
            return None;
        }
        self.writer
            .apply_watcher_event(&watcher::Event::Apply(object));
        // A status that we wrote ourselves is no news.
        (before != Some(mark)).then(|| self.store.get(&name))?
    }

    fn delete(&mut self, watch: usize, name: &ObjectRef<K>) -> Option<Arc<K>> {
        self.watches[watch].known.remove(name);
        if let Some(first) = &mut self.first {
            first.remove(name);
            return None;
        }
        let last = self.store.get(name)?;
        super::metrics::gone(&*last);
        self.writer
            .apply_watcher_event(&watcher::Event::Delete(K::clone(&last)));
        Some(last)
    }
}

/// What of an object concerns us, as a number: all but its status.
fn mark<K: Resource>(object: &K) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    meta.uid.hash(&mut hasher);
    meta.generation.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    meta.annotations.hash(&mut hasher);
    meta.labels.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::watcher::Event;

    use super::*;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        map.metadata.namespace = Some(namespace.to_owned());
        map.metadata.uid = Some(format!("uid-of-{name}"));
        map.metadata.generation = Some(1);
        map
    }

    fn history(watches: usize) -> History<ConfigMap> {
        History::new(watches, Writer::default())
    }

    /// What is told of one event: the names, each with whether the store shows it.
    fn told(
        history: &mut History<ConfigMap>,
        watch: usize,
        event: Event<ConfigMap>,
    ) -> Vec<(String, bool)> {
        let mut told: Vec<(String, bool)> = history
            .take(watch, event)
            .iter()
            .map(|object| {
                let shown = history.store.get(&ObjectRef::from_obj(&**object)).is_some();
                (object.name_any(), shown)
            })
            .collect();
        told.sort();
        told
    }

    /// What is told while a watch lists these objects.
    fn list(
        history: &mut History<ConfigMap>,
        watch: usize,
        objects: &[ConfigMap],
    ) -> Vec<(String, bool)> {
        let mut all = told(history, watch, Event::Init);
        for object in objects {
            all.extend(told(history, watch, Event::InitApply(object.clone())));
        }
        all.extend(told(history, watch, Event::InitDone));
        all
    }

    fn stored(history: &History<ConfigMap>) -> Vec<String> {
        let mut names: Vec<String> = history
            .store
            .state()
            .iter()
            .map(|object| object.name_any())
            .collect();
        names.sort();
        names
    }

    fn shown(names: &[&str]) -> Vec<(String, bool)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), true))
            .collect()
    }

    #[test]
    fn the_store_shows_what_a_new_list_brings_before_it_is_told() {
        let mut history = history(1);
        assert_eq!(
            list(&mut history, 0, &[object("a", "one")]),
            shown(&["one"])
        );
        let again = [object("a", "one"), object("a", "two")];
        assert_eq!(list(&mut history, 0, &again), shown(&["two"]));
        assert_eq!(stored(&history), ["one", "two"]);
    }

    #[test]
    fn what_a_new_list_does_not_bring_is_told_as_deleted() {
        let mut history = history(1);
        list(&mut history, 0, &[object("a", "one"), object("a", "two")]);
        let told = list(&mut history, 0, &[object("a", "two")]);
        assert_eq!(told, [("one".to_owned(), false)]);
        assert_eq!(stored(&history), ["two"]);
    }

    #[test]
    fn the_watch_of_one_namespace_takes_nothing_from_another() {
        let mut history = history(2);
        assert_eq!(list(&mut history, 0, &[object("a", "one")]), []);
        // Between the first lists as well.
        let added = Event::Apply(object("a", "two"));
        assert_eq!(told(&mut history, 0, added), []);
        assert_eq!(stored(&history), [""; 0]);
        let told = list(&mut history, 1, &[object("b", "three")]);
        assert_eq!(told, shown(&["one", "three", "two"]));
        assert_eq!(list(&mut history, 1, &[object("b", "three")]), []);
        assert_eq!(stored(&history), ["one", "three", "two"]);
    }

    #[test]
    fn a_list_that_breaks_off_counts_for_nothing() {
        let mut history = history(1);
        list(&mut history, 0, &[object("a", "one")]);
        told(&mut history, 0, Event::Init);
        told(&mut history, 0, Event::InitApply(object("a", "two")));
        assert_eq!(stored(&history), ["one"]);
        assert_eq!(list(&mut history, 0, &[object("a", "one")]), []);
    }

    #[test]
    fn a_status_alone_is_no_news() {
        let mut history = history(1);
        list(&mut history, 0, &[object("a", "one")]);
        let mut changed = object("a", "one");
        changed.metadata.resource_version = Some("2".to_owned());
        assert_eq!(told(&mut history, 0, Event::Apply(changed.clone())), []);
        changed.metadata.generation = Some(2);
        let told = told(&mut history, 0, Event::Apply(changed));
        assert_eq!(told, shown(&["one"]));
    }
}
