//! The recorded Zadig 4.2.1 and the simulator do the same.

use std::path::{Path, PathBuf};
use std::{fs, io};

use regex::Regex;
use zadig_sim::replay::{self, Input, Report};

const RECORDING: &str = "v4.2.1.jsonl";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// Demands that everything was replayed and nothing differs.
fn assert_faithful(report: &Report) {
    println!("{report}");
    assert_eq!((report.exchanges, report.timelines), (370, 105));
    assert!(
        report.differences.is_empty(),
        "{} differences",
        report.differences.len()
    );
}

#[tokio::test]
async fn the_recording_of_zadig_4_2_1_is_replayed_without_a_difference() {
    let input = Input::beside(golden().join(RECORDING));
    assert_faithful(&replay::run(&input).await.unwrap());
}

/// Words of the recording and what stands in their place; other orders by name, no part of another word.
const OTHER_NAMES: [(&str, &str); 7] = [
    ("golden", "silver"),
    (r"\bg1\b", "zz9"),
    (r"\bodd\b", "aaa"),
    ("hweb", "xchart"),
    ("reg-main", "images"),
    ("logLevel", "verbosity"),
    (r#"("|name: )admin\b"#, "${1}boss"),
];

/// Copies a folder with other names in its texts and file names.
fn copy_renamed(from: &Path, to: &Path, words: &[(Regex, &str)]) -> io::Result<()> {
    let renamed = |text: &str| {
        words.iter().fold(text.to_owned(), |text, (word, other)| {
            word.replace_all(&text, *other).into_owned()
        })
    };
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(renamed(&entry.file_name().to_string_lossy()));
        if entry.file_type()?.is_dir() {
            copy_renamed(&entry.path(), &target, words)?;
        } else {
            fs::write(target, renamed(&fs::read_to_string(entry.path())?))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_recording_with_other_names_is_replayed_without_a_difference() {
    let words = OTHER_NAMES.map(|(word, other)| (Regex::new(word).unwrap(), other));
    let folder = tempfile::tempdir().unwrap();
    copy_renamed(&golden(), folder.path(), &words).unwrap();
    let input = Input::beside(folder.path().join(RECORDING));
    assert_faithful(&replay::run(&input).await.unwrap());
}
