//! The namespaces that a node lives in, and what of it lies outside of them: control groups, mount points, one directory.
//!
//! The control groups carry our process id in their name, so that what a killed run left is known as such and removed by the next.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How the namespaces are made. When `unshare` dies, the first process in there is killed, and with it all others.
pub(super) const NAMESPACES: [&str; 9] = [
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--mount",
    "--propagation=private",
    "--net",
    "--ipc",
    "--uts",
];
const CGROUPS: &str = "/sys/fs/cgroup";
const PREFIX: &str = "zadig-operator-e2e-";
/// Places where the programs write whatever they are told. Inside, each is an empty file system of its own.
const COVERED: [&str; 4] = [
    "/run",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
];
/// Processes of a control group are gone a moment after their namespace.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is outside of the namespaces; removed at the end.
#[derive(Debug)]
pub struct Enclosure {
    group: String,
    made: Vec<PathBuf>,
}

impl Enclosure {
    /// Removes what killed runs left, and makes the control groups and mount points.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn make() -> Result<Self> {
        for group in groups()? {
            let owner = group.strip_prefix(PREFIX).unwrap_or_default();
            if !Path::new("/proc").join(owner).exists() {
                remove_group(&group)?;
            }
        }
        let mut enclosure = Self {
            group: format!("{PREFIX}{}", process::id()),
            made: Vec::new(),
        };
        for place in COVERED.map(Path::new) {
            // Outermost first; they are removed in the opposite order.
            let mut missing: Vec<&Path> =
                place.ancestors().take_while(|dir| !dir.exists()).collect();
            missing.reverse();
            for dir in missing {
                fs::create_dir(dir).with_context(|| format!("cannot create {}", dir.display()))?;
                enclosure.made.push(dir.to_owned());
            }
        }
        for hierarchy in hierarchies()? {
            let dir = hierarchy.join(&enclosure.group);
            fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            hand_down(&hierarchy, &dir)?;
        }
        Ok(enclosure)
    }

    /// Path of the control group, beneath each hierarchy.
    #[must_use]
    pub fn group(&self) -> String {
        format!("/{}", self.group)
    }

    /// A command that runs this program, with these arguments, inside. It dies with us.
    ///
    /// # Errors
    /// When the path of this program is not known.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Command> {
        // The shell is the first process, which is the one that has to wait for orphans.
        let script = "\"$0\" \"$@\"; exit $?";
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "unshare"])
            .args(NAMESPACES)
            .args(["--", "sh", "-c", script])
            .arg(env::current_exe()?)
            .args(args);
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            // Nothing outside can be reached from in there.
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        Ok(command)
    }

    /// Removes everything, and says so if something stays.
    ///
    /// # Errors
    /// When something stays.
    pub fn remove(mut self) -> Result<()> {
        self.clear()
    }

    fn clear(&mut self) -> Result<()> {
        remove_group(&self.group)?;
        while let Some(dir) = self.made.pop() {
            // Somebody else may use it by now.
            let _ = fs::remove_dir(dir);
        }
        Ok(())
    }
}

impl Drop for Enclosure {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

/// Covers the places that the programs write to. To be called inside.
///
/// # Errors
/// When something cannot be mounted.
pub fn cover() -> Result<()> {
    for place in COVERED {
        run("mount", &["-t", "tmpfs", "tmpfs", place])?;
    }
    Ok(())
}

/// Runs a program of the system and fails with what it said.
///
/// # Errors
/// When it cannot be run or fails.
pub(super) fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{program} {}: {said}", args.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether control groups can be made here.
pub(super) fn check_cgroups() -> Result<(), String> {
    let found = hierarchies().map_err(|error| format!("{error:#}"))?;
    let Some(first) = found.first() else {
        return Err(format!("there are no control groups at {CGROUPS}"));
    };
    let trial = first.join(format!("{PREFIX}{}-trial", process::id()));
    fs::create_dir(&trial)
        .and_then(|()| fs::remove_dir(&trial))
        .map_err(|error| {
            format!(
                "control groups cannot be made here: {}: {error}",
                trial.display()
            )
        })
}

/// The roots of the trees of control groups: one, or with version 1 one for each controller.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("cannot read {CGROUPS}"))? {
        let path = entry?.path();
        if path.join("cgroup.procs").exists() && !path.is_symlink() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Gives a new group what its parent has: the processors of version 1, the controllers of version 2.
fn hand_down(parent: &Path, dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // Without any, no process may enter.
        if let (true, Ok(value)) = (dir.join(file).exists(), fs::read(parent.join(file))) {
            fs::write(dir.join(file), value)?;
        }
    }
    let controllers = fs::read_to_string(parent.join("cgroup.controllers"));
    for controller in controllers.unwrap_or_default().split_whitespace() {
        // Those that cannot be handed down are not needed by pods; kubelet names one that it misses.
        let _ = fs::write(
            parent.join("cgroup.subtree_control"),
            format!("+{controller}"),
        );
    }
    Ok(())
}

/// Names of our groups, of this run and of others.
fn groups() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for hierarchy in hierarchies()? {
        for entry in fs::read_dir(hierarchy)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with(PREFIX) && !found.contains(&name) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

fn remove_group(name: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for hierarchy in hierarchies()? {
        let dir = hierarchy.join(name);
        while let Err(error) = remove_tree(&dir) {
            if Instant::now() > deadline {
                return Err(error).with_context(|| format!("{} stays", dir.display()));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

/// Removes a directory of a control group with those in it. Their files are the kernel's and go along.
fn remove_tree(dir: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}
