//! Gauges that are taken when they are asked for: nothing is kept of an object that is gone, and nothing is counted while nobody
//! looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, Weak};

use super::table::{METRICS, Metric};

/// Whoever knows the present state.
pub trait Source: Send + Sync {
    /// Tells what is so now.
    fn sample(&self, samples: &mut Samples);
}

/// What is so at one moment.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<&'static str, BTreeMap<Vec<String>, f64>>);

impl Samples {
    /// Adds to a series, which begins at zero. The values are those of the labels, in order.
    pub fn add(&mut self, metric: &Metric, values: &[&str], more: f64) {
        *self.series(metric, values) += more;
    }

    /// Raises a series to at least this.
    pub fn raise(&mut self, metric: &Metric, values: &[&str], least: f64) {
        let value = self.series(metric, values);
        *value = value.max(least);
    }

    fn series(&mut self, metric: &Metric, values: &[&str]) -> &mut f64 {
        debug_assert_eq!(
            metric.labels.len(),
            values.len(),
            "labels of {}",
            metric.name
        );
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.0
            .entry(metric.name)
            .or_default()
            .entry(values)
            .or_default()
    }

    /// In Prometheus' text format.
    fn render(&self) -> String {
        let mut text = String::new();
        for metric in METRICS {
            let Some(series) = self.0.get(metric.name) else {
                continue;
            };
            let Metric {
                name,
                form,
                labels,
                help,
            } = metric;
            text.push_str(&format!(
                "# HELP {name} {help}\n# TYPE {name} {}\n",
                form.as_str()
            ));
            for (values, value) in series {
                let pairs: Vec<String> = labels
                    .iter()
                    .zip(values)
                    .map(|(label, value)| format!("{}=\"{}\"", label.name(), escaped(value)))
                    .collect();
                text.push_str(&format!("{name}{{{}}} {value}\n", pairs.join(",")));
            }
            text.push('\n');
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// The one whom this process asks: its controllers, while they run.
static SOURCE: Mutex<Option<Weak<dyn Source>>> = Mutex::new(None);

/// Has this source asked from now on, as long as it lives.
pub fn ask(source: Weak<dyn Source>) {
    *SOURCE.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
}

/// What is so now; nothing while nobody knows.
pub(super) fn taken() -> String {
    let source = SOURCE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut samples = Samples::default();
    if let Some(source) = source.and_then(|source| source.upgrade()) {
        source.sample(&mut samples);
    }
    samples.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::table::{IN_FLIGHT, OLDEST};

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut samples = Samples::default();
        samples.add(&IN_FLIGHT, &["a", "b\"\\\n"], 1.0);
        samples.add(&IN_FLIGHT, &["a", "b\"\\\n"], 2.0);
        samples.raise(&OLDEST, &["K", "drifted", "LiveDrift"], 2.5);
        samples.raise(&OLDEST, &["K", "drifted", "LiveDrift"], 1.0);
        let expected = format!(
            "# HELP {oldest} {}\n# TYPE {oldest} gauge\n{oldest}{{kind=\"K\",state=\"drifted\",reason=\"LiveDrift\"}} 2.5\n\n\
             # HELP {flight} {}\n# TYPE {flight} gauge\n{flight}{{connection_namespace=\"a\",connection=\"b\\\"\\\\\\n\"}} 3\n\n",
            OLDEST.help,
            IN_FLIGHT.help,
            oldest = OLDEST.name,
            flight = IN_FLIGHT.name,
        );
        assert_eq!(samples.render(), expected);
    }
}
