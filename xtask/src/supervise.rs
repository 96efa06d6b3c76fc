//! Programs that run beside us and never outlive their purpose.
//!
//! A [`Group`] is held by a small shell script (`hold.sh`), because nothing else is there in a test process: a library
//! cannot bring a program along, and code that should run after the test was killed cannot live in the test. The script
//! ends the programs when its standard input ends, so a tied group ends however its owner dies.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::console::tail;

const SCRIPT: &str = include_str!("hold.sh");
/// The file in which a group that outlives its starter records its processes.
const RECORD: &str = "processes.json";
/// The script looks for new programs five times a second.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// The script gives its programs ten seconds; then it kills them.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// How the programs of a group are told to end.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// They finish what they do (SIGTERM).
    Graceful,
    /// There is nothing to save (SIGKILL).
    AtOnce,
}

/// How long a group lives.
#[derive(Clone, Copy, Debug)]
pub enum Lifetime {
    /// As long as the value that started it, or the process that holds it.
    Tied,
    /// Until [`end_detached`].
    Detached,
}

/// A group of programs that end together.
///
/// # Guarantees
/// A tied group ends when the value is dropped and when the owning process dies, by whatever signal.
#[derive(Debug)]
pub struct Group {
    dir: PathBuf,
    child: Child,
    lifetime: Lifetime,
    record: Record,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Record {
    supervisor: Option<Process>,
    programs: Vec<Process>,
}

/// A process that cannot be mistaken for a later one with the same id.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Process {
    name: String,
    pid: i32,
    started: String,
}

impl Group {
    /// Starts an empty group whose files are in `dir`. `remove` is deleted when a tied group has ended.
    ///
    /// # Errors
    /// When `dir` cannot be written or there is no `sh`.
    pub fn start(
        dir: &Path,
        lifetime: Lifetime,
        ending: Ending,
        remove: Option<&Path>,
    ) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let stale = path.file_name() == Some(OsStr::new("died"))
                || ["argv", "pid", "log"]
                    .iter()
                    .any(|e| path.extension() == Some(OsStr::new(e)));
            if stale {
                fs::remove_file(&path)?;
            }
        }
        let script = dir.join("hold.sh");
        fs::write(&script, SCRIPT)?;
        let mut command = Command::new("sh");
        command
            .arg(&script)
            .arg(match lifetime {
                Lifetime::Tied => "tied",
                Lifetime::Detached => "detached",
            })
            .arg(match ending {
                Ending::Graceful => "TERM",
                Ending::AtOnce => "KILL",
            })
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(remove) = remove {
            command.arg(remove);
        }
        // A key press meant for the starter ends a tied group through its pipe, in order, and leaves a detached one alone.
        command.process_group(0);
        command.stdin(match lifetime {
            Lifetime::Tied => Stdio::piped(),
            Lifetime::Detached => Stdio::null(),
        });
        let child = command.spawn().context("cannot start sh")?;
        let supervisor = Process::running("sh", child.id().cast_signed());
        let group = Self {
            dir: dir.to_owned(),
            child,
            lifetime,
            record: Record {
                supervisor,
                programs: Vec::new(),
            },
        };
        group.write_record()?;
        Ok(group)
    }

    /// Starts a program in the group.
    ///
    /// # Errors
    /// When it does not start, or ends at once; the message then holds the end of its log.
    pub fn add<S: AsRef<OsStr>>(&mut self, name: &str, argv: &[S]) -> Result<()> {
        let mut text = Vec::new();
        for word in argv {
            let word = word.as_ref().as_encoded_bytes();
            if word.contains(&b'\n') {
                bail!("an argument of {name} contains a line break");
            }
            text.extend_from_slice(word);
            text.push(b'\n');
        }
        // Renamed into place, so that the script never reads half of it.
        let draft = self.dir.join(format!("{name}.argv.new"));
        write_private(&draft, &text)?;
        fs::rename(&draft, self.dir.join(format!("{name}.argv")))?;

        let pid_file = self.dir.join(format!("{name}.pid"));
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            self.check()?;
            if let Ok(pid) = fs::read_to_string(&pid_file) {
                let pid = pid
                    .trim()
                    .parse()
                    .context("the process id of a program is a number")?;
                self.record.programs.extend(Process::running(name, pid));
                return self.write_record();
            }
            if Instant::now() > deadline {
                bail!("{name} was not started within {START_PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the output of a program goes.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Process id of a running program of the group.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<i32> {
        let process = self
            .record
            .programs
            .iter()
            .find(|process| process.name == name)?;
        process.is_running().then_some(process.pid)
    }

    /// Says which program died, with the end of its log.
    ///
    /// # Errors
    /// When one died.
    pub fn check(&mut self) -> Result<()> {
        if let Ok(name) = fs::read_to_string(self.dir.join("died")) {
            let name = name.trim();
            let log = self.log(name);
            let text = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
            bail!(
                "{name} ended by itself; the end of {}:\n{}",
                log.display(),
                tail(&text, 15)
            );
        }
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "the programs in {} were ended from outside ({status})",
                self.dir.display()
            );
        }
        Ok(())
    }

    /// Ends every program and waits until they are gone.
    pub fn end(&mut self) {
        match self.lifetime {
            Lifetime::Tied => drop(self.child.stdin.take()),
            Lifetime::Detached => {
                if let Some(supervisor) = &self.record.supervisor {
                    supervisor.signal(Signal::TERM);
                }
            }
        }
        let deadline = Instant::now() + END_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        self.record.kill_rest();
        let _ = fs::remove_file(self.dir.join(RECORD));
    }

    fn write_record(&self) -> Result<()> {
        let path = self.dir.join(RECORD);
        fs::write(&path, serde_json::to_vec_pretty(&self.record)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.lifetime, Lifetime::Tied) {
            self.end();
        }
    }
}

/// Names and process ids of a detached group that still run.
#[must_use]
pub fn running(dir: &Path) -> Vec<(String, i32)> {
    let programs = Record::read(dir)
        .map(|record| record.programs)
        .unwrap_or_default();
    let alive = programs.into_iter().filter(Process::is_running);
    alive.map(|process| (process.name, process.pid)).collect()
}

/// Whether the supervisor of a group, tied or detached, still runs.
#[must_use]
pub fn is_held(dir: &Path) -> bool {
    Record::read(dir)
        .and_then(|record| record.supervisor)
        .is_some_and(|held| held.is_running())
}

/// Ends a detached group: exactly the processes that were recorded, if they are still the same.
///
/// # Errors
/// When something survives.
pub fn end_detached(dir: &Path) -> Result<()> {
    let Some(record) = Record::read(dir) else {
        return Ok(());
    };
    if let Some(supervisor) = record
        .supervisor
        .as_ref()
        .filter(|process| process.is_running())
    {
        supervisor.signal(Signal::TERM);
        let deadline = Instant::now() + END_PATIENCE;
        while supervisor.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
    }
    record.kill_rest();
    let left = running(dir);
    if !left.is_empty() {
        bail!("still running: {left:?}");
    }
    fs::remove_file(dir.join(RECORD))?;
    Ok(())
}

impl Record {
    fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(RECORD)).ok()?).ok()
    }

    /// For the case that the supervisor was killed and could not end its programs.
    fn kill_rest(&self) {
        for process in self.programs.iter().chain(&self.supervisor) {
            process.signal(Signal::KILL);
        }
        let deadline = Instant::now() + START_PATIENCE;
        while self.programs.iter().any(Process::is_running) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Process {
    fn running(name: &str, pid: i32) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            pid,
            started: started(pid)?,
        })
    }

    fn is_running(&self) -> bool {
        started(self.pid).as_ref() == Some(&self.started)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && self.is_running()
        {
            // It may end between the look and the signal; then there is nothing left to do.
            let _ = kill_process(pid, signal);
        }
    }
}

/// When a process was started, in the system's own form; nothing for one that is gone or only waits to be reaped.
fn started(pid: i32) -> Option<String> {
    test_kill_process(Pid::from_raw(pid)?).ok()?;
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command name is in parentheses and may hold anything; the state follows it, the start time is 19 further.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        (state != "Z").then(|| fields.nth(18).map(ToOwned::to_owned))?
    } else {
        let ps = Command::new("ps")
            .args(["-o", "lstart=", "-p", &pid.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&ps.stdout).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// When the file cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(content)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !condition() {
            assert!(Instant::now() < deadline, "{what} did not happen");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn dropping_a_tied_group_ends_its_programs_and_removes_its_data() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        let mut group =
            Group::start(dir.path(), Lifetime::Tied, Ending::Graceful, Some(&data)).unwrap();
        group.add("first", &["sleep", "1000"]).unwrap();
        group.add("second", &["sleep", "1000"]).unwrap();
        let pids = [group.pid("first").unwrap(), group.pid("second").unwrap()];
        assert!(pids.iter().all(|pid| started(*pid).is_some()));
        drop(group);
        assert_eq!(pids.map(started), [None, None]);
        assert!(!data.exists());
    }

    #[test]
    fn programs_of_a_killed_supervisor_do_not_survive() {
        let dir = tempfile::tempdir().unwrap();
        let mut group = Group::start(dir.path(), Lifetime::Detached, Ending::AtOnce, None).unwrap();
        group.add("program", &["sleep", "1000"]).unwrap();
        let pid = group.pid("program").unwrap();
        group
            .record
            .supervisor
            .clone()
            .unwrap()
            .signal(Signal::KILL);
        group.child.wait().unwrap();
        end_detached(dir.path()).unwrap();
        assert_eq!(started(pid), None);
    }

    #[test]
    fn a_program_that_dies_is_named_with_the_end_of_its_log_and_takes_the_group_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut group = Group::start(dir.path(), Lifetime::Tied, Ending::Graceful, None).unwrap();
        group.add("steady", &["sleep", "1000"]).unwrap();
        let steady = group.pid("steady").unwrap();
        let script = "echo the disk is full; sleep 0.3; exit 3";
        group.add("weak", &["sh", "-c", script]).unwrap();
        wait_for("the death of a program", || group.check().is_err());
        let text = group.check().unwrap_err().to_string();
        assert!(
            text.contains("weak ended by itself") && text.contains("the disk is full"),
            "{text}"
        );
        wait_for("the end of the other program", || started(steady).is_none());
    }

    #[test]
    fn a_process_id_that_was_given_to_another_process_is_left_alone() {
        let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = bystander.id().cast_signed();
        let stale = Process {
            name: "old".into(),
            pid,
            started: "1".into(),
        };
        stale.signal(Signal::KILL);
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
