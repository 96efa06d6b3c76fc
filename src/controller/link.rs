//! From an environment to the Zadig behind its connection, where the connection may be used and works.

use std::sync::Arc;

use super::context::Context;
use super::outcome::Outcome;
use super::zadig::{Link, Zadig};
use crate::api::DELETION_ANNOTATION;
use crate::api::condition::Reason;
use crate::api::environment::ZadigEnvironment;
use crate::error::{Error, is_outage};
use crate::plan::Blocked;
use crate::plan::access::Verdict;
use crate::plan::environment::production::licence_missing;

/// Why there is no Zadig.
pub(super) enum Unlinked {
    /// The connection was not looked at yet; its own reconcile wakes its users.
    Unknown,
    /// This is to be told.
    Tell(Outcome),
}

/// The Zadig behind an environment's connection, or what to tell while there is none.
///
/// While something of it is being deleted, the token that was last read is used even after its Secret is gone (design §2,
/// rule 6). Its calls wait in the line of `tenant`, the namespace of the object that they are for.
///
/// # Errors
/// When the labels of a namespace cannot be read, and when the connection found no Zadig.
pub(super) async fn link(
    environment: &ZadigEnvironment,
    ctx: &Context,
    tenant: Option<String>,
    deleting: bool,
) -> Result<Result<Arc<Zadig>, Unlinked>, Error> {
    let key = Context::connection_key(environment);
    let tell = |outcome| Ok(Err(Unlinked::Tell(outcome)));
    let unknown = format!(
        "spec.connectionRef: there is no ZadigConnection {} in namespace {} that may be used from here",
        key.name, key.namespace
    );
    let Some(connection) = ctx.connection(&key) else {
        return tell(if deleting {
            Outcome::Stalled(
                Reason::ConnectionGone,
                format!(
                    "{unknown}; restore it, or release this object with the annotation {DELETION_ANNOTATION}=Orphan"
                ),
            )
        } else {
            Outcome::Working(Reason::ConnectionNotFound, unknown)
        });
    };
    match ctx.may_use(environment, &connection).await? {
        Verdict::Admitted => {}
        Verdict::Unknown => {
            return tell(Outcome::Working(Reason::ConnectionNotFound, unknown));
        }
        Verdict::Refused(field) => {
            return tell(Outcome::Stalled(
                Reason::AccessDenied,
                format!("{field}: no grant under spec.access of the connection admits this value"),
            ));
        }
    }
    let licensed = |zadig: Arc<Zadig>| match licence_missing(
        environment.spec.scope,
        zadig.licence(),
    ) {
        None => Ok(Ok(Arc::new(
            zadig.for_tenant(tenant.as_deref().unwrap_or_default()),
        ))),
        Some(Blocked { reason, message }) if deleting => tell(Outcome::Stalled(
            reason,
            format!(
                "{message}; or release this object with the annotation {DELETION_ANNOTATION}=Orphan"
            ),
        )),
        Some(Blocked { reason, message }) => tell(Outcome::Stalled(reason, message)),
    };
    match ctx.hub.link(&key) {
        Some(Link::Up(zadig)) => licensed(zadig),
        Some(Link::Down {
            last: Some(zadig), ..
        }) if deleting => licensed(zadig),
        Some(Link::Down { reason, words, .. }) if deleting => tell(Outcome::Stalled(
            match reason {
                Reason::CredentialsMissing => Reason::CredentialsGone,
                other => other,
            },
            format!(
                "the connection cannot be used: {}; restore it, or release this object with the annotation {DELETION_ANNOTATION}=Orphan",
                words.text
            ),
        )),
        Some(Link::Down { reason, words, .. }) if is_outage(reason) => Err(Error::ConnectionDown {
            reason,
            message: words.text,
        }),
        Some(Link::Down { words, .. }) => tell(Outcome::Working(
            Reason::ConnectionNotReady,
            format!("the connection cannot be used: {}", words.text),
        )),
        None => Ok(Err(Unlinked::Unknown)),
    }
}
