//! Reading: starting and stopping, into the caller's buffer, and how much is asked for at a time.

use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use ferronet_core::{ReadMode, errno};

use crate::common::{Host, Random, loopback};

const FIRST_READ: usize = 64 * 1024;
const MOST_READ: usize = 1024 * 1024;

fn bytes_wait_in_the_kernel_until_reading_starts_again(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        host.read(server);
        host.send(client, b"first");
        host.until(|host| host.seen.of(server).bytes == b"first");

        host.reactor.read_stop(server).expect("read_stop");
        host.send(client, b"second");
        // The bytes wake the socket, which must not read them. Another pair shows when the pump has seen to that.
        let (near, far) = host.tcp_pair();
        host.read(far);
        host.send(near, b"x");
        host.until(|host| !host.seen.of(far).bytes.is_empty());
        assert_eq!(host.seen.of(server).bytes, b"first");

        host.read(server);
        host.until(|host| host.seen.of(server).bytes == b"firstsecond");
    }
}

// Also if the thread that watches for readiness has not come to it: here it is held up by the news of another socket.
fn what_has_arrived_is_read_in_the_first_pump_after_reading_starts(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    for mode in [ReadMode::Chunks, ReadMode::Into] {
        let [mut other, mut one] = [(); 2].map(|()| {
            let slot = host.start_connect(listener.local_addr().expect("address"));
            let (peer, _) = listener.accept().expect("accept");
            assert_eq!(host.connected(slot), 0);
            (slot, peer)
        });
        host.read(other.0);
        while host.step_if_due() {}
        let gate = Arc::clone(&host.gate);
        let held = gate.close();
        other.1.write_all(b"held up").expect("room");
        host.until(|host| !host.seen.of(other.0).bytes.is_empty());

        one.1.write_all(b"x").expect("room");
        host.reactor.read_start(one.0, mode).expect("read_start");
        assert!(host.step_if_due(), "nothing to pump");
        if mode == ReadMode::Into {
            assert_eq!(host.seen.of(one.0).readable, 1);
            let mut buffer = [0; 8];
            let length = host.reactor.read_into(one.0, &mut buffer);
            assert_eq!(length.expect("bytes"), 1);
        } else {
            assert_eq!(host.seen.of(one.0).bytes, b"x");
        }
        drop(held);
        host.close(one.0);
        host.close(other.0);
    }
}

fn the_end_waits_as_well(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.send(client, b"last");
    host.close(client);
    let (near, far) = host.tcp_pair();
    host.read(far);
    host.send(near, b"x");
    host.until(|host| !host.seen.of(far).bytes.is_empty());
    assert!(!host.seen.of(server).ended);
    host.read(server);
    host.until(|host| host.seen.of(server).ended);
    assert_eq!(host.seen.of(server).bytes, b"last");
}

fn stopping_and_starting_at_once_loses_nothing(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    let sent = Random::new(3).bytes(3 << 20);
    let mut offset = 0;
    host.until(|host| {
        host.reactor.read_stop(server).expect("read_stop");
        host.read(server);
        if offset < sent.len() {
            offset += host.write(client, &sent[offset..]);
        }
        host.seen.of(server).bytes.len() == sent.len()
    });
    assert!(host.seen.of(server).bytes == sent);
}

// A reader that stopped and started again used to get one more entry in the queue each time.
fn a_reader_that_stops_and_starts_has_one_step_a_pump(host: &mut Host) {
    let (server, _peer) = full(host);
    for _ in 0..8 {
        for _ in 0..5 {
            host.read(server);
            host.reactor.read_stop(server).expect("read_stop");
            host.read(server);
        }
        let before = host.seen.of(server).reads.len();
        host.step();
        let steps = host.seen.of(server).reads.len() - before;
        assert!(steps <= 1, "{steps} steps in one pump");
    }
}

fn a_socket_reads_into_the_callers_buffer(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        let mut buffer = [0; 4];
        host.reactor
            .read_start(server, ReadMode::Into)
            .expect("read_start");
        assert_eq!(into(host, server, &mut buffer), Err(errno::EAGAIN));

        host.send(client, b"seven b");
        assert_eq!(reported_then_into(host, server, &mut buffer), Ok(4));
        assert_eq!(&buffer, b"seve");
        // More is waiting, and is reported without another byte from the peer.
        assert_eq!(reported_then_into(host, server, &mut buffer), Ok(3));
        assert_eq!(&buffer[..3], b"n b");
        assert_eq!(into(host, server, &mut buffer), Err(errno::EAGAIN));

        host.close(client);
        assert_eq!(reported_then_into(host, server, &mut buffer), Ok(0));
        assert!(host.seen.of(server).bytes.is_empty());
    }
}

fn into(host: &mut Host, slot: u32, buffer: &mut [u8]) -> Result<usize, i32> {
    let read = host.reactor.read_into(slot, buffer);
    read.map_err(|error| errno::code(&error))
}

/// Reads when bytes are reported. That can be a false alarm, so it may take several attempts.
fn reported_then_into(host: &mut Host, slot: u32, buffer: &mut [u8]) -> Result<usize, i32> {
    loop {
        let told = host.seen.of(slot).readable;
        host.until(|host| host.seen.of(slot).readable > told);
        let read = into(host, slot, buffer);
        if read != Err(errno::EAGAIN) {
            return read;
        }
    }
}

fn a_reader_into_its_own_buffer_hears_of_waiting_bytes_when_it_starts_again(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    let mut buffer = [0; 4];
    host.reactor
        .read_start(server, ReadMode::Into)
        .expect("read_start");
    host.send(client, b"abcde");
    assert_eq!(reported_then_into(host, server, &mut buffer), Ok(4));
    host.reactor.read_stop(server).expect("read_stop");
    while host.step_if_due() {}
    host.reactor
        .read_start(server, ReadMode::Into)
        .expect("read_start");
    assert_eq!(reported_then_into(host, server, &mut buffer), Ok(1));
    assert_eq!(&buffer[..1], b"e");
}

fn the_read_size_grows_while_the_reader_keeps_up_and_falls_back_when_it_stops(host: &mut Host) {
    let (server, _peer) = full(host);
    host.seen.wanted.clear();
    host.until(|host| host.seen.wanted.iter().any(|wanted| *wanted > FIRST_READ));
    assert_eq!(host.seen.wanted[0], FIRST_READ);
    assert!(host.seen.wanted.iter().all(|wanted| *wanted <= MOST_READ));

    host.reactor.read_stop(server).expect("read_stop");
    let before = host.seen.of(server).bytes.len();
    while host.step_if_due() {}
    assert_eq!(host.seen.of(server).bytes.len(), before, "it had stopped");

    host.seen.wanted.clear();
    host.read(server);
    host.until(|host| host.seen.of(server).bytes.len() > before);
    assert_eq!(host.seen.wanted[0], FIRST_READ);
}

fn large_reads_go_into_the_pieces_in_order(host: &mut Host) {
    let (server, mut peer) = full(host);
    host.seen.lend_pieces(8);
    // What `full` has sent are sevens.
    peer.set_nonblocking(false).expect("blocking");
    let mut random = Random::new(11);
    let bytes: Vec<u8> = (0..3 << 20).map(|_| random.below(256) as u8).collect();
    let sent = bytes.clone();
    let sender = std::thread::spawn(move || peer.write_all(&sent).expect("a reader"));
    host.until(|host| {
        let told = host.seen.of(server);
        told.bytes.len() >= bytes.len() && told.bytes.ends_with(&bytes[bytes.len() - 64..])
    });
    sender.join().expect("sent");
    let told = host.seen.of(server);
    assert!(told.bytes.ends_with(&bytes));
    assert!(told.in_pieces > 0, "no read was large");
    assert_eq!(told.reads.iter().sum::<usize>(), told.bytes.len());
}

/// A socket for which more than a megabyte waits in the kernel, reading, and its peer.
fn full(host: &mut Host) -> (u32, TcpStream) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let server = host.start_connect(listener.local_addr().expect("address"));
    let (mut peer, _) = listener.accept().expect("accept");
    assert_eq!(host.connected(server), 0);
    // By itself the window grows only while the socket is read.
    let receive = host.reactor.socket(server).expect("open");
    receive
        .set_recv_buffer_size(4 << 20)
        .expect("the kernel takes any size");
    peer.set_nonblocking(true).expect("non-blocking");
    let block = vec![7; FIRST_READ];
    host.reactor
        .read_start(server, ReadMode::Into)
        .expect("read_start");
    host.until(|host| {
        while peer.write(&block).is_ok() {}
        host.seen.of(server).readable > 0
    });
    while peer.write(&block).is_ok() {}
    host.read(server);
    (server, peer)
}

fn an_empty_write_does_nothing(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    assert_eq!(host.write(client, b""), 0);
    assert!(!host.reactor.is_blocked(client));
    let nothing = [IoSlice::new(b""), IoSlice::new(b"")];
    let sent = host.reactor.write(client, &nothing).expect("write");
    assert_eq!(sent.bytes, 0);
    host.send(client, b"x");
    host.until(|host| host.seen.of(server).bytes == b"x");
}

// libuv reports the end in the next iteration of its loop, so that a program can answer from `setImmediate`.
fn the_end_is_never_reported_with_the_bytes_before_it(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        host.send(client, b"last");
        host.close(client);
        host.read(server);
        host.until(|host| host.seen.of(server).bytes == b"last");
        assert!(!host.seen.of(server).ended);
        host.until(|host| host.seen.of(server).ended);
    }
}

// recv(2) stops at the mark with less than was asked for, even if more follows.
#[cfg(target_os = "linux")]
fn urgent_data_hides_nothing(host: &mut Host) {
    for mode in [ReadMode::Chunks, ReadMode::SharedChunks, ReadMode::Into] {
        let listener = TcpListener::bind(loopback()).expect("bind");
        let server = host.start_connect(listener.local_addr().expect("address"));
        let (mut peer, _) = listener.accept().expect("accept");
        assert_eq!(host.connected(server), 0);
        for round in 1..=3 {
            peer.write_all(b"before ").expect("room");
            let urgent = socket2::SockRef::from(&peer)
                .send_out_of_band(b"!")
                .expect("room");
            assert_eq!(urgent, 1);
            peer.write_all(b"behind ").expect("room");
            host.reactor.read_start(server, mode).expect("read_start");
            received(host, server, mode, &b"before behind ".repeat(round));
        }
    }
}

// recv(2) stops at a message with descriptors in the same way.
#[cfg(target_os = "linux")]
fn descriptors_that_come_along_hide_nothing(host: &mut Host) {
    use std::os::fd::AsFd;

    for mode in [ReadMode::Chunks, ReadMode::SharedChunks, ReadMode::Into] {
        let (client, server) = host.unix_pair();
        for round in 1..=3 {
            let socket = host.reactor.socket(client).expect("open");
            let descriptor = socket.as_fd().try_clone_to_owned().expect("a copy");
            send_with_descriptor(&descriptor, b"one ");
            send_with_descriptor(&descriptor, b"two ");
            host.send(client, b"three ");
            host.reactor.read_start(server, mode).expect("read_start");
            received(host, server, mode, &b"one two three ".repeat(round));
        }
    }
}

#[cfg(target_os = "linux")]
fn send_with_descriptor(descriptor: &std::os::fd::OwnedFd, bytes: &[u8]) {
    use std::os::fd::AsRawFd;

    // A cmsghdr and the descriptor behind it, padded to the header's alignment.
    let length = size_of::<libc::cmsghdr>() + size_of::<i32>();
    let mut control = length.to_ne_bytes().to_vec();
    for number in [libc::SOL_SOCKET, libc::SCM_RIGHTS, descriptor.as_raw_fd()] {
        control.extend(number.to_ne_bytes());
    }
    control.resize(length.next_multiple_of(size_of::<usize>()), 0);
    let parts = [IoSlice::new(bytes)];
    let message = socket2::MsgHdr::<'_, '_, '_>::new()
        .with_buffers(&parts)
        .with_control(&control);
    let sent = socket2::SockRef::from(descriptor).sendmsg(&message, 0);
    assert_eq!(sent.expect("room"), bytes.len());
}

#[cfg(target_os = "linux")]
fn received(host: &mut Host, slot: u32, mode: ReadMode, expected: &[u8]) {
    if mode != ReadMode::Into {
        host.until(|host| host.seen.of(slot).bytes.len() >= expected.len());
    }
    let mut buffer = [0; 64];
    while host.seen.of(slot).bytes.len() < expected.len() {
        let length = reported_then_into(host, slot, &mut buffer).expect("bytes");
        host.seen.of(slot).bytes.extend(&buffer[..length]);
    }
    assert_eq!(host.seen.of(slot).bytes, expected);
}

under_both_drivers! {
    what_has_arrived_is_read_in_the_first_pump_after_reading_starts,
    the_end_is_never_reported_with_the_bytes_before_it,
    urgent_data_hides_nothing,
    descriptors_that_come_along_hide_nothing,
    bytes_wait_in_the_kernel_until_reading_starts_again,
    the_end_waits_as_well,
    stopping_and_starting_at_once_loses_nothing,
    a_reader_that_stops_and_starts_has_one_step_a_pump,
    a_socket_reads_into_the_callers_buffer,
    a_reader_into_its_own_buffer_hears_of_waiting_bytes_when_it_starts_again,
    the_read_size_grows_while_the_reader_keeps_up_and_falls_back_when_it_stops,
    large_reads_go_into_the_pieces_in_order,
    an_empty_write_does_nothing,
}
