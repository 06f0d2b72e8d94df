//! A root key that is lost stays lost: nothing takes its place beside what it has sealed.

use std::path::Path;

use serde_json::json;

use crate::double::Double;
use crate::gateway::{self, GATEWARD, Gateway, PATIENCE};
use crate::plot::{Plot, data_directory};

#[test]
fn a_root_key_that_is_lost_is_not_made_anew_beside_what_it_has_sealed() {
    let plot = Plot::new();
    let upstream = Double::start(|_, _| "here".to_owned());
    let data = data_directory(plot.folder());
    let file = data.join("root.key");
    // None in the environment: it is made in its file.
    let no_text = ("GATEWARD_ROOT_KEY", "");
    let mut gateway = Gateway::start(&plot, &[no_text]);
    let route = json!({"uri": "/kept", "upstream": {"nodes": {upstream.address(): 1}}});
    assert_eq!(gateway.apisix("PUT", "/routes/kept", &route.to_string()).status, 201);
    assert_eq!(gateway.terminate(PATIENCE).code(), Some(0));
    drop(gateway);

    let kept = plot.folder().join("backup.key");
    std::fs::rename(&file, &kept).expect("the root key has a file");
    let before = names_in(&data);
    for _ in 0..2 {
        let mut command = gateway::command(&plot, GATEWARD);
        command.args(["dev", "--proxy-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(&data).envs([no_text]);
        let refused = gateway::run(&plot, &mut command);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        let sentence = told.lines().last().unwrap_or_default();
        assert!(sentence.contains(&format!("there is no {}", file.display())), "{told}");
        assert!(sentence.contains("put the file back"), "{told}");
        assert_eq!(names_in(&data), before, "something was made");
    }

    std::fs::rename(&kept, &file).expect("it can be put back");
    let gateway = Gateway::start(&plot, &[no_text]);
    assert_eq!((gateway.get("/kept").status, gateway.get("/kept").text()), (200, "here".into()));
    drop(gateway);
    plot.end();
}

/// What is in `directory`, in order.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
