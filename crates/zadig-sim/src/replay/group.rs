//! Calls that were under way at the same time, told by their times.

use jiff::SignedDuration;

use super::model::{Exchange, Record};

/// The exchanges from `index` on that were under way at the same time.
pub(crate) fn simultaneous(records: &[Record], index: usize) -> Vec<(usize, &Exchange)> {
    // Times are recorded to the millisecond.
    const RESOLUTION: SignedDuration = SignedDuration::from_millis(2);
    let mut group: Vec<(usize, &Exchange)> = Vec::new();
    for (at, record) in records.iter().enumerate().skip(index) {
        let Record::Exchange(exchange) = record else {
            break;
        };
        let overlaps = |(_, other): &(usize, &Exchange)| {
            other.is_mutation() && other.answered().duration_since(exchange.ts) > RESOLUTION
        };
        let joins = group.is_empty() || (exchange.is_mutation() && group.iter().any(overlaps));
        if !joins {
            break;
        }
        group.push((at, exchange));
    }
    group
}

/// All orders of `n` things; the given order first. Beyond four the given order alone.
pub(crate) fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n > 4 {
        return vec![(0..n).collect()];
    }
    let mut all = vec![Vec::new()];
    for _ in 0..n {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..n)
                    .filter(|next| !order.contains(next))
                    .map(|next| [order.clone(), vec![next]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exchange(ts: &str, elapsed_ms: f64) -> Record {
        let value = json!({
            "name": "x", "method": "PUT", "path": "/", "status": 200, "ts": format!("2026-01-01T00:00:{ts}Z"),
            "elapsed_ms": elapsed_ms
        });
        Record::Exchange(Box::new(serde_json::from_value(value).unwrap()))
    }

    #[test]
    fn calls_under_way_at_the_same_time_belong_together() {
        let records = [
            exchange("01.002", 400.0),
            exchange("01.000", 1800.0),
            exchange("01.002", 3800.0),
            exchange("04.802", 10.0),
        ];
        let group: Vec<_> = simultaneous(&records, 0)
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(group, [0, 1, 2]);
        assert_eq!(simultaneous(&records, 3).len(), 1);
    }

    #[test]
    fn all_orders_are_tried_beginning_with_the_given_one() {
        let orders = permutations(3);
        assert_eq!((orders.len(), orders[0].clone()), (6, vec![0, 1, 2]));
    }
}
