//! zadig-operator.
