//! The one place where the writes of this process to Kubernetes are let through: none once somebody else may lead.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tower::{BoxError, Service};

use crate::leader::Tenure;

/// Nothing is written, as another process may lead by now.
#[derive(Debug, thiserror::Error)]
#[error("not sent, as another process may lead by now")]
struct Over;

/// The same client, that only reads once the tenure is over.
pub(super) fn fenced(client: Client, tenure: Tenure) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(
        Fence {
            inner: client,
            tenure,
        },
        namespace,
    )
}

struct Fence {
    inner: Client,
    tenure: Tenure,
}

impl Service<Request<Body>> for Fence {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, tenure) = (self.inner.clone(), self.tenure.clone());
        Box::pin(async move {
            if request.method() != Method::GET && tenure.is_over() {
                return Err(Over.into());
            }
            Ok(inner.send(request).await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use kube::api::{Patch, PatchParams, PostParams};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn nothing_but_reads_gets_to_kubernetes_once_the_tenure_is_over() {
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let server = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
            let answer = Response::new(Body::from(body.to_string().into_bytes()));
            async move { Ok::<_, BoxError>(answer) }
        });
        let sent = || sent.load(Ordering::Relaxed);
        let kubernetes = Client::new(server, "team");
        let api = |tenure| -> Api<ConfigMap> {
            Api::default_namespaced(fenced(kubernetes.clone(), tenure))
        };
        let patch = Patch::Merge(json!({"data": {}}));
        let leading = api(Tenure::default());
        leading
            .patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
        leading.get("a").await.unwrap();
        assert_eq!(sent(), 2);
        let over = api(Tenure::ended());
        let refused = over.patch("a", &PatchParams::default(), &patch).await;
        let refused = crate::error::chain(&refused.unwrap_err());
        assert!(refused.contains("another process may lead"), "{refused}");
        let map = ConfigMap::default();
        over.create(&PostParams::default(), &map).await.unwrap_err();
        over.delete("a", &kube::api::DeleteParams::default())
            .await
            .unwrap_err();
        assert_eq!(sent(), 2);
        over.get("a").await.unwrap();
        assert_eq!(sent(), 3);
    }
}
