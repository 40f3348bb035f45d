//! Writing against a full kernel buffer: nothing is lost or reordered.

use std::io::IoSlice;

use crate::common::{Host, Random};
#[cfg(target_os = "linux")]
use crate::common::{in_a_process_of_its_own, refuse_sends_of};

const LARGE: usize = 8 << 20;

fn a_large_write_arrives_in_order(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        let sent = Random::new(1).bytes(LARGE);
        let first = host.write(client, &sent);
        assert!(first < LARGE, "the kernel took all of it");
        assert!(host.reactor.is_blocked(client));
        // Nothing is read on the other side, so the kernel takes nothing more.
        assert_eq!(host.write(client, &sent[first..]), 0);
        assert_eq!(host.seen.of(client).writable, 0);

        host.read(server);
        host.until(|host| host.seen.of(client).writable > 0);
        host.send(client, &sent[first..]);
        host.until(|host| host.seen.of(server).bytes.len() == LARGE);
        assert!(host.seen.of(server).bytes == sent);
    }
}

#[cfg(target_os = "linux")]
fn a_system_without_memory_is_asked_again(host: &mut Host) {
    in_a_process_of_its_own(|| {
        let (client, server) = host.tcp_pair();
        host.read(server);
        refuse_sends_of(4242..=4242);
        for times in 1..4 {
            assert_eq!(host.write(client, &[1; 4242]), 0);
            assert!(host.reactor.is_blocked(client));
            host.until(|host| host.seen.of(client).writable == times);
        }
        assert_eq!(host.write(client, &[2; 4241]), 4241);
        host.until(|host| host.seen.of(server).bytes.len() == 4241);
        // The system is not asked for a socket that is gone.
        assert_eq!(host.write(client, &[1; 4242]), 0);
        host.close(client);
        host.until(|host| host.seen.of(server).ended);
        while host.step_if_due() {}
        assert!(!host.reactor.has_work());
    });
}

#[cfg(not(target_os = "linux"))]
fn a_system_without_memory_is_asked_again(_: &mut Host) {}

fn a_large_vectored_write_arrives_in_order(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        let mut random = Random::new(2);
        let sent = random.bytes(LARGE);
        let mut chunks = Vec::new();
        let mut rest = sent.as_slice();
        while !rest.is_empty() {
            // Empty slices too.
            let (chunk, more) = rest.split_at(random.below(70_000).min(rest.len()));
            chunks.push(chunk);
            rest = more;
        }
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut slices = slices.as_mut_slice();
        let mut total = 0;
        while total < LARGE {
            let before = host.seen.of(client).writable;
            let many = slices.len().min(1024);
            let written = host
                .reactor
                .write(client, &slices[..many])
                .expect("a full buffer is a count")
                .bytes;
            total += written;
            IoSlice::advance_slices(&mut slices, written);
            if total > LARGE / 2 {
                host.read(server);
            }
            if host.reactor.is_blocked(client) {
                host.read(server);
                host.until(|host| host.seen.of(client).writable > before);
                host.reactor.read_stop(server).expect("read_stop");
            }
        }
        host.read(server);
        host.until(|host| host.seen.of(server).bytes.len() == LARGE);
        assert!(host.seen.of(server).bytes == sent);
    }
}

fn both_ways_at_once(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    let sent = Random::new(4).bytes(LARGE / 2);
    host.read(client);
    host.read(server);
    let mut offsets = [(client, 0), (server, 0)];
    host.until(|host| {
        for (slot, offset) in &mut offsets {
            if *offset < sent.len() {
                *offset += host.write(*slot, &sent[*offset..]);
            }
        }
        let [(client, _), (server, _)] = offsets;
        host.seen.of(client).bytes.len() == sent.len()
            && host.seen.of(server).bytes.len() == sent.len()
    });
    assert!(host.seen.of(client).bytes == sent);
    assert!(host.seen.of(server).bytes == sent);
}

under_both_drivers! {
    a_large_write_arrives_in_order,
    a_large_vectored_write_arrives_in_order,
    a_system_without_memory_is_asked_again,
    both_ways_at_once,
}
