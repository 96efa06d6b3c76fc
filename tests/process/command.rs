//! The command line, without any cluster.

use std::process::{Command, Output};

use crate::support::PROGRAM;

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("text")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

#[test]
fn help_names_every_command_and_each_flag_with_its_variable() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    for command in ["run", "crds", "probe"] {
        assert!(stdout(&help).contains(command), "{}", stdout(&help));
    }
    let help = run(&["run", "--help"]);
    let text = stdout(&help);
    let flags = text
        .lines()
        .filter(|line| line.trim_start().starts_with("--"));
    let variables = text.matches("[env: ").count();
    assert_eq!(flags.count(), variables, "{text}");
}

#[test]
fn a_wrong_command_line_says_what_would_be_right() {
    let output = run(&["run", "--log-format", "xml"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("human") && text.contains("json"), "{text}");
}

#[test]
fn without_an_api_server_the_reason_is_told() {
    let output = run(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("KUBECONFIG"), "{text}");
}
