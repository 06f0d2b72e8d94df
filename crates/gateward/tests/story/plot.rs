//! What one test has to itself: a folder, an administrator, the canaries that it planted, and all that it heard.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use gateward_seal::RootKey;
use gateward_testkit::{Canary, files_under};
use tempfile::TempDir;

/// The administrator's access id, which is no secret.
pub const ACCESS_ID: &str = "p-story";

/// What one test has to itself.
pub struct Plot {
    folder: TempDir,
    access_key: Canary,
    root_key: Canary,
    planted: Mutex<Vec<Canary>>,
    heard: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Plot {
    /// A fresh folder, and an administrator and a root key that are canaries.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            access_key: Canary::new("accesskey"),
            root_key: root_key(),
            planted: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// The folder, in which the gateway is started and keeps its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The administrator's access key.
    pub fn access_key(&self) -> &str {
        self.access_key.text()
    }

    /// Who administers the gateway and what it seals with, as the environment says it.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("GATEWARD_ADMIN_ACCESS_ID", ACCESS_ID),
            ("GATEWARD_ADMIN_ACCESS_KEY", self.access_key.text()),
            ("GATEWARD_ROOT_KEY", self.root_key.text()),
        ]
    }

    /// A new secret. Nothing that is heard may ever have it.
    pub fn plant(&self, label: &str) -> String {
        let canary = Canary::new(label);
        let text = canary.text().to_owned();
        self.planted.lock().unwrap_or_else(PoisonError::into_inner).push(canary);
        text
    }

    /// Keeps what somebody said, to be searched at the end.
    pub fn hear(&self, place: impl Into<String>, words: impl Into<Vec<u8>>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((place.into(), words.into()));
    }

    /// The end: no canary is in what was heard, nor in any file of the gateway's.
    #[track_caller]
    pub fn end(self) {
        let mut heard = self.heard.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(!heard.is_empty(), "nothing was heard, so nothing was searched");
        let data = data_directory(self.folder.path());
        if data.is_dir() {
            heard.extend(files_under(&data));
        }
        let planted = self.planted.into_inner().unwrap_or_else(PoisonError::into_inner);
        for canary in planted.iter().chain([&self.access_key, &self.root_key]) {
            let leaks = canary.search(heard.iter().map(|(place, words)| (place.as_str(), words.as_slice())));
            let leaks: Vec<String> = leaks.iter().map(ToString::to_string).collect();
            assert!(leaks.is_empty(), "{} got out: {}", canary.text(), leaks.join(", "));
        }
    }
}

/// Where the gateway of a test keeps its data.
pub fn data_directory(folder: &Path) -> std::path::PathBuf {
    folder.join("data")
}

/// A canary that can be read as 32 bytes in base64: one in four of this length can.
fn root_key() -> Canary {
    let mut canaries = std::iter::repeat_with(|| Canary::new("rootk"));
    let is_key = |canary: &Canary| RootKey::from_text(canary.text()).is_ok();
    canaries.find(is_key).expect("some canary is a key")
}
