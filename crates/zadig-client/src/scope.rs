//! Test or production: the one place that chooses between two variants of a route.
//!
//! Facts: the route matrix of Z§3; which routes have no production variant: Z§9.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::routes::{CATALOGUE_ROUTES, POD_ROUTES, ROUTES, Route};

/// Which of Zadig's two kinds of environment a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Test environments.
    Test,
    /// Production environments, with service templates of their own (Z§9, 1).
    Production,
}

impl Scope {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Production => "production",
        }
    }

    /// One of two values that stand side by side in an answer.
    pub(crate) fn choose<T>(self, test: T, production: T) -> T {
        match self {
            Self::Test => test,
            Self::Production => production,
        }
    }

    /// The flag in bodies of routes that have no variants.
    pub(crate) const fn is_production(self) -> bool {
        matches!(self, Self::Production)
    }

    /// The variant of a route for this scope.
    pub(crate) const fn of(self, family: &Family) -> &'static Route {
        match self {
            Self::Test => family.test,
            Self::Production => family.production,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two variants of one operation.
pub(crate) struct Family {
    test: &'static Route,
    production: &'static Route,
}

/// Two rows of the matrix, by their numbers in Z§3.
const fn rows(test: usize, production: usize) -> Family {
    Family {
        test: row(test),
        production: row(production),
    }
}

/// One row of the matrix, by its number in Z§3.
pub(crate) const fn row(number: usize) -> &'static Route {
    &ROUTES[number - 1]
}

pub(crate) const LIST: Family = rows(1, 2);
pub(crate) const DETAIL: Family = rows(3, 4);
pub(crate) const SERVICE: Family = rows(5, 6);
pub(crate) const SERVICE_YAML: Family = rows(7, 8);
pub(crate) const HELM_VALUES: Family = rows(9, 10);
pub(crate) const CREATE: Family = rows(11, 12);
pub(crate) const EDIT: Family = rows(13, 14);
pub(crate) const DELETE: Family = rows(15, 16);
pub(crate) const ADD_SERVICES: Family = rows(17, 18);
pub(crate) const UPDATE_SERVICES: Family = rows(19, 20);
pub(crate) const DELETE_SERVICES: Family = rows(21, 22);
pub(crate) const VARIABLES: Family = rows(23, 24);
pub(crate) const PUT_VARIABLES: Family = rows(25, 26);
pub(crate) const CREATE_CONFIG: Family = rows(27, 28);
pub(crate) const CONFIGS: Family = rows(29, 30);
pub(crate) const CONFIG: Family = rows(31, 32);
pub(crate) const UPDATE_CONFIG: Family = rows(33, 34);
pub(crate) const DELETE_CONFIG: Family = rows(35, 36);
pub(crate) const RESTART: Family = rows(38, 39);

pub(crate) const SERVICE_PODS: Family = Family {
    test: &POD_ROUTES[0],
    production: &POD_ROUTES[1],
};
pub(crate) const RESTART_POD: Family = Family {
    test: &POD_ROUTES[2],
    production: &POD_ROUTES[3],
};

pub(crate) const TEMPLATES: Family = Family {
    test: &CATALOGUE_ROUTES[6],
    production: &CATALOGUE_ROUTES[7],
};
pub(crate) const TEMPLATE: Family = Family {
    test: &CATALOGUE_ROUTES[8],
    production: &CATALOGUE_ROUTES[9],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_the_same_operation_and_verb_in_both_scopes() {
        for family in [
            LIST,
            DETAIL,
            SERVICE,
            SERVICE_YAML,
            HELM_VALUES,
            CREATE,
            EDIT,
            DELETE,
            ADD_SERVICES,
            UPDATE_SERVICES,
            DELETE_SERVICES,
            VARIABLES,
            PUT_VARIABLES,
            CREATE_CONFIG,
            CONFIGS,
            CONFIG,
            UPDATE_CONFIG,
            DELETE_CONFIG,
            RESTART,
            SERVICE_PODS,
            RESTART_POD,
            TEMPLATES,
            TEMPLATE,
        ] {
            let (test, production) = (Scope::Test.of(&family), Scope::Production.of(&family));
            assert_eq!(
                (test.operation, test.verb, test.scope),
                (production.operation, production.verb, Some(Scope::Test)),
            );
            assert_eq!(production.scope, Some(Scope::Production));
            assert_eq!(production.path.replace("/production", ""), test.path);
        }
    }
}
