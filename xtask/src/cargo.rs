//! How other cargo commands are run from here.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::console::took;
use xtask::paths;

/// A cargo command in the workspace.
///
/// What cargo told us about the package `xtask` is taken out of its environment: build scripts that look at these
/// variables would otherwise run again, with all that depends on them, at each change between `cargo test` and
/// `cargo xtask test`.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(paths::workspace());
    for (name, _) in env::vars_os() {
        let shown = name.to_string_lossy();
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if told.iter().any(|prefix| shown.starts_with(prefix)) || shown == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command, its output going where ours goes.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let shown = shown(&command);
    let status = command
        .status()
        .with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// A program that is built from its published sources, once.
pub(crate) struct Tool {
    /// Its name, and that of its package.
    pub(crate) name: &'static str,
    /// The one version that will do, where what it makes depends on that.
    pub(crate) version: Option<&'static str>,
    /// Further arguments of `cargo install`.
    pub(crate) arguments: &'static [&'static str],
}

impl Tool {
    /// The program from PATH, where any version will do, from our cache, or installed there.
    pub(crate) fn found_or_installed(&self) -> Result<PathBuf> {
        let Self {
            name,
            version,
            arguments,
        } = *self;
        let tools = paths::cache()?.join("tools");
        let (root, package) = match version {
            None => (tools, name.to_owned()),
            Some(version) => (
                tools.join(format!("{name}-{version}")),
                format!("{name}@{version}"),
            ),
        };
        let cached = root.join("bin").join(name);
        let path = env::var_os("PATH").unwrap_or_default();
        let mut candidates = env::split_paths(&path)
            .filter(|_| version.is_none())
            .map(|dir| dir.join(name))
            .chain([cached.clone()]);
        if let Some(found) = candidates.find(|path| path.is_file()) {
            return Ok(found);
        }
        eprintln!("Installing {name}, once.");
        // Optimised code would take three times as long to build and save a second at each run.
        let mut install = cargo(&["install", "--debug", "--locked", &package]);
        install.args(arguments).arg("--root").arg(&root);
        // Its dependencies are not ours; mixing them would grow our target directory.
        install.env("CARGO_TARGET_DIR", paths::target().join("tools"));
        run(install)?;
        if !cached.is_file() {
            bail!("cargo install put no {name} into {}", root.display());
        }
        Ok(cached)
    }
}

/// How programs are compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Profile {
    /// As tests are: quickly.
    Dev,
    /// As they are released.
    Release,
}

/// Builds the programs of the workspace and says where they are.
pub(crate) fn build_programs(profile: Profile) -> Result<Programs> {
    let started = std::time::Instant::now();
    eprintln!("Building the operator and the simulator ...");
    let mut command = cargo(&[
        "build",
        "--workspace",
        "--bin",
        "zadig-operator",
        "--bin",
        "zadig-sim",
        "--quiet",
    ]);
    let dir = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            command.arg("--release");
            "release"
        }
    };
    run(command)?;
    eprintln!(
        "Building the operator and the simulator: done in {}",
        took(started.elapsed())
    );
    let dir = paths::target().join(dir);
    Ok(Programs {
        operator: dir.join("zadig-operator"),
        simulator: dir.join("zadig-sim"),
    })
}

/// The programs that are run beside us.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) operator: PathBuf,
    pub(crate) simulator: PathBuf,
}

fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let args = command
        .get_args()
        .map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(name)
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}
