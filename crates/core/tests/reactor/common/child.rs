//! Tests that change what belongs to the whole process (limits, signals), or count it (descriptors, memory).

use std::process::Command;
use std::{env, thread};

const CHILD: &str = "FERRONET_TEST_CHILD";

/// Runs the calling test again, alone in a new process, and `body` there.
pub(crate) fn in_a_process_of_its_own(body: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        body();
        return;
    }
    let test = thread::current();
    let name = test.name().expect("the harness names its threads");
    let this = env::current_exe().expect("the test binary");
    let output = Command::new(this)
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output()
        .expect("the test binary starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{}\n{told}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
