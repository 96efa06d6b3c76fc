//! Two objects that claim one environment: the older keeps it (design §2, rule 2).

use jiff::Timestamp;

/// An object's claim; ordered by age, then by name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Claim {
    /// `metadata.creationTimestamp`.
    pub since: Timestamp,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// The oldest of `others` if it is older than `mine`.
#[must_use]
pub fn rival<'a>(mine: &Claim, others: impl IntoIterator<Item = &'a Claim>) -> Option<&'a Claim> {
    others.into_iter().filter(|other| *other < mine).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(second: i64, name: &str) -> Claim {
        Claim {
            since: Timestamp::from_second(second).unwrap(),
            namespace: "team".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn the_older_wins_then_the_name() {
        let others = [claim(5, "b"), claim(3, "z"), claim(3, "c")];
        assert_eq!(rival(&claim(4, "a"), &others), Some(&others[2]));
        assert_eq!(rival(&claim(2, "a"), &others), None);
        assert_eq!(rival(&claim(3, "b"), &others), None);
    }
}
