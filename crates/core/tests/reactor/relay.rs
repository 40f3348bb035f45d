//! Relays: what one connection reads, another sends.

use ferronet_core::errno;

use crate::common::{Host, Random, in_a_process_of_its_own};

under_both_drivers!(
    a_relay_carries_bytes_and_then_the_end_is_told,
    a_relay_to_itself_echoes,
    a_relay_between_tcp_and_a_path_carries_bytes_both_ways,
    a_slow_reader_stops_the_sender,
    a_source_that_cannot_send_can_be_read,
    a_stopped_relay_gives_back_what_it_has_not_sent,
    a_relay_that_cannot_send_says_so,
    what_comes_behind_a_reset_of_the_destination_is_not_read,
    a_source_that_breaks_is_an_error_of_its_own,
    a_source_that_breaks_behind_many_bytes_has_not_ended,
    a_relay_ends_with_either_socket,
    no_socket_is_in_two_relays_of_one_direction,
    relays_leave_no_descriptors,
);

/// Client, the relay's two ends, and the server behind it.
struct Chain {
    client: u32,
    from: u32,
    to: u32,
    server: u32,
}

fn chain(host: &mut Host) -> Chain {
    let (client, from) = host.tcp_pair();
    let (to, server) = host.tcp_pair();
    Chain {
        client,
        from,
        to,
        server,
    }
}

/// Sends all, while others read.
fn upload(host: &mut Host, slot: u32, bytes: &[u8]) {
    for part in bytes.chunks(300_000) {
        host.send(slot, part);
    }
}

fn a_relay_carries_bytes_and_then_the_end_is_told(host: &mut Host) {
    let all = chain(host);
    host.read(all.server);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    let bytes = Random::new(1).bytes(5_000_000);
    host.send(all.client, &bytes[..100]);
    host.until(|host| host.seen.of(all.server).bytes.len() == 100);
    upload(host, all.client, &bytes[100..]);
    host.reactor.shutdown(all.client).expect("shutdown");
    host.until(|host| host.seen.of(all.from).ended);
    host.until(|host| host.seen.of(all.server).bytes.len() == bytes.len());
    assert!(host.seen.of(all.server).bytes == bytes);
    assert!(host.seen.of(all.from).bytes.is_empty());
    assert_eq!(host.reactor.relay_count(all.from).expect("open"), 5_000_000);
    assert_eq!(host.reactor.relay_count(all.from).expect("open"), 0);
    assert!(!host.seen.of(all.server).ended, "the end is the owner's");
    let unsent = host.reactor.relay_stop(all.from, all.to).expect("open");
    assert!(unsent.is_empty());
}

fn a_relay_to_itself_echoes(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.reactor.relay_start(server, server).expect("a relay");
    host.read(client);
    let bytes = Random::new(2).bytes(2_000_000);
    upload(host, client, &bytes);
    host.until(|host| host.seen.of(client).bytes.len() == bytes.len());
    assert!(host.seen.of(client).bytes == bytes);
}

fn a_relay_between_tcp_and_a_path_carries_bytes_both_ways(host: &mut Host) {
    let (client, from) = host.tcp_pair();
    let (to, server) = host.unix_pair();
    host.reactor.relay_start(from, to).expect("a relay");
    host.reactor.relay_start(to, from).expect("and back");
    host.read(client);
    host.read(server);
    let (there, back) = (
        Random::new(3).bytes(1_500_000),
        Random::new(4).bytes(1_400_000),
    );
    for (one, other) in there.chunks(150_000).zip(back.chunks(140_000)) {
        host.send(client, one);
        host.send(server, other);
    }
    host.until(|host| host.seen.of(server).bytes.len() == there.len());
    host.until(|host| host.seen.of(client).bytes.len() == back.len());
    assert!(host.seen.of(server).bytes == there);
    assert!(host.seen.of(client).bytes == back);
}

/// Sends until the relay is stuck and so is the sender. Returns how many bytes have gone.
fn fill(host: &mut Host, all: &Chain, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while host.in_time() {
        let more = host.write(all.client, &bytes[sent..]);
        sent += more;
        assert!(sent < bytes.len(), "nothing has stopped the sender");
        if more == 0 && host.reactor.is_blocked(all.to) {
            break;
        }
        host.step_if_due();
    }
    sent
}

fn a_slow_reader_stops_the_sender(host: &mut Host) {
    let all = chain(host);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    let bytes = Random::new(5).bytes(24_000_000);
    let sent = fill(host, &all, &bytes);
    host.read(all.server);
    host.until(|host| host.seen.of(all.server).bytes.len() == sent);
    assert!(host.seen.of(all.server).bytes == bytes[..sent]);
}

fn a_source_that_cannot_send_can_be_read(host: &mut Host) {
    let all = chain(host);
    // The client does not read, and does send.
    let back = Random::new(8).bytes(24_000_000);
    let mut sent = 0;
    while !host.reactor.is_blocked(all.from) {
        sent += host.write(all.from, &back[sent..][..300_000]);
    }
    let error = host.reactor.relay_start(all.to, all.from);
    assert_eq!(errno::code(&error.expect_err("full")), errno::EBUSY);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    host.read(all.server);
    let there = Random::new(9).bytes(2_000_000);
    upload(host, all.client, &there);
    host.until(|host| host.seen.of(all.server).bytes.len() == there.len());
    assert!(host.seen.of(all.server).bytes == there);
    host.read(all.client);
    host.until(|host| host.seen.of(all.from).writable > 0);
    host.until(|host| host.seen.of(all.client).bytes.len() == sent);
    assert!(host.seen.of(all.client).bytes == back[..sent]);
}

fn a_stopped_relay_gives_back_what_it_has_not_sent(host: &mut Host) {
    let all = chain(host);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    let bytes = Random::new(6).bytes(24_000_000);
    let sent = fill(host, &all, &bytes);
    let read = host.reactor.relay_count(all.from).expect("open") as usize;
    let unsent = host.reactor.relay_stop(all.from, all.to).expect("open");
    assert!(!unsent.is_empty(), "it was full");
    assert!(host.reactor.is_blocked(all.to));
    host.read(all.server);
    host.until(|host| host.seen.of(all.to).writable > 0);
    host.send(all.to, &unsent);
    host.until(|host| host.seen.of(all.server).bytes.len() == read);
    assert!(host.seen.of(all.server).bytes == bytes[..read]);
    // What has not been read is the next reader's.
    host.read(all.from);
    host.until(|host| host.seen.of(all.from).bytes.len() == sent - read);
    assert!(host.seen.of(all.from).bytes == bytes[read..sent]);
}

fn a_relay_that_cannot_send_says_so(host: &mut Host) {
    let all = chain(host);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    host.reset(all.server);
    // The first bytes after the reset may still be taken, depending on when it arrives.
    while host.seen.of(all.to).relay_failed.is_none() {
        if host
            .reactor
            .write(all.client, &[std::io::IoSlice::new(b"x")])
            .is_err()
        {
            break;
        }
        while host.step_if_due() {}
        assert!(host.in_time());
    }
    let code = host.seen.of(all.to).relay_failed.expect("told");
    assert!([errno::EPIPE, errno::ECONNRESET].contains(&code), "{code}");
    assert!(!host.seen.of(all.from).ended);
    let unsent = host.reactor.relay_stop(all.from, all.to).expect("open");
    assert!(unsent.is_empty());
    // It can be read as before.
    host.read(all.from);
    host.send(all.client, b"on");
    host.until(|host| host.seen.of(all.from).bytes.ends_with(b"on"));
}

fn what_comes_behind_a_reset_of_the_destination_is_not_read(host: &mut Host) {
    for size in [1, 50_000] {
        let all = chain(host);
        host.read(all.to);
        host.reactor.relay_start(all.from, all.to).expect("a relay");
        host.reset(all.server);
        host.send(all.client, &vec![1; size]);
        host.until(|host| host.seen.of(all.to).error.is_some());
        assert_eq!(host.reactor.relay_count(all.from).expect("open"), 0);
        host.reactor.relay_stop(all.from, all.to).expect("open");
        host.read(all.from);
        host.until(|host| host.seen.of(all.from).bytes.len() == size);
    }
}

fn a_source_that_breaks_is_an_error_of_its_own(host: &mut Host) {
    let all = chain(host);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    host.reset(all.client);
    host.until(|host| host.seen.of(all.from).error.is_some());
    assert_eq!(host.seen.of(all.from).error, Some(errno::ECONNRESET));
    assert_eq!(host.seen.of(all.to).relay_failed, None);
}

fn a_source_that_breaks_behind_many_bytes_has_not_ended(host: &mut Host) {
    for is_tcp in [true, false] {
        let (client, from) = if is_tcp {
            host.tcp_pair()
        } else {
            host.unix_pair()
        };
        let (to, server) = host.tcp_pair();
        host.read(server);
        host.reactor.relay_start(from, to).expect("a relay");
        if !is_tcp {
            // What is not read when a path is closed makes a reset of it.
            host.send(from, b"unread");
        }
        let bytes = Random::new(10).bytes(1_000_000);
        upload(host, client, &bytes);
        host.until(|host| host.seen.of(server).bytes.len() == bytes.len());
        host.reset(client);
        host.until(|host| {
            let told = host.seen.of(from);
            told.ended || told.error.is_some()
        });
        assert_eq!(host.seen.of(from).error, Some(errno::ECONNRESET));
        assert!(!host.seen.of(from).ended);
    }
}

fn a_relay_ends_with_either_socket(host: &mut Host) {
    for closes_source in [true, false] {
        let all = chain(host);
        host.reactor.relay_start(all.from, all.to).expect("a relay");
        let (closed, stays) = if closes_source {
            (all.from, all.to)
        } else {
            (all.to, all.from)
        };
        host.close(closed);
        while host.step_if_due() {}
        // Neither is in a relay any more.
        host.reactor.relay_start(stays, stays).expect("a new one");
    }
}

fn no_socket_is_in_two_relays_of_one_direction(host: &mut Host) {
    let all = chain(host);
    let other = chain(host);
    host.reactor.relay_start(all.from, all.to).expect("a relay");
    for (from, to) in [(all.from, other.to), (other.from, all.to)] {
        let error = host.reactor.relay_start(from, to).expect_err("busy");
        assert_eq!(errno::code(&error), errno::EBUSY);
    }
    assert!(host.reactor.relay_start(999, all.to).is_err());
    host.reactor
        .relay_start(other.from, other.to)
        .expect("free");
}

#[cfg(target_os = "linux")]
fn relays_leave_no_descriptors(host: &mut Host) {
    in_a_process_of_its_own(|| {
        let descriptors = || std::fs::read_dir("/proc/self/fd").expect("proc").count();
        let before = descriptors();
        let bytes = Random::new(7).bytes(24_000_000);
        for round in 0..6 {
            let all = chain(host);
            host.reactor.relay_start(all.from, all.to).expect("a relay");
            fill(host, &all, &bytes);
            assert!(descriptors() > before + 4, "there is no duct");
            match round % 3 {
                0 => drop(host.reactor.relay_stop(all.from, all.to)),
                1 => drop(host.close(all.to)),
                _ => drop(host.close(all.from)),
            }
            for slot in [all.client, all.from, all.to, all.server] {
                host.close(slot);
            }
            assert_eq!(descriptors(), before);
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn relays_leave_no_descriptors(_: &mut Host) {}
