use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(folder: &TempDir, name: &str) -> Result<String, MissKind> {
    check_name(name).map_err(|miss| miss.kind)?;
    let text = read(folder.path(), &Fence::default(), name);
    text.map(|text| text.expose().to_owned()).map_err(|miss| {
        assert!(!miss.problem.contains("canary"), "{}", miss.problem);
        miss.kind
    })
}

#[test]
fn a_file_is_a_secret_without_the_newline_at_its_end() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("team/db")).unwrap();
    for (name, written, value) in [
        ("plain", "s3cret", "s3cret"),
        ("line", "s3cret\n", "s3cret"),
        ("crlf", "s3cret\r\n", "s3cret"),
        ("two", "s3cret\n\n", "s3cret\n"),
        ("pem", "-----A\nB\n-----C\n", "-----A\nB\n-----C"),
        ("team/db/password", " p ", " p "),
        (".dockerconfigjson", "{}", "{}"),
    ] {
        fs::write(folder.path().join(name), written).unwrap();
        assert_eq!(text(&folder, name).as_deref(), Ok(value), "{name}");
    }
    fs::write(folder.path().join("binary"), [0xff, 0xfe, 1]).unwrap();
    assert_eq!(text(&folder, "binary").as_deref(), Ok("//4B"), "what is no text comes as base64");
}

#[test]
fn what_is_no_secret_is_refused_in_its_own_way() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty", b"");
    write("newline", b"\n");
    write("large", &vec![b'c'; LARGEST + 1]);
    write("largest", &vec![b'c'; LARGEST]);
    write("closed", b"canary");
    fs::create_dir(folder.path().join("directory")).unwrap();
    for (name, kind) in [
        ("absent", MissKind::NotFound),
        ("plain/below", MissKind::NotFound),
        ("directory", MissKind::NotFound),
        ("empty", MissKind::Garbage),
        ("newline", MissKind::Garbage),
        ("large", MissKind::Garbage),
        ("../x", MissKind::Denied),
        ("a/../empty", MissKind::Denied),
        ("./empty", MissKind::Denied),
        ("/etc/hostname", MissKind::Denied),
        ("a//b", MissKind::Denied),
        ("..data/x", MissKind::Denied),
    ] {
        assert_eq!(text(&folder, name), Err(kind), "{name}");
    }
    assert_eq!(text(&folder, "largest").unwrap().len(), LARGEST);
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    // Whoever may read everything is refused nothing.
    let refused = File::open(folder.path().join("closed")).is_err();
    assert_eq!(text(&folder, "closed").is_err(), refused);
    let gone = folder.path().to_owned();
    drop(folder);
    let gone = read(&gone, &Fence::default(), "empty");
    assert_eq!(gone.unwrap_err().kind, MissKind::Unavailable, "no directory is an outage");
}

#[test]
fn no_link_leads_out_of_the_directory() {
    let (folder, outside) = (folder(), folder());
    fs::write(outside.path().join("key"), "canary").unwrap();
    fs::write(folder.path().join("real"), "inside").unwrap();
    symlink(outside.path().join("key"), folder.path().join("file")).unwrap();
    symlink(outside.path(), folder.path().join("way")).unwrap();
    symlink("real", folder.path().join("relative")).unwrap();
    symlink(folder.path().join("real"), folder.path().join("absolute")).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    assert_eq!(text(&folder, "file"), Err(MissKind::Denied));
    assert_eq!(text(&folder, "way/key"), Err(MissKind::Denied));
    assert_eq!(text(&folder, "relative").as_deref(), Ok("inside"));
    assert_eq!(text(&folder, "absolute").as_deref(), Ok("inside"));
    assert!(text(&folder, "loop").is_err());
    // A directory that is a link itself is that directory.
    symlink(folder.path(), outside.path().join("mount")).unwrap();
    let mount = outside.path().join("mount");
    assert_eq!(read(&mount, &Fence::default(), "real").unwrap().expose(), "inside");
}

/// Why the file `name` below `root` is not read.
fn fenced(root: &Path, fence: &Fence, name: &str) -> String {
    check_name(name).unwrap();
    let miss = read(root, fence, name).unwrap_err();
    assert_eq!(miss.kind, MissKind::Denied, "{name}: {}", miss.problem);
    assert!(!miss.problem.contains("canary"), "{}", miss.problem);
    miss.problem
}

#[test]
fn what_the_kernel_makes_up_is_no_secret_by_whichever_way() {
    let (folder, fence) = (folder(), Fence::default());
    symlink("/proc/self", folder.path().join("way")).unwrap();
    let linked = folder.path().join("way");
    for (root, name) in [
        ("/proc/self", "environ"),
        ("/proc", "self/environ"),
        ("/", "proc/self/environ"),
        ("/dev/../proc/self", "environ"),
        (linked.to_str().unwrap(), "environ"),
        ("/sys", "kernel/mm/transparent_hugepage/enabled"),
        ("/dev", "null"),
        ("/", "dev/null"),
    ] {
        if Path::new(root).join(name).exists() {
            let problem = fenced(Path::new(root), &fence, name);
            assert!(problem.contains("no vault reads it"), "{root} {name}: {problem}");
        }
    }
    // Wherever it is mounted.
    let made_up = File::open("/proc/self/environ").unwrap();
    assert_eq!(fence.check_open(&made_up).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(fence.check_open(&File::open("/etc/passwd").unwrap()).is_ok());
}

#[test]
fn the_gateways_own_files_are_no_secrets_by_whichever_way() {
    let (folder, data, other) = (folder(), folder(), folder());
    let key = folder.path().join("root.key");
    fs::write(&key, "canary").unwrap();
    fs::write(folder.path().join("beside"), "there").unwrap();
    fs::create_dir(data.path().join("store")).unwrap();
    fs::write(data.path().join("store/log"), "canary").unwrap();
    fs::hard_link(&key, other.path().join("hard")).unwrap();
    symlink(data.path(), other.path().join("data")).unwrap();
    // What the gateway itself calls so may be a link too, and need not be there yet.
    let own = vec![key, other.path().join("data"), folder.path().join("later")];
    let fence = Fence::around(own);
    for (root, name) in [
        (folder.path(), "root.key"),
        (data.path(), "store/log"),
        (&data.path().join("store"), "log"),
        (&other.path().join("data"), "store/log"),
        (other.path(), "hard"),
        (Path::new("/"), data.path().join("store/log").to_str().unwrap().trim_start_matches('/')),
    ] {
        let problem = fenced(root, &fence, name);
        assert!(problem.contains("the gateway's own"), "{name}: {problem}");
    }
    assert_eq!(read(folder.path(), &fence, "beside").unwrap().expose(), "there");
}

/// A secret as Kubernetes mounts it, with this value for `key`.
pub(crate) fn mount(folder: &Path, stamp: &str, value: &str) {
    let version = format!("..{stamp}");
    fs::create_dir(folder.join(&version)).unwrap();
    fs::write(folder.join(&version).join("key"), value).unwrap();
    let before = fs::read_link(folder.join("..data"));
    symlink(&version, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    if !folder.join("key").is_symlink() {
        symlink("..data/key", folder.join("key")).unwrap();
    }
    if let Ok(before) = before {
        fs::remove_dir_all(folder.join(before)).unwrap();
    }
}

#[test]
fn a_mount_of_kubernetes_is_read_while_it_is_swapped() {
    let folder = folder();
    mount(folder.path(), "2026_11_21", "one");
    assert_eq!(text(&folder, "key").as_deref(), Ok("one"));
    let path = folder.path().to_owned();
    let swapping = std::thread::spawn(move || {
        for round in 0..200 {
            mount(&path, &format!("round_{round}"), "another");
        }
    });
    while !swapping.is_finished() {
        let read = text(&folder, "key");
        assert!(matches!(read.as_deref(), Ok("one" | "another")), "{read:?}");
    }
    swapping.join().unwrap();
}

#[test]
fn a_change_is_seen_when_it_has_stayed_for_a_look() {
    let folder = folder();
    let path = folder.path().join("key");
    fs::write(&path, "one").unwrap();
    let watched = Watched::default();
    watched.remember("key", Look::at(&path));
    watched.remember("absent", Look::at(&folder.path().join("absent")));
    assert!(watched.look(folder.path()).is_empty());
    fs::write(&path, "three").unwrap();
    assert!(watched.look(folder.path()).is_empty(), "it may be in the middle of being written");
    assert_eq!(watched.look(folder.path()), ["key"]);
    assert!(watched.look(folder.path()).is_empty(), "nobody has read it since");
    fs::write(folder.path().join("absent"), "there").unwrap();
    watched.look(folder.path());
    assert_eq!(watched.look(folder.path()), ["absent"]);
}
