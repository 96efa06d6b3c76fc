//! What one process costs, read from the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};

/// The kernel counts the start of a process in hundredths of a second, on every machine that Linux runs on today.
const TICKS: i64 = 100;

/// The process that runs a program of an image; of several the one that was started last.
#[derive(Debug)]
pub(super) struct Process {
    dir: PathBuf,
    /// Process id, as it is seen from here.
    pub(super) pid: i32,
}

impl Process {
    /// Looks for the process with this beginning of its command line.
    pub(super) fn find(argv: &[&str]) -> Result<Self> {
        let wanted = argv.join("\0");
        let mut found: Vec<Self> = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let dir = entry?.path();
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            let Ok(pid) = name.parse() else {
                continue;
            };
            let line = fs::read(dir.join("cmdline")).unwrap_or_default();
            if line.starts_with(wanted.as_bytes()) {
                found.push(Self { dir, pid });
            }
        }
        found.sort_by_key(|process| process.started().ok());
        found
            .pop()
            .with_context(|| format!("no process runs {}", argv.join(" ")))
    }

    /// When it was started.
    pub(super) fn started(&self) -> Result<Timestamp> {
        let stat = fs::read_to_string(self.dir.join("stat"))?;
        // The name in parentheses may hold anything; the field is the 20th after it.
        let ticks: i64 = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(19))
            .context("/proc/PID/stat has a start time")?
            .parse()?;
        let uptime = fs::read_to_string("/proc/uptime")?;
        let uptime: f64 = uptime
            .split_whitespace()
            .next()
            .context("/proc/uptime has a number")?
            .parse()?;
        let since_boot = SignedDuration::from_millis(ticks * 1000 / TICKS);
        Ok(Timestamp::now() - SignedDuration::from_secs_f64(uptime) + since_boot)
    }

    /// Resident memory, and its share where pages are shared, in MiB.
    pub(super) fn memory(&self) -> Result<(f64, f64)> {
        let text = fs::read_to_string(self.dir.join("smaps_rollup"))?;
        Ok((
            kilobytes(&text, "Rss:")? / 1024.0,
            kilobytes(&text, "Pss:")? / 1024.0,
        ))
    }
}

fn kilobytes(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let Some(number) = line.and_then(|line| line.split_whitespace().next()) else {
        bail!("the kernel does not tell {name}");
    };
    Ok(number.parse()?)
}

/// Whether a process is gone, or nothing but an entry that waits to be read.
pub(super) fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.map_or(true, |stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_was_started_before_now_and_takes_memory() {
        let line = fs::read("/proc/self/cmdline").unwrap();
        let name =
            String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap()).into_owned();
        let this = Process::find(&[&name]).unwrap();
        assert!(this.started().unwrap() <= Timestamp::now());
        let (resident, share) = this.memory().unwrap();
        assert!(resident >= share && share > 0.1, "{resident} {share}");
        assert!(!is_gone(this.pid));
    }
}
