//! The program: how it starts, what it prints, what it refuses.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step is a failed test, in its helpers too"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A started program; it is killed when this is dropped.
struct Program {
    child: Child,
    lines: Vec<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zadig-sim"));
    command
        .arg("--seed")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/z17/seed"));
    command
}

/// Starts the program and reads as many lines as it should print.
fn start(arguments: &[&str], lines: usize) -> Program {
    let mut child = command()
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines = stdout.lines().take(lines).map(Result::unwrap).collect();
    Program { child, lines }
}

fn url(program: &Program) -> String {
    let url = program.lines[0]
        .strip_prefix("listening on ")
        .expect("the first line");
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    url.to_owned()
}

fn http() -> reqwest::Client {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn the_first_line_tells_where_it_listens() {
    let program = start(&["--pace", "fast"], 1);
    let answer = http()
        .get(format!("{}/openapi/environments", url(&program)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_token_can_be_printed_and_is_valid() {
    let program = start(&["--print-token", "admin"], 2);
    let token = program.lines[1].split_whitespace().last().unwrap();
    let answer = http()
        .get(format!(
            "{}/openapi/environments?projectKey=shop",
            url(&program)
        ))
        .header("authorization", format!("Bearer {token}"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap()),
        (200, "[]".to_owned())
    );
}

#[tokio::test]
async fn level_licence_and_faults_are_flags() {
    let fault = r#"{"operation":"environment.list","action":{"kind":"html"}}"#;
    let program = start(
        &[
            "--level",
            "4.3",
            "--licence",
            "none",
            "--fault",
            fault,
            "--print-token",
            "admin",
        ],
        2,
    );
    let (url, token) = (
        url(&program),
        program.lines[1].split_whitespace().last().unwrap(),
    );
    let get = async |path: &str| {
        let request = http().get(format!("{url}/openapi{path}"));
        request
            .header("authorization", format!("Bearer {token}"))
            .send()
            .await
            .unwrap()
    };
    let list = get("/environments?projectKey=shop").await;
    assert!(
        list.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    let gated = get("/environments/production?projectKey=shop")
        .await
        .text()
        .await
        .unwrap();
    assert!(gated.contains("7050"), "{gated}");
    let pods = get("/environments/dev/service/web/pods?projectKey=shop").await;
    assert_ne!(pods.status(), 404, "a route of 4.3");
}

#[test]
fn a_wrong_seed_or_flag_ends_the_program_with_a_reason() {
    let missing = Command::new(env!("CARGO_BIN_EXE_zadig-sim"))
        .args(["--seed", "does-not-exist"])
        .output()
        .unwrap();
    assert!(!missing.status.success());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("does-not-exist"));
    let mut wrong = command();
    let mut child = wrong
        .args(["--level", "3.1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(!child.wait().unwrap().success());
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("3.1"), "{text}");
}
