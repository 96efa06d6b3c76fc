//! Programs built from Go modules, once, into the user's cache.
//!
//! A directory with a `go.mod` and a `go.sum` pins everything; a changed pin, or a changed source of our own, is another directory of the
//! cache, so an old build is never taken for a new one.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::console::{Task, tail};
use crate::once::Once;
use crate::paths;

/// The go line of each `go.mod`; a Go of 1.21 or newer fetches the right one by itself.
const GO_NEEDED: (u32, u32) = (1, 26);
const GO_SWITCHES_SINCE: (u32, u32) = (1, 21);

/// What is built together, and from what.
pub(crate) struct Module {
    /// Name of the pins' directory in `xtask/`, of the lock, and beginning of the directory in the cache.
    pub(crate) name: &'static str,
    /// `go.mod` in that directory; its `tool` directives are built.
    pub(crate) go_mod: &'static str,
    /// `go.sum` beside it.
    pub(crate) go_sum: &'static str,
    /// Go files of our own beside them.
    pub(crate) sources: &'static [&'static str],
    /// The required module whose version names the build.
    pub(crate) main: &'static str,
    /// What a person would call it.
    pub(crate) shown: &'static str,
    /// How long the build takes, about, on two cores.
    pub(crate) takes: &'static str,
    /// What to do without Go.
    pub(crate) instead: &'static str,
    /// Flags of the linker that stamp the version.
    pub(crate) stamp: fn(version: &str) -> String,
    /// What Go calls each program, and its name here.
    pub(crate) programs: &'static [(&'static str, &'static str)],
}

impl Module {
    /// The directory with the programs, building them if need be.
    pub(crate) fn cached_or_built(&self) -> Result<PathBuf> {
        let key = self.key()?;
        let once = Once {
            name: self.name,
            key: &key,
            shown: self.shown,
        };
        once.found_or(|dir| self.is_complete(dir), |draft| self.build(draft))
    }

    fn is_complete(&self, dir: &Path) -> bool {
        let mut programs = self.programs.iter();
        programs.all(|(_, program)| dir.join(program).is_file())
    }

    /// The version of the module that names the build.
    pub(crate) fn version(&self) -> Result<&'static str> {
        let Self {
            name, go_mod, main, ..
        } = self;
        let words = |line: &'static str| line.trim().trim_start_matches("require").trim();
        go_mod
            .lines()
            .filter_map(|line| words(line).strip_prefix(main)?.strip_prefix(' '))
            .find_map(|rest| rest.split_whitespace().next())
            .with_context(|| format!("xtask/{name}/go.mod requires {main}"))
    }

    fn key(&self) -> Result<String> {
        let pins = Sha256::new()
            .chain_update(self.go_mod)
            .chain_update(self.go_sum);
        let sources = self.sources.iter();
        let digest = sources.fold(pins, Sha256::chain_update).finalize();
        let mut start = [0; 8];
        start[2..].copy_from_slice(&digest[..6]);
        let hex = u64::from_be_bytes(start);
        Ok(format!("{}-{}-{hex:012x}", self.name, self.version()?))
    }

    fn build(&self, out: &Path) -> Result<()> {
        let Self {
            name, shown, takes, ..
        } = self;
        self.check_go()?;
        let version = self.version()?;
        eprintln!(
            "Building {shown} {version} from source; this happens once and takes about {takes} on two cores."
        );
        let module = paths::workspace().join("xtask").join(name);
        let task = Task::start("Fetching Go modules");
        let list = go(&module)
            .args(["list", "-deps", "-f", "{{.ImportPath}}", "tool"])
            .output()
            .context("cannot run go list")?;
        if !list.status.success() {
            let reason = String::from_utf8_lossy(&list.stderr).into_owned();
            bail!(
                "go cannot fetch the modules of {shown}:\n{}",
                tail(&reason, 15)
            );
        }
        let packages = String::from_utf8_lossy(&list.stdout).lines().count();
        task.done();

        let mut task = Task::start(format!("Compiling {shown} {version}"));
        task.steps(packages as u64);
        let mut child = go(&module)
            .args(["build", "-v", "-trimpath", "-ldflags"])
            .arg(format!("-s -w {}", (self.stamp)(version)))
            .arg("-o")
            .arg(out.join("bin/"))
            .arg("tool")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run go build")?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines() {
                let line = line?;
                if line.contains(' ') {
                    said.push_str(&line);
                    said.push('\n');
                } else {
                    task.advance();
                }
            }
        }
        if !child.wait()?.success() {
            bail!("go build failed:\n{}", tail(&said, 20));
        }
        task.done();
        for (built, wanted) in self.programs {
            fs::rename(out.join("bin").join(built), out.join(wanted))
                .with_context(|| format!("go built no {built}"))?;
        }
        fs::remove_dir(out.join("bin"))?;
        Ok(())
    }

    fn check_go(&self) -> Result<()> {
        let Self { shown, instead, .. } = self;
        let advice = format!("Install Go 1.26 or newer (https://go.dev/dl){instead}.");
        let Ok(output) = Command::new("go")
            .arg("version")
            .current_dir(env::temp_dir())
            .output()
        else {
            bail!("{shown} has to be built once, and there is no Go on PATH. {advice}");
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let version = parse_go(&text)
            .with_context(|| format!("`go version` says {:?}. {advice}", text.trim()))?;
        let fixed = env::var("GOTOOLCHAIN").is_ok_and(|value| value == "local");
        if version < GO_NEEDED && (version < GO_SWITCHES_SINCE || fixed) {
            bail!(
                "{shown} has to be built once, and {} is too old. {advice}",
                text.trim()
            );
        }
        Ok(())
    }
}

fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    // A go.work or vendoring of the user's own must not change what is built.
    command
        .current_dir(module)
        .env("GOWORK", "off")
        .env("GOFLAGS", "-mod=readonly");
    command.env("CGO_ENABLED", "0");
    command
}

fn parse_go(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut parts = version.split(['.', 'r', 'b']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_from_what_it_prints() {
        assert_eq!(parse_go("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(parse_go("go version go1.27rc1 linux/amd64"), Some((1, 27)));
        assert_eq!(parse_go("gcc version 12"), None);
    }

    #[test]
    fn the_cache_is_keyed_by_version_and_pins() {
        for module in [
            crate::controlplane::MODULE,
            crate::gitops::MODULE,
            crate::gitops::SETTERS,
            crate::tools::MODULE,
            crate::node::MODULE,
        ] {
            let key = module.key().unwrap();
            let start = format!("{}-{}-", module.name, module.version().unwrap());
            assert!(key.starts_with(&start), "{key}");
            assert_eq!(key.len(), start.len() + 12);
        }
    }
}
