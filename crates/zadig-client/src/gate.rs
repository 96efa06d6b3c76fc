//! A hook for those who may change their mind: asked at the last moment before a change is sent.

/// Says whether a change may still be sent.
///
/// A call can wait long, for its turn and for the governor. Who sends it may have lost the right, or the wish, meanwhile; so the gate is
/// asked when nothing is left to wait for. Reads pass without being asked.
pub trait Gate: Send + Sync {
    /// Whether a call that changes something may leave now.
    fn is_open(&self) -> bool;
}
