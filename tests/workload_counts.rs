//! The workloads do what their heads say: every other test counts on these numbers.

mod workloads;

use std::process::Command;

/// Runs a workload and gives back what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let path = workloads::workload(name).expect("a workload");
    let output = Command::new(path).args(arguments).output().expect("runs");
    assert!(output.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn rename_counts() {
    assert!(run("rename", &["1000"]).starts_with("renames=1000 elapsed_ns="));
    assert!(run("rename", &["10", "-r", "1000000", "-c", "0"]).starts_with("renames=10 "));
}

#[test]
fn threads_count() {
    assert!(run("threads", &["3", "50"]).starts_with("renames=150 elapsed_ns="));
}

#[test]
fn open_counts_successes_and_failures() {
    assert_eq!(run("open", &["5", "/dev/null", "/no/such/file"]), "opened=5 failed=5\n");
}

#[test]
fn exec_counts_children() {
    assert_eq!(run("exec", &["3"]), "children=3 zero=3\n");
    assert_eq!(run("exec", &["2", "/no/such/program"]), "children=2 zero=0\n");
}

#[test]
fn syscalls_count() {
    assert_eq!(run("syscalls", &["4"]), "getppid=4 nanosleep=4 write=4 close=4\n");
}

#[test]
fn crowd_counts() {
    assert!(run("crowd", &["3", "5", "4"]).starts_with("rounds=15 processes=4 listened=0 semaphore=0x"));
}

#[test]
fn a_wrong_argument_is_refused() {
    let path = workloads::workload("rename").expect("a workload");
    let output = Command::new(path).arg("many").output().expect("runs");
    assert_eq!(output.status.code(), Some(2));
}
