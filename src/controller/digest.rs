//! Keyed digests of what may hold secrets, so that a change is seen and nothing can be read or guessed.
//!
//! The key lives in one Secret of the operator's namespace. A lost key is lost memory: every digest is then taken anew and
//! nothing is sent (design §3).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sha2::Sha256;

use crate::error::Error;

/// Name of the Secret that holds the key.
pub(super) const KEY_SECRET: &str = "zadig-operator-digest-key";
const KEY_FIELD: &str = "key";
const KEY_BYTES: usize = 32;

/// The key of all digests.
#[derive(Clone)]
pub(super) struct DigestKey(Vec<u8>);

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey(<redacted>)")
    }
}

impl DigestKey {
    /// Reads the key, or makes one when there is none.
    ///
    /// # Errors
    /// When the Secret can neither be read nor created.
    pub(super) async fn load(client: &Client, namespace: &str) -> Result<Self, Error> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        if let Some(key) = Self::read(&secrets).await? {
            return Ok(key);
        }
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|_| Error::Randomness)?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(KEY_SECRET.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                KEY_FIELD.to_owned(),
                ByteString(key.clone()),
            )])),
            ..Secret::default()
        };
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(Self(key)),
            // Another replica was first.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Self::read(&secrets).await?.map_or(Ok(Self(key)), Ok)
            }
            Err(error) => Err(Error::kubernetes("create the Secret of the digest key")(
                error,
            )),
        }
    }

    async fn read(secrets: &Api<Secret>) -> Result<Option<Self>, Error> {
        let secret = secrets
            .get_opt(KEY_SECRET)
            .await
            .map_err(Error::kubernetes("read the Secret of the digest key"))?;
        Ok(secret
            .and_then(|secret| secret.data?.remove(KEY_FIELD))
            .filter(|key| key.0.len() >= KEY_BYTES)
            .map(|key| Self(key.0)))
    }

    /// The digest of some parts, order and borders included: 22 characters.
    #[must_use]
    pub(super) fn digest<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..16])
    }

    #[cfg(test)]
    pub(crate) fn fixed() -> Self {
        Self(vec![7; KEY_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_parts_apart_and_shows_nothing_of_them() {
        let key = DigestKey::fixed();
        let digest = key.digest(["secret", "value"]);
        assert_eq!(digest, key.digest(["secret", "value"]));
        assert_ne!(digest, key.digest(["secretv", "alue"]));
        assert_ne!(
            digest,
            DigestKey(vec![8; KEY_BYTES]).digest(["secret", "value"])
        );
        assert_eq!(digest.len(), 22);
        assert_eq!(format!("{key:?}"), "DigestKey(<redacted>)");
    }
}
