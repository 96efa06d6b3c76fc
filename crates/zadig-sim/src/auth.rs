//! Users, their tokens and what they may do (Z§1.2).
//!
//! Tokens are JWTs signed with a fixed key, so a user's token is the same in every simulator with that user: a client keeps
//! its access over a restart, as with a real installation.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::options::Level;
use crate::seed::UserSeed;

/// The key of this installation; nothing real is signed with it.
const KEY: &[u8] = b"zadig-sim";

/// A personal API token lives for a hundred years (Z§1.2); this one ends in 2126.
const EXPIRY: i64 = 4_922_000_000;

/// A caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) system_admin: bool,
    pub(crate) project_admin: Vec<String>,
    pub(crate) permissions: BTreeMap<String, Vec<String>>,
    pub(crate) collaboration: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    pub(crate) api_token_disabled: bool,
    pub(crate) mfa_required: bool,
}

impl From<&UserSeed> for User {
    fn from(seed: &UserSeed) -> Self {
        Self {
            name: seed.name.clone(),
            system_admin: seed.system_admin,
            project_admin: seed.project_admin.clone(),
            permissions: seed.permissions.clone(),
            collaboration: seed.collaboration.clone(),
            api_token_disabled: seed.api_token_disabled,
            mfa_required: seed.mfa_required,
        }
    }
}

/// Why a request does not get past the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// 401 without a body.
    Unauthorized,
    /// 403 with a reason, from 4.3 on.
    SecondFactor,
}

impl User {
    /// A user of this name without any role.
    pub(crate) fn without_roles(&self) -> Self {
        Self {
            name: self.name.clone(),
            ..Self::default()
        }
    }

    /// The user's API token.
    pub(crate) fn token(&self) -> String {
        let header = encode(&json!({ "alg": "HS256", "typ": "JWT" }));
        let claims = encode(&json!({
            "name": self.name,
            "email": format!("{}@example.com", self.name),
            "uid": self.name,
            "preferred_username": self.name,
            "federated_claims": { "connector_id": "system", "user_id": self.name },
            "exp": EXPIRY,
        }));
        let signature = sign(&format!("{header}.{claims}"));
        format!("{header}.{claims}.{signature}")
    }

    /// Whether the user administers the project or the system.
    pub(crate) fn administers(&self, project: &str) -> bool {
        self.system_admin || self.project_admin.iter().any(|key| key == project)
    }

    /// Whether the user holds the verb in the project.
    pub(crate) fn may(&self, project: &str, verb: &str) -> bool {
        self.administers(project)
            || self
                .permissions
                .get(project)
                .is_some_and(|verbs| verbs.iter().any(|v| v == verb))
    }

    /// Whether a collaboration mode grants the verb on one environment.
    pub(crate) fn collaborates(&self, project: &str, env: &str, verb: &str) -> bool {
        self.collaboration
            .get(project)
            .and_then(|envs| envs.get(env))
            .is_some_and(|verbs| verbs.iter().any(|v| v == verb))
    }

    /// Whether the user has any role in the project.
    pub(crate) fn belongs_to(&self, project: &str) -> bool {
        self.administers(project)
            || self.permissions.contains_key(project)
            || self.collaboration.contains_key(project)
    }
}

/// The user of a request, from the query's token, which the gateway prefers, or the header's.
pub(crate) fn authenticate<'a>(
    users: &'a [std::sync::Arc<User>],
    level: Level,
    header: Option<&str>,
    query: &[(String, String)],
) -> Result<&'a std::sync::Arc<User>, Denied> {
    let in_query = query
        .iter()
        .find(|(key, _)| key == "token")
        .map(|(_, value)| value.as_str());
    let token = match in_query.filter(|token| !token.is_empty()) {
        Some(token) => token,
        None => bearer(header.unwrap_or_default()).ok_or(Denied::Unauthorized)?,
    };
    let name = verified_name(token).ok_or(Denied::Unauthorized)?;
    let user = users
        .iter()
        .find(|user| user.name == name)
        .ok_or(Denied::Unauthorized)?;
    if level >= Level::V43 {
        if user.api_token_disabled && !user.system_admin {
            return Err(Denied::Unauthorized);
        }
        if user.mfa_required {
            return Err(Denied::SecondFactor);
        }
    }
    Ok(user)
}

/// The second of exactly two words; the first may be any (Z§1.2).
fn bearer(header: &str) -> Option<&str> {
    let mut words = header.split(' ');
    let (_, token) = (words.next()?, words.next()?);
    words.next().is_none().then_some(token)
}

/// The name a token was given to, if this installation signed it.
fn verified_name(token: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?)
        .ok()?;
    let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["preferred_username"].as_str().map(str::to_owned)
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn sign(text: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(KEY) else {
        return String::new();
    };
    mac.update(text.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn users() -> Vec<Arc<User>> {
        vec![Arc::new(User {
            name: "admin".to_owned(),
            ..User::default()
        })]
    }

    fn check(header: &str) -> Result<String, Denied> {
        authenticate(&users(), Level::V42, Some(header), &[]).map(|user| user.name.clone())
    }

    #[test]
    fn any_first_word_passes_and_a_token_alone_does_not() {
        let token = users()[0].token();
        assert_eq!(check(&format!("Bearer {token}")), Ok("admin".to_owned()));
        assert_eq!(check(&format!("Token {token}")), Ok("admin".to_owned()));
        assert_eq!(check(&token), Err(Denied::Unauthorized));
        assert_eq!(
            check(&format!("Bearer  {token}")),
            Err(Denied::Unauthorized)
        );
    }

    #[test]
    fn a_tampered_token_is_refused() {
        let mut token = users()[0].token();
        token.truncate(token.len() - 4);
        assert_eq!(
            check(&format!("Bearer {token}AAAA")),
            Err(Denied::Unauthorized)
        );
    }
}
