//! A hook for secrets: the embedder knows which values must not be seen in what a server says.

/// Takes out of a text what must not be seen.
///
/// Asked about every text of a server before it gets into an error: whole, as it was received. A text that was cut or put on one line
/// may hold a part of a value that is not recognised any more.
pub trait Mask: Send + Sync {
    /// The text without what must not be seen.
    fn mask(&self, text: &str) -> String;
}
