//! An image of one layer, as an OCI layout and as the archive that `docker load` and `ctr images import` take.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::write;

/// A file of the image.
pub(crate) struct File {
    path: PathBuf,
    mode: u32,
    content: Vec<u8>,
}

impl File {
    pub(crate) fn new(path: &str, mode: u32, content: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            mode,
            content,
        }
    }
}

/// An image, complete in memory.
pub(super) struct Image {
    layer: Vec<u8>,
    packed: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Image {
    /// Puts an image together.
    pub(super) fn new(
        architecture: &str,
        time: Timestamp,
        files: &[File],
        config: &Value,
    ) -> Result<Self> {
        let layer = layer(files, time)?;
        let mut packing = GzBuilder::new()
            .operating_system(255) // Unknown; the one it was made on would be told else.
            .write(Vec::new(), Compression::best());
        packing.write_all(&layer)?;
        let packed = packing.finish()?;
        let config = serde_json::to_vec(&json!({
            "architecture": architecture,
            "os": "linux",
            "created": time.to_string(),
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
            "history": [{"created": time.to_string(), "created_by": "cargo xtask image"}],
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &packed)],
        }))?;
        Ok(Self {
            layer,
            packed,
            config,
            manifest,
        })
    }

    /// What a registry knows the image by.
    pub(super) fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// Bytes that a registry stores and a node fetches.
    pub(super) fn size(&self) -> u64 {
        (self.packed.len() + self.config.len() + self.manifest.len()) as u64
    }

    /// Bytes that it takes on a node.
    pub(super) fn unpacked(&self) -> u64 {
        self.layer.len() as u64
    }

    /// Writes an OCI layout, anew.
    pub(super) fn write_layout(&self, dir: &Path, tag: &str) -> Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for blob in [&self.packed, &self.config, &self.manifest] {
            write(&blobs.join(hex(blob)), blob)?;
        }
        let mut manifest = descriptor(MANIFEST, &self.manifest);
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [manifest],
        });
        write(&dir.join("index.json"), &serde_json::to_vec(&index)?)?;
        write(
            &dir.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )
    }

    /// Writes the archive of `docker save`.
    pub(super) fn write_archive(&self, path: &Path, tag: &str) -> Result<()> {
        let config = format!("{}.json", hex(&self.config));
        let layer = format!("{}/layer.tar", hex(&self.layer));
        let manifest = json!([{"Config": config, "RepoTags": [tag], "Layers": [layer]}]);
        let mut archive = Builder::new(fs::File::create(path)?);
        let manifest = serde_json::to_vec(&manifest)?;
        for (name, content) in [
            ("manifest.json", &manifest),
            (&config, &self.config),
            (&layer, &self.layer),
        ] {
            append(
                &mut archive,
                Path::new(name),
                0o644,
                content,
                Timestamp::UNIX_EPOCH,
            )?;
        }
        archive.into_inner()?.sync_all()?;
        Ok(())
    }
}

/// The files with the directories above them, in the order of their paths.
fn layer(files: &[File], time: Timestamp) -> Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let above = files.iter().flat_map(|file| file.path.ancestors().skip(1));
    let dirs: BTreeSet<&Path> = above.filter(|dir| !dir.as_os_str().is_empty()).collect();
    for dir in dirs {
        let mut header = header(0o755, 0, time);
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, dir.join(""), &[][..])?;
    }
    let mut files: Vec<&File> = files.iter().collect();
    files.sort_by_key(|file| &file.path);
    for file in files {
        append(&mut archive, &file.path, file.mode, &file.content, time)?;
    }
    Ok(archive.into_inner()?)
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    path: &Path,
    mode: u32,
    content: &[u8],
    time: Timestamp,
) -> Result<()> {
    let mut header = header(mode, content.len() as u64, time);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

/// Owned by root, so that the program cannot change itself.
fn header(mode: u32, size: u64, time: Timestamp) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(time.as_second().unsigned_abs());
    header
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex(content))
}

pub(super) fn hex(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn image() -> Image {
        let files = [
            File::new("program", 0o755, b"program".to_vec()),
            File::new("etc/ssl/roots", 0o644, b"roots".to_vec()),
        ];
        let time = Timestamp::from_second(1_764_000_000).unwrap();
        Image::new("amd64", time, &files, &json!({"User": "65532:65532"})).unwrap()
    }

    #[test]
    fn the_same_files_make_the_same_image() {
        assert_eq!(image().digest(), image().digest());
        // A changed digest without a changed image means that the order, the times or the packing depend on something.
        assert_eq!(
            digest(&image().layer),
            "sha256:92be8d95326c83edb2ae99abe234b40784e23e4349d5529673fd0a62dac86f08"
        );
    }

    #[test]
    fn a_layout_holds_what_its_digests_promise() {
        let dir = tempfile::tempdir().unwrap();
        let layout = dir.path().join("layout");
        image().write_layout(&layout, "1.0").unwrap();
        let read = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap();
            let name = digest.strip_prefix("sha256:").unwrap();
            let content = fs::read(layout.join("blobs/sha256").join(name)).unwrap();
            assert_eq!(hex(&content), name);
            assert_eq!(descriptor["size"], content.len());
            content
        };
        let index: Value =
            serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        let manifest: Value = serde_json::from_slice(&read(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(&read(&manifest["config"])).unwrap();
        let mut layer = Vec::new();
        let packed = read(&manifest["layers"][0]);
        GzDecoder::new(&packed[..]).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&layer));
        let mut archive = tar::Archive::new(&layer[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            (
                path,
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.mtime().unwrap(),
            )
        });
        let expected = [
            ("etc/", 0o755),
            ("etc/ssl/", 0o755),
            ("etc/ssl/roots", 0o644),
            ("program", 0o755),
        ];
        let expected = expected.map(|(path, mode)| (path.to_owned(), mode, 0, 1_764_000_000));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_archive_names_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.tar");
        image().write_archive(&path, "name:1.0").unwrap();
        let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
        let mut parts = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            parts.push((name, content));
        }
        let manifest: Value = serde_json::from_slice(&parts[0].1).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!(["name:1.0"]));
        assert_eq!(manifest[0]["Config"], parts[1].0);
        assert_eq!(manifest[0]["Layers"], json!([parts[2].0]));
        let config: Value = serde_json::from_slice(&parts[1].1).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&parts[2].1));
    }
}
