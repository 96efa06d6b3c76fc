//! What the client does when things are not as they should be: statuses without body, web pages,
//! bodies that are too short, too long or too late, redirects, and servers that are not there.

use std::error::Error as _;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zadig_client::limit::{Circuit, Governor, Limits, Stats};
use zadig_client::{
    Client, Config, Error, ErrorClass, Kind, LogRequest, Mask, Observer, PodLog, Resources, Route,
    Scope, ServiceChange, Token,
};

use crate::server::{Server, TOKEN, answer, json};

const JSON: Option<&str> = Some("application/json; charset=utf-8");

async fn list(client: &Client) -> Result<usize, Error> {
    client
        .list_environments(Scope::Test, "shop")
        .await
        .map(|list| list.len())
}

async fn restart(client: &Client) -> Result<(), Error> {
    client
        .restart_service(Scope::Test, "shop", "dev", "api")
        .await
}

/// Everything an error shows, its sources included.
fn all_of(error: &Error) -> String {
    let mut parts = vec![error.to_string(), format!("{error:?}")];
    let mut source = error.source();
    while let Some(cause) = source {
        parts.extend([cause.to_string(), format!("{cause:?}")]);
        source = cause.source();
    }
    parts.concat()
}

/// A server that answers each connection with these bytes and closes it.
async fn raw(reply: &'static [u8]) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(reply).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

fn client_of(url: url::Url) -> Client {
    Client::new(Config::new(url, Token::new(TOKEN).unwrap())).unwrap()
}

#[tokio::test]
async fn each_status_and_shape_has_its_class_and_says_whether_the_outcome_is_known() {
    let page = "<html>sign in</html>";
    let wrapped = r#"{"code":500,"message":"Internal Error: ","description":"d"}"#;
    let coded = r#"{"type":"error","message":"m","code":6076,"description":"d","extra":{}}"#;
    let cases = [
        (401, None, "", ErrorClass::Unauthorized, false),
        (403, None, "", ErrorClass::Forbidden, false),
        (403, Some("text/html"), page, ErrorClass::Forbidden, false),
        (
            403,
            JSON,
            r#"{"reason":"mfa_enrollment_required"}"#,
            ErrorClass::MfaRequired,
            false,
        ),
        (400, None, "", ErrorClass::Rejected, false),
        (400, JSON, coded, ErrorClass::Rejected, false),
        (500, JSON, wrapped, ErrorClass::Internal, false),
        (500, None, "", ErrorClass::Internal, true),
        (
            500,
            Some("text/html"),
            page,
            ErrorClass::UnexpectedResponse,
            true,
        ),
        (
            404,
            Some("text/plain"),
            "Invalid path: /x",
            ErrorClass::NotFoundRoute,
            false,
        ),
        (
            404,
            Some("text/html"),
            page,
            ErrorClass::NotFoundRoute,
            false,
        ),
        (429, None, "", ErrorClass::Throttled, false),
        (502, Some("text/html"), page, ErrorClass::Unreachable, true),
        (503, None, "", ErrorClass::Unreachable, true),
        (504, None, "", ErrorClass::Unreachable, true),
        (
            200,
            Some("text/html"),
            page,
            ErrorClass::UnexpectedResponse,
            true,
        ),
        (200, JSON, "", ErrorClass::UnexpectedResponse, true),
        (200, JSON, "[1]", ErrorClass::UnexpectedResponse, true),
        (307, None, "", ErrorClass::RedirectRefused, false),
    ];
    for (status, content_type, body, class, unknown) in cases {
        let server = Server::answering(status, content_type, body).await;
        let error = restart(&server.client()).await.unwrap_err();
        assert_eq!(
            (error.class(), error.outcome_unknown(), error.operation()),
            (class, unknown, "restart_service"),
            "{status} {body}: {error}"
        );
        // A call that changes something is sent once, whatever happens.
        assert_eq!(server.asked().len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_one_bounded_line_that_names_the_call() {
    let body = json!({
        "type": "error", "message": "更新环境失败", "code": 6076,
        "description": format!("1 error occurred:\n\t* token {TOKEN} {}", "x".repeat(4000)),
        "extra": {"web": ["dev-alice"]},
    });
    let server = Server::answering(400, JSON, body.to_string()).await;
    let error = restart(&server.client()).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.status, refusal.code), (400, Some(6076)));
    assert_eq!(
        serde_json::Value::from(refusal.extra.clone()),
        json!({"web": ["dev-alice"]})
    );
    let begin = "restart_service (POST /openapi/environments/dev/service/api/restart?projectKey=shop): \
                 refused with status 400, code 6076: 更新环境失败: 1 error occurred: * token [redacted] xxx";
    let told = error.to_string();
    assert!(told.starts_with(begin) && told.len() < 900, "{told}");
    assert!(!all_of(&error).contains(TOKEN));
}

/// Knows two values.
struct Known;

impl Mask for Known {
    fn mask(&self, text: &str) -> String {
        text.replace(VALUE, "***").replace("first  half", "***")
    }
}

/// Longer than what is shown of a text, and of several lines.
const VALUE: &str =
    "-----BEGIN\n  KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n\t-----END  KEY-----";

#[tokio::test]
async fn what_is_masked_is_masked_before_a_text_is_put_on_one_line_and_cut() {
    // The text is cut in the midst of the second value, whose beginning nobody would recognise.
    let text = format!("a\n{VALUE}\nb {} {VALUE} first  half", "x".repeat(480));
    let coded = json!({"type": "error", "message": text, "code": 6076, "description": text});
    let foreign = text.clone();
    let undecodable = json!([{"text": text}])
        .to_string()
        .replace("\\n", "\n")
        .replace("\\t", "\t");
    for (status, content_type, body) in [
        (400, JSON, coded.to_string()),
        (500, Some("text/x"), foreign),
        (200, JSON, undecodable),
    ] {
        let server = Server::answering(status, content_type, body).await;
        let mut config = server.config();
        config.mask = Some(Arc::new(Known));
        let client = Client::new(config).unwrap();
        let error = restart(&client).await.unwrap_err();
        let told = all_of(&error);
        assert!(told.contains("***"), "{told}");
        for part in ["KEY", "BEGIN", "MII", "half"] {
            assert!(!told.contains(part), "{status}: {part} in {told}");
        }
    }
}

#[tokio::test]
async fn secrets_in_an_answer_that_is_not_understood_are_not_repeated() {
    let body = r#"[{"key":"pw","value":"hunter2","type":"string","options":"hunter2"}]"#;
    let server = Server::answering(200, JSON, body).await;
    let error = server
        .client()
        .global_variables(Scope::Test, "shop", "dev")
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::UnexpectedResponse);
    assert!(!all_of(&error).contains("hunter2"), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("json of another form, line 1 column"),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_no_answer() {
    let url =
        raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[]")
            .await;
    let client = client_of(url);
    let error = restart(&client).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Truncated(_)), "{error:?}");
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::UnexpectedResponse, true)
    );
    assert_eq!(
        list(&client).await.unwrap_err().class(),
        ErrorClass::UnexpectedResponse
    );
}

#[tokio::test]
async fn a_connection_that_ends_without_answer_leaves_the_outcome_of_a_write_unknown() {
    let client = client_of(raw(b"").await);
    let error = restart(&client).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Lost(_)), "{error:?}");
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::Unreachable, true)
    );
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let error = restart(&client_of(url)).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Connect(_)), "{error:?}");
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::Unreachable, false)
    );
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused_whether_announced_or_not() {
    let large = vec![b' '; 10 << 20];
    let announced = Server::answering(200, JSON, large.clone()).await;
    let error = list(&announced.client()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::BodyTooLarge);

    let streamed = Server::start(move |_, _| {
        let body = Bytes::from(vec![b' '; 10 << 20]);
        async move {
            let chunks = (0..10)
                .map(move |part| Ok::<_, std::io::Error>(body.slice(part << 20..(part + 1) << 20)));
            answer(200, JSON, Body::from_stream(futures::stream::iter(chunks)))
        }
    })
    .await;
    let error = list(&streamed.client()).await.unwrap_err();
    assert!(
        matches!(error.kind(), Kind::TooLarge(bound) if *bound == 8 << 20),
        "{error:?}"
    );

    let mut config = Server::answering(200, JSON, large).await.config();
    config.max_body_bytes = 11 << 20;
    // All blanks: now it is read, and found to be nothing.
    let error = list(&Client::new(config).unwrap()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::UnexpectedResponse);
}

#[tokio::test]
async fn the_bound_of_a_body_counts_what_comes_out_of_the_compression() {
    // gzip of 64 KiB of blanks.
    const BLANKS: &[u8] = include_bytes!("../examples/blanks.gz");
    let server = Server::start(|_, _| async {
        let mut response = answer(200, JSON, BLANKS);
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    })
    .await;
    let mut config = server.config();
    config.max_body_bytes = 1 << 10;
    assert!(BLANKS.len() < 1 << 10);
    let error = list(&Client::new(config).unwrap()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::BodyTooLarge);
}

#[tokio::test]
async fn a_redirect_to_another_server_is_refused_and_the_other_hears_nothing() {
    let other = Server::answering(200, JSON, "[]").await;
    let target = other.url.join("/openapi/environments").unwrap().to_string();
    for location in [target, other.url.as_str().replace("http://", "https://")] {
        for status in [301, 302, 307, 308] {
            let location = location.clone();
            let server = Server::start(move |_, _| {
                let response = redirect(status, &location);
                async move { response }
            })
            .await;
            let error = list(&server.client()).await.unwrap_err();
            assert!(matches!(error.kind(), Kind::Redirect { status: told } if *told == status));
            let error = restart(&server.client()).await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::RedirectRefused);
        }
    }
    assert_eq!(other.asked().len(), 0);
}

#[tokio::test]
async fn a_redirect_within_the_server_is_followed_by_reads_alone_and_a_few_times_at_most() {
    let once = Server::start(|number, _| async move {
        match number {
            0 => redirect(301, "/elsewhere?projectKey=shop"),
            _ => json(200, &json!([])),
        }
    })
    .await;
    assert_eq!(list(&once.client()).await.unwrap(), 0);
    let targets: Vec<String> = once.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(
        targets,
        [
            "/openapi/environments?projectKey=shop",
            "/elsewhere?projectKey=shop"
        ]
    );

    let circle = Server::start(|_, _| async { redirect(302, "/again") }).await;
    assert_eq!(
        list(&circle.client()).await.unwrap_err().class(),
        ErrorClass::RedirectRefused
    );
    assert_eq!(circle.asked().len(), 4);

    let write = Server::start(|_, _| async { redirect(307, "/again") }).await;
    assert_eq!(
        restart(&write.client()).await.unwrap_err().class(),
        ErrorClass::RedirectRefused
    );
    assert_eq!(write.asked().len(), 1);
}

fn redirect(status: u16, location: &str) -> Response<Body> {
    let mut response = answer(status, None, "");
    response
        .headers_mut()
        .insert(header::LOCATION, location.parse().unwrap());
    response
}

#[tokio::test]
async fn a_read_is_repeated_while_nobody_can_answer_and_a_write_never() {
    let shaky = Server::start(|number, _| async move {
        match number {
            0 => answer(503, None, ""),
            1 => answer(502, Some("text/html"), "<html>"),
            _ => json(200, &json!([])),
        }
    })
    .await;
    assert_eq!(list(&shaky.client()).await.unwrap(), 0);
    assert_eq!(shaky.asked().len(), 3);

    let down = Server::answering(503, None, "").await;
    assert_eq!(
        list(&down.client()).await.unwrap_err().class(),
        ErrorClass::Unreachable
    );
    assert_eq!(down.asked().len(), 3);
    assert_eq!(
        restart(&down.client()).await.unwrap_err().class(),
        ErrorClass::Unreachable
    );
    assert_eq!(down.asked().len(), 4);
}

#[tokio::test]
async fn z14_08_a_500_is_an_answer_and_nothing_is_repeated_on_it() {
    // Missing, busy, existing and badly formed things are all told in this form (Z§2.4).
    let body = r#"{"code":500,"message":"Internal Error: ","description":"d"}"#;
    let refusing = Server::answering(500, JSON, body).await;
    let governor = Governor::new(Limits::default());
    let client = refusing.client().with_governor(Arc::clone(&governor));
    for _ in 0..10 {
        let read = list(&client).await.unwrap_err();
        let write = restart(&client).await.unwrap_err();
        assert_eq!(
            [read.class(), write.class()],
            [ErrorClass::Internal, ErrorClass::Internal]
        );
        assert!(!write.outcome_unknown());
    }
    assert_eq!(refusing.asked().len(), 20);
    assert_eq!(governor.stats().circuit, Circuit::Closed);
}

#[tokio::test]
async fn a_server_that_asks_for_patience_gets_it_within_reason() {
    let throttling = |seconds: &'static str| {
        Server::start(move |number, _| async move {
            if number > 0 {
                return json(200, &json!([]));
            }
            let mut response = answer(429, None, "");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
            response
        })
    };
    let short = throttling("1").await;
    let begun = std::time::Instant::now();
    assert_eq!(list(&short.client()).await.unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let long = throttling("3600").await;
    let error = list(&long.client()).await.unwrap_err();
    assert_eq!(
        (error.class(), error.retry_after()),
        (ErrorClass::Throttled, Some(Duration::from_hours(1)))
    );
    assert_eq!(long.asked().len(), 1);
}

#[tokio::test]
async fn a_call_without_answer_ends_at_its_time_and_a_read_is_tried_once_more() {
    let silent = Server::start(|_, _| pending()).await;
    let mut config = silent.config();
    config.timeouts.list = Duration::from_millis(150);
    config.timeouts.write = Duration::from_millis(150);
    let client = Client::new(config).unwrap();
    let error = restart(&client).await.unwrap_err();
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::TimedOut, true)
    );
    assert_eq!(silent.asked().len(), 1);
    let error = list(&client).await.unwrap_err();
    assert_eq!(
        (error.class(), error.outcome_unknown()),
        (ErrorClass::TimedOut, false)
    );
    assert_eq!(silent.asked().len(), 3);
}

#[tokio::test]
async fn an_answer_that_trickles_is_no_answer_in_time() {
    let trickling = Server::start(|_, _| async {
        let endless = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(" "), ()))
        });
        answer(200, JSON, Body::from_stream(endless))
    })
    .await;
    let mut config = trickling.config();
    config.timeouts.write = Duration::from_millis(200);
    let error = restart(&Client::new(config).unwrap()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut);
}

#[tokio::test]
async fn a_log_is_read_until_its_deadline_or_until_it_falls_silent() {
    let streaming = Server::start(|_, _| async {
        let lines = ["event:message\ndata:one\n\nevent:mess", "age\ndata:two\n\n"];
        let stream = futures::stream::iter(lines.map(Ok::<_, std::io::Error>));
        let stream = stream.chain(futures::stream::pending());
        answer(200, Some("text/event-stream"), Body::from_stream(stream))
    })
    .await;
    let client = streaming.client();
    let mut request = LogRequest::tail("api-1", "api", 2);
    request.quiet = Some(Duration::from_millis(100));
    request.deadline = Duration::from_mins(1);
    let expected = PodLog {
        lines: vec!["one".to_owned(), "two".to_owned()],
        truncated: false,
    };
    assert_eq!(
        client.pod_log("shop", "dev", &request).await.unwrap(),
        expected
    );
    request.quiet = None;
    request.deadline = Duration::from_millis(300);
    request.since = Some(Duration::from_mins(5));
    assert_eq!(
        client.pod_log("shop", "dev", &request).await.unwrap(),
        expected
    );
    assert_eq!(
        streaming.asked()[1].target,
        "/openapi/logs/sse/pods/api-1/containers/api?projectKey=shop&envName=dev&tails=2&since=300s"
    );

    // Of a pod that does not exist there is an answer without end and without a byte (Z§4.20).
    let empty = Server::start(|_, _| async {
        let nothing = futures::stream::pending::<Result<Bytes, std::io::Error>>();
        answer(200, None, Body::from_stream(nothing))
    })
    .await;
    let log = empty
        .client()
        .pod_log("shop", "dev", &request)
        .await
        .unwrap();
    assert_eq!(log, PodLog::default());

    let silent = Server::start(|_, _| pending()).await;
    let error = silent
        .client()
        .pod_log("shop", "dev", &request)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimedOut);
}

#[tokio::test]
async fn logs_that_do_not_begin_are_no_outage() {
    let silent = Server::start(|_, _| pending()).await;
    let governor = Governor::new(Limits::default());
    let client = silent.client().with_governor(Arc::clone(&governor));
    let mut request = LogRequest::tail("api-1", "api", 2);
    request.deadline = Duration::from_millis(20);
    for _ in 0..10 {
        let error = client.pod_log("shop", "dev", &request).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::TimedOut);
    }
    let Stats {
        circuit, in_flight, ..
    } = governor.stats();
    assert_eq!((circuit, in_flight), (Circuit::Closed, 0));
}

#[tokio::test]
async fn a_request_carries_token_agent_and_body_and_no_header_that_zadig_reacts_to() {
    let server = Server::answering(200, JSON, r#"{"message":"success"}"#).await;
    let mut config = server.config();
    config.base_url = server.url.join("/zadig/").unwrap();
    config.user_agent = "tester/1".to_owned();
    let client = Client::new(config).unwrap();
    client
        .delete_services(Scope::Production, "a&b", "dev", &["web"], Resources::Keep)
        .await
        .unwrap();
    let [asked] = &server.asked()[..] else {
        panic!("one request")
    };
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        (
            "DELETE",
            "/zadig/openapi/environments/production/service/yaml?projectKey=a%26b"
        )
    );
    assert_eq!(
        asked.json(),
        json!({"env_key": "dev", "service_names": ["web"], "not_delete_resource": true})
    );
    let header = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    assert_eq!(header("user-agent"), Some("tester/1"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("resources"), None);
}

#[tokio::test]
async fn what_zadig_would_misunderstand_is_refused_without_a_call() {
    let server = Server::answering(200, JSON, r#"{"message":"success"}"#).await;
    let client = server.client();
    let service = |name: &str| ServiceChange {
        service_name: name.to_owned(),
        variables: vec![],
    };
    let none: &[&str] = &[];
    let results = [
        client.restart_service(Scope::Test, "shop", "", "api").await,
        client.restart_service(Scope::Test, "", "dev", "api").await,
        client
            .restart_service(Scope::Test, "shop", "..", "api")
            .await,
        client
            .restart_service(Scope::Test, "shop", "production", "api")
            .await,
        client
            .add_services(Scope::Test, "shop", "", &[service("api")])
            .await,
        client
            .add_services(Scope::Test, "shop", "dev", &[service("")])
            .await,
        client
            .update_services(Scope::Test, "shop", "dev", &[])
            .await,
        client
            .delete_services(Scope::Test, "shop", "dev", none, Resources::Keep)
            .await,
        client
            .delete_environment(Scope::Production, "shop", "dev", Resources::Delete)
            .await,
    ];
    for (number, result) in results.into_iter().enumerate() {
        let error = result.expect_err(&format!("call {number} was sent"));
        assert_eq!(
            error.class(),
            ErrorClass::InvalidRequest,
            "{number}: {error}"
        );
        assert!(!error.outcome_unknown());
    }
    assert_eq!(server.asked().len(), 0);
}

#[tokio::test]
async fn another_token_is_used_from_the_next_call_on() {
    let server = Server::answering(200, JSON, "[]").await;
    let client = server.client();
    let other = Token::new("another-token").unwrap();
    let changed = client.with_token(other.clone()).unwrap();
    assert!(changed.uses_token(&other) && !client.uses_token(&other));
    list(&changed).await.unwrap();
    let sent = server.asked()[0].headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(sent, "Bearer another-token");
    assert!(!format!("{client:?} {changed:?} {:?}", server.config()).contains("token"));
}

#[tokio::test]
async fn the_observer_is_told_of_every_request_with_its_outcome() {
    #[derive(Default)]
    struct Log(Mutex<Vec<(&'static str, &'static str)>>);
    impl Observer for Log {
        fn called(&self, route: &'static Route, outcome: &'static str, _: Duration) {
            self.0.lock().unwrap().push((route.operation, outcome));
        }
    }
    let server = Server::start(|number, _| async move {
        match number {
            0 => answer(503, None, ""),
            1 => json(200, &json!([])),
            _ => answer(403, None, ""),
        }
    })
    .await;
    let log = Arc::new(Log::default());
    let mut config = server.config();
    config.observer = Some(Arc::clone(&log) as Arc<dyn Observer>);
    let client = Client::new(config).unwrap();
    list(&client).await.unwrap();
    restart(&client).await.unwrap_err();
    assert_eq!(
        *log.0.lock().unwrap(),
        [
            ("list_environments", "unreachable"),
            ("list_environments", "ok"),
            ("restart_service", "forbidden"),
        ]
    );
}

#[tokio::test]
async fn the_clock_of_the_server_is_known_after_an_answer() {
    let server = Server::start(|_, _| async {
        let mut response = json(200, &json!([]));
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new();
        let date = date.timestamp_to_rfc9110_string(&time).unwrap();
        response
            .headers_mut()
            .insert(header::DATE, date.parse().unwrap());
        response
    })
    .await;
    let client = server.client();
    assert_eq!(client.clock_skew(), None);
    list(&client).await.unwrap();
    let skew = client.clock_skew().unwrap().as_secs();
    assert!((598..=602).contains(&skew), "{skew}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_the_reason() {
    let built = |url: &str, ca: &[u8]| {
        let mut config = Config::new(url.parse().unwrap(), Token::new(TOKEN).unwrap());
        config.ca_pem = ca.to_vec();
        Client::new(config)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let told = [
        built("ftp://h", b""),
        built("https://user:hunter2@h", b""),
        built("https://h/?x=1", b""),
        built("https://h", b"no certificate"),
    ];
    let expected = [
        "the url of zadig must begin with http:// or https://",
        "the url of zadig must not hold credentials",
        "the url of zadig must not have a query or a fragment",
        "the ca bundle holds no certificate",
    ];
    assert_eq!(told.map(Result::unwrap_err), expected);
}
