//! What belongs to the whole process: descriptors, memory, signals, children. Each test has a process of its own.

use std::io::IoSlice;

use ferronet_core::errno;

use crate::common::{Directory, Host, in_a_process_of_its_own};

fn a_write_to_a_peer_that_is_gone_does_not_kill(host: &mut Host) {
    in_a_process_of_its_own(|| {
        // Rust's runtime ignores the signal, a host written in C need not.
        // SAFETY: the default action is no handler of ours; no other thread depends on it.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for pair in [Host::tcp_pair, Host::unix_pair] {
            for slices in [1, 3] {
                let (client, server) = pair(host);
                host.read(client);
                host.reset(server);
                host.until(|host| {
                    host.seen.of(client).error.is_some() || host.seen.of(client).ended
                });
                let bytes = vec![IoSlice::new(b"anybody?"); slices];
                // The first may still go out; none may end the process.
                let codes = [(); 3].map(|()| {
                    let sent = host.reactor.write(client, &bytes);
                    sent.map_err(|error| errno::code(&error))
                });
                assert_eq!(codes[2], Err(errno::EPIPE), "{codes:?}");
            }
        }
        // While a short write waits, too.
        let (client, server) = host.unix_pair();
        let bytes = vec![0; 8 << 20];
        assert!(host.write(client, &bytes) < bytes.len());
        host.close(server);
        host.until(|host| host.seen.of(client).writable > 0);
        let error = host.reactor.write(client, &[IoSlice::new(&bytes)]);
        assert_eq!(errno::code(&error.expect_err("closed")), errno::EPIPE);
    });
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::fd::RawFd;
    use std::process::Command;

    use super::{Directory, Host, in_a_process_of_its_own};

    fn descriptors() -> BTreeSet<RawFd> {
        let listed: BTreeSet<RawFd> = fs::read_dir("/proc/self/fd")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // Without the one that the listing itself had.
        let is_open = |fd: &RawFd| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok();
        listed.into_iter().filter(is_open).collect()
    }

    fn no_descriptor_survives_exec(host: &mut Host) {
        in_a_process_of_its_own(|| {
            // `host` has its descriptors already, so the ones of a new reactor are looked at.
            let before = descriptors();
            let in_child = listed_by_a_child();
            let mut other = Host::start(host.reactor.driver());
            let directory = Directory::new();
            other.tcp_pair();
            other.unix_pair();
            other.listen_tcp();
            other.listen_path(&directory.path("listening"));
            other
                .reactor
                .bind_path(&directory.path("bound"))
                .expect("bind");

            let ours: Vec<RawFd> = descriptors().difference(&before).copied().collect();
            assert!(ours.len() >= 8, "{ours:?}");
            for fd in ours {
                // SAFETY: asks for the flags of a descriptor, which is open or not; no memory is involved.
                let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
                assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC, "{fd}");
            }
            assert_eq!(listed_by_a_child(), in_child);
            assert!(!in_child.contains("eventpoll"), "{in_child}");
        });
    }

    /// The descriptors of a new process, and what they are, numbers of pipes left out.
    fn listed_by_a_child() -> String {
        let script = "for fd in /proc/self/fd/*; do readlink $fd; done";
        let output = Command::new("sh").args(["-c", script]).output();
        let listed = String::from_utf8(output.expect("a shell").stdout).expect("ASCII");
        let kinds = listed.lines().map(|line| line.split(':').next());
        kinds
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn twenty_thousand_connections_leave_nothing_behind(host: &mut Host) {
        in_a_process_of_its_own(|| {
            let (listener, address) = host.listen_tcp();
            let cycles = |host: &mut Host, count: usize| {
                for cycle in 0..count {
                    let client = host.start_connect(address);
                    let server = host.accepted(listener);
                    assert_eq!(host.connected(client), 0);
                    host.read(server);
                    host.send(client, b"x");
                    // Resets leave no connections in TIME_WAIT, which would use up the ports.
                    host.reset(client);
                    host.until(|host| host.seen.of(server).error.is_some());
                    if cycle % 2 == 0 {
                        host.close(server);
                    } else {
                        host.reset(server);
                    }
                }
                host.pump();
            };
            cycles(host, 2_000);
            let (open, memory) = (descriptors(), resident());
            cycles(host, 20_000);
            assert_eq!(descriptors(), open);
            assert_eq!(host.reactor.len(), 1);
            let grown = resident().saturating_sub(memory);
            assert!(grown < 2 << 20, "{grown} bytes");
        });
    }

    fn reactors_come_and_go_without_a_trace(host: &mut Host) {
        in_a_process_of_its_own(|| {
            let driver = host.reactor.driver();
            let cycles = |count| {
                for _ in 0..count {
                    let mut other = Host::start(driver);
                    let (client, _server) = other.tcp_pair();
                    other.send(client, b"left unread");
                }
            };
            cycles(20);
            let (open, memory) = (descriptors(), resident());
            cycles(300);
            assert_eq!(descriptors(), open);
            let grown = resident().saturating_sub(memory);
            assert!(grown < 4 << 20, "{grown} bytes");
        });
    }

    fn resident() -> usize {
        let pages = fs::read_to_string("/proc/self/statm").expect("/proc");
        let resident = pages.split(' ').nth(1).and_then(|text| text.parse().ok());
        let resident: usize = resident.expect("the second number");
        resident * 4096
    }

    under_both_drivers! {
        no_descriptor_survives_exec,
        twenty_thousand_connections_leave_nothing_behind,
        reactors_come_and_go_without_a_trace,
    }
}

under_both_drivers! { a_write_to_a_peer_that_is_gone_does_not_kill }
