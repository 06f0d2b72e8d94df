use std::os::unix::process::ExitStatusExt;

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start("shell", command)
}

#[test]
fn both_streams_are_kept_and_a_line_is_found_whenever_it_came() {
    let mut process = shell("echo out: 1; echo err: 2 >&2; echo last");
    assert_eq!(process.wait_for_prefix(SOON, "err: "), "2");
    assert_eq!(process.wait_for_line(SOON, |line| line.starts_with("out")), "out: 1");
    assert!(process.wait(SOON).success());
    assert_eq!(process.lines().len(), 3);
    assert!(process.lines().contains(&Line { stream: Stream::Stderr, text: "err: 2".to_owned() }));
}

#[test]
#[should_panic(expected = "did not print the line")]
fn a_process_that_ends_without_the_line_is_not_waited_for() {
    shell("echo other").wait_for_line(Duration::from_secs(3600), |line| line == "this");
}

#[test]
fn terminate_lets_it_clean_up() {
    let mut process = shell("trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    process.wait_for_line(SOON, |line| line == "ready");
    process.terminate();
    assert_eq!(process.wait(SOON).code(), Some(3));
    assert!(process.text().contains("cleaned"));
}

#[test]
fn kill9_lets_it_do_nothing_more() {
    let mut process = shell("trap 'echo cleaned' TERM EXIT; echo ready; while :; do sleep 0.05; done");
    process.wait_for_line(SOON, |line| line == "ready");
    process.kill9();
    assert_eq!(process.wait(SOON).signal(), Some(9));
    assert!(!process.text().contains("cleaned"));
}

#[test]
fn a_dropped_process_is_gone() {
    let process = shell("echo ready; exec sleep 600");
    process.wait_for_line(SOON, |line| line == "ready");
    let id = rustix::process::Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    drop(process);
    assert!(rustix::process::test_kill_process(id).is_err());
}
