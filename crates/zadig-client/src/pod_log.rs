//! The last lines of a container's log (#50).
//!
//! Zadig's stream never ends, and says nothing when the pod does not exist (Z§4.20). So it is read
//! until a deadline, which is no error, and what came until then is the answer.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::client::{Client, truncated};
use crate::error::{Error, Kind};
use crate::scope::row;

/// Which log, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// How many lines from the end.
    pub tail_lines: u32,
    /// Only lines that are not older, in whole seconds.
    pub since: Option<Duration>,
    /// When to stop, whatever has come.
    pub deadline: Duration,
    /// When to stop earlier: nothing more came for this long after a line.
    pub quiet: Option<Duration>,
}

impl LogRequest {
    /// The last lines of a container, within three seconds.
    #[must_use]
    pub fn tail(pod: impl Into<String>, container: impl Into<String>, lines: u32) -> Self {
        Self {
            pod: pod.into(),
            container: container.into(),
            tail_lines: lines,
            since: None,
            deadline: Duration::from_secs(3),
            quiet: Some(Duration::from_millis(500)),
        }
    }
}

/// What was read of a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PodLog {
    /// The lines, oldest first. None says nothing: there may be no such pod.
    pub lines: Vec<String>,
    /// Whether reading stopped at the bound of bodies.
    pub truncated: bool,
}

// What programs log may hold anything.
impl std::fmt::Debug for PodLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodLog")
            .field("lines", &self.lines.len())
            .field("truncated", &self.truncated)
            .finish()
    }
}

impl Client {
    /// Reads the end of a container's log (#50), in either scope, until the request's deadline.
    ///
    /// # Errors
    ///
    /// [`Kind::TimedOut`] if not even the head of an answer came in time.
    pub async fn pod_log(
        &self,
        project: &str,
        env: &str,
        request: &LogRequest,
    ) -> Result<PodLog, Error> {
        let since = request.since.map(|since| format!("{}s", since.as_secs()));
        let call = Call::new(row(50))
            .segment("pod", &request.pod)
            .segment("container", &request.container)
            .project(project)
            .required("envName", env)
            .required("tails", &request.tail_lines.to_string())
            .optional("since", since.as_deref());
        let url = call.url(self.base_url())?;
        self.governed(call.route, &url, self.read_log(&call, url.clone(), request))
            .await
    }

    async fn read_log(
        &self,
        call: &Call,
        url: url::Url,
        request: &LogRequest,
    ) -> Result<PodLog, Kind> {
        let deadline = Instant::now() + request.deadline;
        let opened = timeout_at(deadline, self.open(call, url)).await;
        let mut response = opened.unwrap_or(Err(Kind::TimedOut(request.deadline)))?;
        let mut frames = Frames::default();
        let mut read = 0;
        loop {
            let quiet = request.quiet.filter(|_| !frames.lines.is_empty());
            let until = quiet.map_or(deadline, |quiet| deadline.min(Instant::now() + quiet));
            let chunk = match timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Err(error)) if frames.lines.is_empty() => return Err(truncated(error)),
                // The time is over, or the connection: nothing is lost of what came before.
                Ok(_) | Err(_) => break,
            };
            read += chunk.len();
            if read > self.max_body_bytes() {
                return Ok(PodLog {
                    lines: frames.lines,
                    truncated: true,
                });
            }
            frames.push(&chunk);
        }
        Ok(PodLog {
            lines: frames.lines,
            truncated: false,
        })
    }
}

/// Takes server-sent events apart, as Zadig writes them: `data:` without a blank (Z§4.20).
#[derive(Default)]
struct Frames {
    lines: Vec<String>,
    rest: Vec<u8>,
}

impl Frames {
    fn push(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(data) = line.trim_end_matches(['\n', '\r']).strip_prefix("data:") {
                self.lines.push(data.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_whatever_the_chunks_are() {
        let stream = "event:message\ndata:12:20:01 starting\n\nevent:message\ndata: über\n\nevent";
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            stream
                .as_bytes()
                .chunks(size)
                .for_each(|chunk| frames.push(chunk));
            assert_eq!(frames.lines, ["12:20:01 starting", " über"]);
        }
    }
}
