//! Follows the files: what is in them is in force within a second after they were written.
//!
//! Their metadata is looked at several times a second, which costs a system call a file and works wherever files do:
//! over the network, behind the symbolic links that Kubernetes swaps, with editors that put a new file in the place of
//! the old one. A file is read once it has stayed the same from one look to the next. Where nothing runs by itself, in a
//! Lambda function, they are looked at when somebody asks.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Clock;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;

use super::{Declared, Files, Refused};

/// The files' contents as they change. Nobody looks at the files any more once it is dropped.
pub struct Following {
    declared: watch::Receiver<Arc<Declared>>,
    refused: watch::Receiver<Option<Arc<Refused>>>,
    looking: Looking,
}

enum Looking {
    Often(AbortHandle),
    WhenAsked(Mutex<(Follower, Looks)>),
}

impl Following {
    /// Reads the files, and looks at them from then on. What is wrong with them now is the caller's to deal with.
    pub fn start(files: Files, clock: Arc<dyn Clock>, runtime: &Handle) -> Result<Self, Refused> {
        let runtime = runtime.clone();
        Self::begin(files, |follower, looks| {
            Looking::Often(runtime.spawn(follower.run(looks, clock)).abort_handle())
        })
    }

    /// Reads the files, and looks at them whenever [`Following::look`] says so.
    pub fn when_asked(files: Files) -> Result<Self, Refused> {
        Self::begin(files, |follower, looks| Looking::WhenAsked(Mutex::new((follower, looks))))
    }

    fn begin(files: Files, looking: impl FnOnce(Follower, Looks) -> Looking) -> Result<Self, Refused> {
        let read = look(&files);
        let first = Arc::new(files.read()?);
        let (declare, declared) = watch::channel(first);
        let (refuse, refused) = watch::channel(None);
        let follower = Follower { files: Arc::new(files), declare, refuse };
        Ok(Self { declared, refused, looking: looking(follower, Looks { before: read.clone(), read }) })
    }

    /// Looks at the files now, if nobody does so often.
    pub async fn look(&self) {
        if let Looking::WhenAsked(follower) = &self.looking {
            let (follower, looks) = &mut *follower.lock().await;
            follower.look(looks).await;
        }
    }

    /// What is in force, and what comes after it.
    pub fn declared(&self) -> watch::Receiver<Arc<Declared>> {
        self.declared.clone()
    }

    /// Why what the files hold now is not in force, if it is not.
    pub fn refused(&self) -> Option<Arc<Refused>> {
        self.refused.borrow().clone()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Looking::Often(task) = &self.looking {
            task.abort();
        }
    }
}

struct Follower {
    files: Arc<Files>,
    declare: watch::Sender<Arc<Declared>>,
    refuse: watch::Sender<Option<Arc<Refused>>>,
}

impl Follower {
    async fn run(self, mut looks: Looks, clock: Arc<dyn Clock>) {
        loop {
            clock.sleep(INTERVAL).await;
            self.look(&mut looks).await;
        }
    }

    async fn look(&self, looks: &mut Looks) {
        let now = look(&self.files);
        if now == looks.before && now != looks.read {
            self.read().await;
            looks.read.clone_from(&now);
        }
        looks.before = now;
    }

    async fn read(&self) {
        let files = Arc::clone(&self.files);
        let result = match tokio::task::spawn_blocking(move || files.read()).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(%error, "the resource files could not be read; what was read before serves on");
                return;
            }
        };
        match result {
            Ok(declared) => {
                let count = declared.resources.len();
                let declared = Arc::new(declared);
                let changed = self.declare.send_if_modified(|before| {
                    let changed = **before != *declared;
                    if changed {
                        *before = declared;
                    }
                    changed
                });
                if changed || self.refuse.borrow().is_some() {
                    tracing::info!(resources = count, "the resource files are in force");
                }
                self.refuse.send_replace(None);
            }
            Err(refused) => {
                for error in refused.errors() {
                    tracing::error!("{error}");
                }
                let errors = refused.errors().len();
                tracing::error!(errors, "the resource files are refused; what was read before serves on");
                self.refuse.send_replace(Some(Arc::new(refused)));
            }
        }
    }
}

/// What the files looked like when they were looked at last, and when they were read.
struct Looks {
    before: Vec<Look>,
    read: Vec<Look>,
}

/// What a file looks like from outside; none if it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look(Option<Outside>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outside {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn look(files: &Files) -> Vec<Look> {
    let look = |path: &Path| Look(path.metadata().ok().as_ref().map(Outside::of));
    files.paths().iter().map(|path| look(path)).collect()
}

impl Outside {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Twice this, and the reading, stay below a second.
const INTERVAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateward_clock::SystemClock;

    use super::*;

    fn route(id: &str) -> String {
        format!("routes:\n- {{id: {id}, uri: /{id}, plugins: {{}}}}\n#END\n")
    }

    fn follow(path: &Path) -> Following {
        let files = Files::new(vec![path.to_owned()], Arc::new(BTreeMap::new()));
        Following::start(files, Arc::new(SystemClock), &Handle::current()).unwrap()
    }

    fn put(path: &Path, text: &str) {
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, path).unwrap();
    }

    #[tokio::test]
    async fn what_is_written_comes_within_a_second_and_what_is_wrong_is_told_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resources.yaml");
        put(&path, &route("a"));
        let following = follow(&path);
        let mut declared = following.declared();
        assert_eq!(declared.borrow_and_update().resources[0].1, "a");

        put(&path, &route("b"));
        // It is a second where nobody else keeps the machine busy.
        let second = Duration::from_secs(20);
        tokio::time::timeout(second, declared.changed()).await.expect("in a second").unwrap();
        assert_eq!(declared.borrow_and_update().resources[0].1, "b");

        let mut refused = following.refused.clone();
        for wrong in [route("c").replace("plugins", "plugin"), route("c").replace("#END", "")] {
            put(&path, &wrong);
            refused.mark_unchanged();
            tokio::time::timeout(second, refused.changed()).await.expect("in a second").unwrap();
            assert!(following.refused().is_some() && !declared.has_changed().unwrap());
        }
        put(&path, &route("b"));
        tokio::time::timeout(second, refused.changed()).await.expect("in a second").unwrap();
        assert!(following.refused().is_none(), "the trouble is over");
        assert!(!declared.has_changed().unwrap(), "nothing is new");

        put(&path, &route("d"));
        tokio::time::timeout(second, declared.changed()).await.expect("in a second").unwrap();
    }

    #[tokio::test]
    async fn where_nothing_runs_by_itself_a_file_is_read_at_the_second_look_that_finds_it_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resources.yaml");
        put(&path, &route("a"));
        let following =
            Following::when_asked(Files::new(vec![path.clone()], Arc::new(BTreeMap::new()))).unwrap();
        put(&path, &route("b"));
        for expected in ["a", "b", "b"] {
            following.look().await;
            assert_eq!(following.declared().borrow().resources[0].1, expected);
        }
    }
}
