//! Decisions; pure.
