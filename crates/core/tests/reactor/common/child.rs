//! Tests that change what belongs to the whole process (limits, signals), or count it (descriptors, memory).

#[cfg(target_os = "linux")]
use std::ops::RangeInclusive;
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

/// From here on the system has no memory for sends of these lengths by this thread. For a process of its own.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_sends_of(lengths: RangeInclusive<u32>) {
    const NUMBER: u32 = 0;
    const THIRD_ARGUMENT: u32 = 32;
    let instruction = |code: u32, value, jt, jf| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k: value,
    };
    let load = |at| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    // Skips so many of those that follow, if it is so or if it is not.
    let test = |how, value, if_so, if_not| {
        instruction(libc::BPF_JMP | libc::BPF_K | how, value, if_so, if_not)
    };
    let end = |verdict| instruction(libc::BPF_RET | libc::BPF_K, verdict, 0, 0);
    let mut filter = [
        load(NUMBER),
        test(libc::BPF_JEQ, libc::SYS_sendto as u32, 0, 4),
        load(THIRD_ARGUMENT),
        test(libc::BPF_JGE, *lengths.start(), 0, 2),
        test(libc::BPF_JGT, *lengths.end(), 1, 0),
        end(libc::SECCOMP_RET_ERRNO | libc::ENOBUFS as u32),
        end(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: only numbers are passed.
    let promised = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(promised, 0);
    // SAFETY: the program and its filter live until the call returns.
    let filtered =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(filtered, 0);
}
