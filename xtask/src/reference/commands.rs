//! The page of the commands: every argument and environment variable, as clap knows them.

use clap::{Arg, Command};

use super::{head, prose, row};

const BEGINNING: &str = "# Commands\n\nEvery flag has an environment variable where the table names one; the flag wins. Durations are written as in Go: `15s`, `1m30s`.\n\nThe API server is found as by every Kubernetes client: the Pod's service account, else `KUBECONFIG`, else `~/.kube/config`. `HTTPS_PROXY`,\n`HTTP_PROXY` and `NO_PROXY` are honoured.\n";

pub(super) fn page(mut command: Command) -> String {
    command.build();
    let program = command.get_name().to_owned();
    let mut page = BEGINNING.to_owned();
    let shown = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help");
    for command in shown {
        page.push_str(&format!("\n## {program} {}\n\n", command.get_name()));
        if let Some(about) = command.get_about() {
            page.push_str(&format!("{}\n\n", sentence(&prose(&about.to_string()))));
        }
        let mut arguments = command
            .get_arguments()
            .filter(|it| it.get_id() != "help")
            .peekable();
        if arguments.peek().is_none() {
            page.push_str("It takes no arguments.\n");
            continue;
        }
        head(
            &mut page,
            &[
                "argument",
                "environment variable",
                "default",
                "what it does",
            ],
        );
        for argument in arguments {
            row(
                &mut page,
                &[
                    &name(argument),
                    &variable(argument),
                    &default(argument),
                    &meaning(argument),
                ],
            );
        }
    }
    page
}

fn name(argument: &Arg) -> String {
    let value = argument
        .get_num_args()
        .is_some_and(|number| number.takes_values())
        .then(|| {
            let names = argument.get_value_names().unwrap_or_default();
            let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
            names.join(" ")
        });
    match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("`--{long} {value}`"),
        (Some(long), None) => format!("`--{long}`"),
        (None, value) => format!("`{}`", value.unwrap_or_default()),
    }
}

fn variable(argument: &Arg) -> String {
    let name = argument.get_env().map(|name| name.to_string_lossy());
    name.map(|name| format!("`{name}`")).unwrap_or_default()
}

fn default(argument: &Arg) -> String {
    let values = argument.get_default_values().iter();
    let values: Vec<String> = values
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    values.join(", ")
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help());
    let mut meaning = sentence(&prose(&help.map(ToString::to_string).unwrap_or_default()));
    // Of a yes or no the values are no news.
    let values = argument
        .get_possible_values()
        .into_iter()
        .filter(|value| !["true", "false"].contains(&value.get_name()));
    for value in values {
        let help = value
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = sentence(&prose(&help));
        meaning.push_str(&format!(" `{}`: {help}", value.get_name()));
    }
    meaning
}

/// clap takes away the last full stop.
fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, Subcommand, ValueEnum};

    use super::*;

    #[derive(Parser)]
    #[command(name = "it")]
    struct Cli {
        #[command(subcommand)]
        _command: Sub,
    }

    #[derive(Subcommand)]
    enum Sub {
        /// Go on.
        Run {
            /// How.
            #[arg(long, value_enum, default_value_t = Way::Fast)]
            way: Way,
            /// Where.
            #[arg(default_value = "here", value_name = "PLACE")]
            place: String,
            /// Loudly.
            #[arg(long)]
            loud: bool,
        },
        /// Go home.
        Stop,
    }

    #[derive(Clone, Copy, ValueEnum)]
    enum Way {
        /// In a hurry.
        Fast,
        /// Not so.
        Slow,
    }

    #[test]
    fn an_argument_is_told_with_its_default_and_the_meaning_of_its_values() {
        let page = page(<Cli as clap::CommandFactory>::command());
        let told = page.split_once("## it run\n\n").unwrap().1;
        assert_eq!(
            told,
            "Go on.\n\n\
             | argument | environment variable | default | what it does |\n\
             | --- | --- | --- | --- |\n\
             | `--way WAY` |  | `fast` | How. `fast`: In a hurry. `slow`: Not so. |\n\
             | `PLACE` |  | `here` | Where. |\n\
             | `--loud` |  | `false` | Loudly. |\n\
             \n## it stop\n\nGo home.\n\nIt takes no arguments.\n"
        );
    }
}
