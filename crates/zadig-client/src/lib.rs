//! zadig-client.
