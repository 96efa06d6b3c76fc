//! `cargo xtask e2e`: the released image and the chart on a real node, from `helm install` to the last trace removed.
//!
//! Outside, everything is built and looked for; inside of the node's namespaces (`xtask/src/node`) a second process of this program
//! plays [`play`]. What it has seen comes back as a file, so that the table is complete also when it was killed.

mod cluster;
mod earlier;
mod figures;
mod helm;
mod play;
mod record;
mod scenes;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use xtask::node::enclosure::Enclosure;
use xtask::node::{self, Machine, Node, Programs};
use xtask::{paths, tools};

use self::record::Record;
use crate::{chart, image};

/// How to run it.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Fail where this machine cannot run a node, instead of saying so and passing
    #[arg(long)]
    require: bool,
    /// Commit whose chart is installed first and upgraded from; the newest with other definitions than here if not given
    #[arg(long, value_name = "REVISION")]
    upgrade_from: Option<String>,
    /// For the process inside
    #[arg(long, hide = true, value_name = "DIR")]
    inside: Option<PathBuf>,
}

/// What the process inside is told.
#[derive(Debug, Deserialize, Serialize)]
struct Plan {
    machine: Machine,
    programs: Programs,
    group: String,
    images: Vec<PathBuf>,
    helm: PathBuf,
    /// The chart before the upgrade.
    earlier: PathBuf,
    /// The revision it is from.
    revision: String,
}

const PLAN: &str = "plan.json";

/// Runs it.
pub(crate) async fn run(options: &Options) -> Result<()> {
    if let Some(dir) = &options.inside {
        return play_inside(dir).await;
    }
    let machine = match Machine::look() {
        Ok(machine) => machine,
        Err(reason) if options.require => bail!("this machine cannot run a node: {reason}"),
        Err(reason) => {
            println!("SKIPPED: this machine cannot run a node: {reason}");
            return Ok(());
        }
    };
    // Before anything that takes its time.
    let revision = match &options.upgrade_from {
        Some(revision) => revision.clone(),
        None => earlier::commit(paths::workspace())?,
    };
    let dir = paths::target().join("e2e");
    fs::create_dir_all(paths::target())?;
    let lock = File::create(paths::target().join("e2e.lock"))?;
    if lock.try_lock().is_err() {
        bail!("another run is under way in {}", dir.display());
    }
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;

    let mut record = Record::new(&dir);
    let programs = record.step("programs found or built", || {
        Ok((node::find()?, String::new()))
    })?;
    let images = record.step("images built", || build_images(&dir, &programs))?;
    let unpacked = dir.join("earlier");
    image::unpack(&revision, &["charts/zadig-operator"], &unpacked)?;
    let earlier = unpacked.join("charts/zadig-operator");
    let before = earlier::definitions(&earlier)?;
    let changed = earlier::changed(&before, &earlier::definitions(&chart::dir())?);
    if changed.is_empty() && options.upgrade_from.is_none() {
        bail!(
            "{revision} has the same definitions but for their metadata; name another commit with --upgrade-from"
        );
    }
    let enclosure = Enclosure::make()?;
    let plan = Plan {
        machine,
        programs,
        group: enclosure.group(),
        images,
        helm: tools::find()?.helm,
        earlier,
        revision,
    };
    fs::write(dir.join(PLAN), serde_json::to_vec_pretty(&plan)?)?;
    let played = wait_for_end(&enclosure, &dir).await;
    record.read_again()?;
    let removed = record.step("nothing is left", || Ok(((), removed(enclosure, &dir)?)));
    println!("\n{record}");
    if let Err(error) = played.and(removed) {
        println!("Logs are in {}", dir.display());
        return Err(error);
    }
    fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Plays inside, and ends it when we are to end.
async fn wait_for_end(enclosure: &Enclosure, dir: &Path) -> Result<()> {
    let args = ["e2e".as_ref(), "--inside".as_ref(), dir.as_os_str()];
    let mut command = Command::from(enclosure.command(&args)?);
    let mut inside = command.spawn().context("cannot start the enclosure")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ended = tokio::select! {
        ended = inside.wait() => ended?,
        _ = tokio::signal::ctrl_c() => {
            inside.kill().await?;
            bail!("interrupted");
        }
        _ = terminate.recv() => {
            inside.kill().await?;
            bail!("told to end");
        }
    };
    if !ended.success() {
        bail!("not everything was seen that should be");
    }
    Ok(())
}

async fn play_inside(dir: &Path) -> Result<()> {
    let plan = fs::read(dir.join(PLAN)).context("--inside is not for you")?;
    let plan = serde_json::from_slice(&plan)?;
    play::perform(dir, &plan, Record::continued(dir)?).await
}

/// The released operator, the simulator, and what holds the namespaces of pods.
fn build_images(dir: &Path, programs: &Programs) -> Result<(Vec<PathBuf>, String)> {
    let (operator, tag) = image::operator(dir)?;
    let size = fs::metadata(&operator)?.len() / 1024 / 1024;
    let simulator = dir.join("simulator.tar");
    let program = image::compile(image::Arch::here()?, "zadig-sim")?;
    let seed = paths::workspace().join("crates/zadig-sim/seeds/demo");
    let mut files = Vec::new();
    collect(&seed, "seed", &mut files)?;
    image::for_tests(
        &simulator,
        scenes::SIMULATOR_IMAGE,
        "zadig-sim",
        fs::read(program)?,
        files,
    )?;
    let pause = dir.join("pause.tar");
    let program = fs::read(programs.node.join("pause"))?;
    image::for_tests(&pause, Node::pause_image(), "pause", program, Vec::new())?;
    Ok((
        vec![operator, simulator, pause],
        format!("{tag}, {size} MiB unpacked"),
    ))
}

/// The files of a directory, beneath `to` in an image.
fn collect(from: &Path, to: &str, files: &mut Vec<image::File>) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = format!("{to}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &place, files)?;
        } else {
            files.push(image::File::new(&place, 0o644, fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// Removes what is outside of the namespaces and looks whether anything of the node can still be seen from here.
fn removed(enclosure: Enclosure, dir: &Path) -> Result<String> {
    enclosure.remove()?;
    let shown = dir.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    if mounts.contains(&shown) {
        bail!("something is still mounted beneath {shown}");
    }
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(line) = fs::read(path.join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&shown) {
            bail!("still running: {line}");
        }
    }
    Ok("no process, mount, control group or network".to_owned())
}
