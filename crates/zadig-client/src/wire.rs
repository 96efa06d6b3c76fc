//! Small rules of Zadig's JSON that many types share.
//!
//! Zadig sends `[]` for empty lists, but a client should bear `null` (Z§1.1); words such as a status
//! are open sets.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default, as Zadig's own language does.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Defines an enum over a set of words that may grow: an unknown word is kept as it came.
///
/// Words are compared without regard to case: Zadig stores some with capitals and lowers most, but
/// not all, of them on the way out (Z§5.1, Z§5.4).
macro_rules! open_words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$word_meta:meta])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $( $(#[$word_meta])* $variant, )*
            /// A word that this version of the client does not know, as it came.
            Other(String),
        }

        impl $name {
            /// The word itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $word, )*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                $( if word.eq_ignore_ascii_case($word) { return Self::$variant; } )*
                Self::Other(word.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                Self::from(word.as_str())
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use open_words;
