//! The recorded Zadig 4.2.1 and the simulator do the same.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use zadig_sim::replay::{self, Input};

const RECORDING: &str = "v4.2.1.jsonl";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

async fn replayed_without_a_difference(folder: &Path) {
    let report = replay::run(&Input::beside(folder.join(RECORDING)))
        .await
        .unwrap();
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
    replayed_without_a_difference(&golden()).await;
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
fn copy_renamed(from: &Path, to: &Path, words: &[(Regex, &str)]) {
    let renamed = |text: &str| {
        words.iter().fold(text.to_owned(), |text, (word, other)| {
            word.replace_all(&text, *other).into_owned()
        })
    };
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = renamed(path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            copy_renamed(&path, &to.join(name), words);
        } else {
            fs::write(to.join(name), renamed(&fs::read_to_string(&path).unwrap())).unwrap();
        }
    }
}

#[tokio::test]
async fn a_recording_with_other_names_is_replayed_without_a_difference() {
    let words = OTHER_NAMES.map(|(word, other)| (Regex::new(word).unwrap(), other));
    let folder = tempfile::tempdir().unwrap();
    copy_renamed(&golden(), folder.path(), &words);
    replayed_without_a_difference(folder.path()).await;
}
