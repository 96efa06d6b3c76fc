//! `cargo xtask image`: the container image, made without a container engine.
//!
//! The operator links statically, so the image is the program, Mozilla's roots and a user. It comes out the same, to the digest, from
//! the same commit and toolchain: times are the commit's (or `SOURCE_DATE_EPOCH`), paths of this machine are taken out of the program,
//! and nothing is read from the system but the C library that is linked in.

mod elf;
mod oci;
mod sbom;
mod twice;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::json;
use xtask::paths;

pub(crate) use self::oci::File;
use self::oci::Image;
pub(crate) use self::twice::unpack;
use crate::cargo::{cargo, run};

/// What is held to be a small image: more is a mistake in what is linked in.
const LARGEST: u64 = 20 * 1024 * 1024;
/// Nobody: the same number as in other images without a system.
const USER: u32 = 65532;
const PROGRAM: &str = "zadig-operator";

/// Where the image goes and what it says of itself.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Name of the image in the archive, with its registry if it has one
    #[arg(long, default_value = PROGRAM, value_name = "NAME")]
    repository: String,
    /// Address of the sources, for the image's label
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Directory of what is written; target/image if not given
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The machine it is for: this one if not given; another one takes `rustup target add` and a cross compiler
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// Pack this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "check_reproducible")]
    program: Option<PathBuf>,
    /// Build a second time, from a copy of the commit in another directory, and fail unless the image is the same to the digest
    #[arg(long)]
    check_reproducible: bool,
}

/// A machine that the image runs on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Arch {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

impl Arch {
    /// That of this machine.
    pub(crate) fn here() -> Result<Self> {
        match (env::consts::OS, env::consts::ARCH) {
            ("linux", "x86_64") => Ok(Self::Amd64),
            ("linux", "aarch64") => Ok(Self::Arm64),
            (os, arch) => bail!("images are built on Linux on amd64 or arm64, not {os} on {arch}"),
        }
    }

    /// As container images call it.
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// What Debian calls the compiler that links for it on other machines, C library included.
    fn compiler(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu-gcc",
            Self::Arm64 => "aarch64-linux-gnu-gcc",
        }
    }
}

/// Builds the program, packs it, and says where everything is.
pub(crate) fn build(options: &Options) -> Result<()> {
    let arch = options.arch.map_or_else(Arch::here, Ok)?;
    let version = env!("CARGO_PKG_VERSION");
    let time = source_date()?;
    if options.check_reproducible {
        twice::needs_a_commit()?;
    }
    let program = match &options.program {
        Some(program) => program.clone(),
        None => compile(arch, PROGRAM)?,
    };
    let labels = labels(options, version, time)?;
    let image = packed(arch, &program, time, &labels)?;
    if image.size() > LARGEST {
        bail!("the image has {} bytes, more than {LARGEST}", image.size());
    }
    let output = options.output.clone();
    let output = output.unwrap_or_else(|| paths::target().join("image"));
    let name = format!("{PROGRAM}-{version}-linux-{}", arch.name());
    let tag = format!("{}:{version}", options.repository);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let layout = output.join(&name);
    image.write_layout(&layout, version)?;
    let archive = output.join(format!("{name}.tar"));
    image.write_archive(&archive, &tag)?;
    let bill = output.join(format!("{name}.cdx.json"));
    let materials = sbom::write(arch.target(), version, time)?;
    fs::write(&bill, materials)?;
    println!("image    {tag} ({})", arch.name());
    println!("digest   {}", image.digest());
    let megabyte = 1024.0 * 1024.0;
    #[expect(clippy::cast_precision_loss, reason = "for a person to read")]
    let [size, unpacked] = [image.size(), image.unpacked()].map(|size| size as f64 / megabyte);
    println!("size     {size:.1} MiB, {unpacked:.1} MiB unpacked");
    println!("layout   {}", layout.display());
    println!("archive  {}", archive.display());
    println!("SBOM     {}", bill.display());
    if options.check_reproducible {
        let again = twice::build(|source, dir| compile_in(arch, PROGRAM, source, dir))?;
        let again = packed(arch, &again, time, &labels)?.digest();
        if again != image.digest() {
            bail!("the second build, from a copy of the commit, has the digest {again}");
        }
        println!("again    {again}, from a copy in another directory");
    }
    Ok(())
}

/// The operator's image as an archive in `dir`, as `cargo xtask image` makes it, and its name.
pub(crate) fn operator(dir: &Path) -> Result<(PathBuf, String)> {
    let (arch, time) = (Arch::here()?, source_date()?);
    let image = packed(arch, &compile(arch, PROGRAM)?, time, &json!({}))?;
    let tag = format!("{PROGRAM}:{}", env!("CARGO_PKG_VERSION"));
    let archive = dir.join("operator.tar");
    image.write_archive(&archive, &tag)?;
    Ok((archive, tag))
}

/// An image of our own for tests alone: these files, of which `program` is the one that is run.
pub(crate) fn for_tests(
    archive: &Path,
    tag: &str,
    program: &str,
    content: Vec<u8>,
    beside: Vec<File>,
) -> Result<()> {
    let arch = Arch::here()?;
    elf::check(&content, arch).with_context(|| program.to_owned())?;
    let mut files = beside;
    files.push(File::new(program, 0o755, content));
    let config = json!({"User": format!("{USER}:{USER}"), "Entrypoint": [format!("/{program}")]});
    let image = Image::new(arch.name(), jiff::Timestamp::UNIX_EPOCH, &files, &config)?;
    image.write_archive(archive, tag)
}

/// The operator's image with this program.
fn packed(
    arch: Arch,
    program: &Path,
    time: jiff::Timestamp,
    labels: &serde_json::Value,
) -> Result<Image> {
    let content =
        fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    elf::check(&content, arch).with_context(|| program.display().to_string())?;
    let config = json!({
        "User": format!("{USER}:{USER}"),
        "Entrypoint": [format!("/{PROGRAM}")],
        "Cmd": ["run"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": labels,
    });
    Image::new(arch.name(), time, &files(content)?, &config)
}

/// Compiles a program of the workspace for an image, in a target directory of its own: the flags differ from those of every other build.
pub(crate) fn compile(arch: Arch, package: &str) -> Result<PathBuf> {
    let dir = paths::target().join("image-build");
    compile_in(arch, package, paths::workspace(), &dir)
}

fn compile_in(arch: Arch, package: &str, source: &Path, dir: &Path) -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    // Of several that fit, the last counts, and any of these may lie within another.
    let places = [
        (Some(source.to_owned()), "/src"),
        (home, "/cargo"),
        (Some(dir.to_owned()), "/target"),
    ];
    for (from, to) in places {
        let from = from.context("neither CARGO_HOME nor HOME is set")?;
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    }
    let mut command = cargo(&["build", "--release", "--locked", "--package", package]);
    command.current_dir(source);
    // With a target named, the flags are not for build scripts and macros, which cannot be static.
    command.args(["--bin", package, "--target", arch.target()]);
    if arch != Arch::here()? {
        // Both ask for the compiler of C: cargo, to link, and the crate `cc`, for what is written in it.
        let target = arch.target().replace('-', "_");
        for name in [
            format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()),
            format!("CC_{target}"),
        ] {
            if env::var_os(&name).is_none() {
                command.env(name, arch.compiler());
            }
        }
    }
    command.env("CARGO_TARGET_DIR", dir);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    run(command)?;
    Ok(dir.join(arch.target()).join("release").join(package))
}

/// Everything in the image.
fn files(program: Vec<u8>) -> Result<Vec<File>> {
    let licence = paths::workspace().join("LICENSE");
    let users = format!("nonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
    let groups = format!("nonroot:x:{USER}:\n");
    Ok(vec![
        File::new("etc/group", 0o644, groups.into_bytes()),
        File::new("etc/passwd", 0o644, users.into_bytes()),
        File::new(
            "etc/ssl/certs/ca-certificates.crt",
            0o644,
            roots().into_bytes(),
        ),
        File::new(
            "usr/share/doc/zadig-operator/LICENSE",
            0o644,
            fs::read(licence)?,
        ),
        File::new(PROGRAM, 0o755, program),
    ])
}

/// Mozilla's roots as a file of PEM blocks.
fn roots() -> String {
    let mut text = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(root);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

fn labels(options: &Options, version: &str, time: jiff::Timestamp) -> Result<serde_json::Value> {
    let mut labels = json!({
        "org.opencontainers.image.title": PROGRAM,
        "org.opencontainers.image.description": "Kubernetes operator that keeps Zadig environments equal to what is declared in Git",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": time.to_string(),
    });
    if let Some(revision) = revision()? {
        labels["org.opencontainers.image.revision"] = revision.into();
    }
    if let Some(source) = &options.source {
        labels["org.opencontainers.image.source"] = source.clone().into();
    }
    Ok(labels)
}

/// The commit that is built; none if files differ from it, as no commit says then what is in the image.
fn revision() -> Result<Option<String>> {
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Ok(if changed.is_empty() {
        Some(git(&["rev-parse", "HEAD"])?)
    } else {
        None
    })
}

/// `SOURCE_DATE_EPOCH`, else the time of the commit.
fn source_date() -> Result<jiff::Timestamp> {
    let seconds = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => git(&["log", "-1", "--format=%ct"])?,
    };
    let parsed = seconds.parse().ok();
    parsed
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .with_context(|| format!("SOURCE_DATE_EPOCH: {seconds} is no number of seconds since 1970"))
}

fn git(args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(paths::workspace())
        .output();
    let output = output.context("cannot run git")?;
    if !output.status.success() {
        bail!("git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Writes a file of which only its directory is known to be there.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_certificates_in_pem() {
        let text = roots();
        let count = text.matches("-----BEGIN CERTIFICATE-----\n").count();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(count > 100, "{count}");
        let body = text.split("-----").nth(2).unwrap().replace('\n', "");
        let first: &[u8] = &webpki_root_certs::TLS_SERVER_ROOT_CERTS[0];
        assert_eq!(STANDARD.decode(body).unwrap(), first);
        assert!(text.lines().all(|line| line.len() <= 64));
    }
}
