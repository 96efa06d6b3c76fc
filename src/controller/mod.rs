//! The only module that touches the network.
