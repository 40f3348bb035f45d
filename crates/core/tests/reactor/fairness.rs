//! A socket that never runs dry waits for all the others between its steps.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

use ferronet_core::{ReadMode, STEP_EVENTS};

use crate::common::{Host, loopback};

const QUIET: usize = 100;

fn connect(host: &mut Host, listener: &TcpListener) -> (u32, TcpStream) {
    let slot = host.start_connect(listener.local_addr().expect("address"));
    let (peer, _) = listener.accept().expect("accept");
    assert_eq!(host.connected(slot), 0);
    (slot, peer)
}

// The batch has room for one read of a firehose, and two firehoses want it in every pump.
fn firehoses_that_fill_the_batch_leave_every_other_one_to_the_quiet(host: &mut Host) {
    host.seen.limit_memory(64 * 1024);
    let listener = TcpListener::bind(loopback()).expect("bind");
    let mut firehoses: Vec<_> = (0..2).map(|_| connect(host, &listener)).collect();
    let mut quiet: Vec<_> = (0..QUIET).map(|_| connect(host, &listener)).collect();
    for (_, peer) in &mut firehoses {
        peer.set_nonblocking(true).expect("non-blocking");
        while peer.write(&[7; 64 * 1024]).is_ok() {}
    }
    for (_, peer) in &mut quiet {
        peer.write_all(b"x").expect("room");
    }
    // All of them are known to be readable before the first is read, under either driver.
    for (slot, _) in firehoses.iter().chain(&quiet) {
        host.reactor
            .read_start(*slot, ReadMode::Into)
            .expect("read_start");
        host.until(|host| host.seen.of(*slot).readable > 0);
    }
    let pumps = host.pumps;
    for (slot, _) in firehoses.iter().chain(&quiet) {
        host.read(*slot);
    }
    for (slot, _) in &quiet {
        host.until(|host| host.seen.of(*slot).bytes == b"x");
    }
    // Two pumps for the firehoses. The quiet ones need one: a batch takes one-byte reads until less than 16 KiB of its
    // 64 are left.
    assert!(host.pumps - pumps <= 5, "{} pumps", host.pumps - pumps);
}

fn firehoses_that_never_stop_do_not_starve_a_hundred_quiet_sockets(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let mut hoses = Vec::new();
    for _ in 0..3 {
        let (slot, mut peer) = connect(host, &listener);
        host.read(slot);
        // Ends when its socket is closed.
        let thread = thread::spawn(move || while peer.write_all(&[7; 256 * 1024]).is_ok() {});
        hoses.push((slot, thread));
    }
    let mut quiet: Vec<_> = (0..QUIET).map(|_| connect(host, &listener)).collect();
    for (slot, _) in &quiet {
        host.read(*slot);
    }
    for round in 1..=20 {
        for (_, peer) in &mut quiet {
            peer.write_all(b"x").expect("room");
        }
        for (slot, _) in &quiet {
            host.until(|host| {
                for (hose, _) in &hoses {
                    host.seen.of(*hose).bytes.clear();
                }
                host.seen.of(*slot).bytes.len() == round
            });
        }
    }
    for (slot, thread) in hoses {
        host.close(slot);
        thread.join().expect("no panic");
    }
}

fn a_socket_that_has_more_gets_one_step_a_pump(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let (slot, mut peer) = connect(host, &listener);
    let hose = thread::spawn(move || while peer.write_all(&[7; 256 * 1024]).is_ok() {});
    host.read(slot);
    for _ in 0..200 {
        let before = host.seen.of(slot).reads.len();
        host.step();
        let reads = host.seen.of(slot).reads.len() - before;
        assert!(reads <= 1, "{reads} reads in one pump");
        host.seen.of(slot).bytes.clear();
    }
    host.close(slot);
    hose.join().expect("no panic");
}

fn a_batch_of_one_step_serves_everybody_in_turn(host: &mut Host) {
    host.seen.most_events = STEP_EVENTS;
    let listener = TcpListener::bind(loopback()).expect("bind");
    let mut quiet: Vec<_> = (0..QUIET).map(|_| connect(host, &listener)).collect();
    for (slot, peer) in &mut quiet {
        host.read(*slot);
        peer.write_all(b"x").expect("room");
    }
    for (slot, _) in &quiet {
        host.until(|host| host.seen.of(*slot).bytes == b"x");
    }
}

// Uploads share a bounded number of bytes in one iteration of the loop. In the next, all the others are asked first.
fn between_two_answers_of_a_quiet_socket_no_more_is_read_than_a_share(host: &mut Host) {
    // The reactor's own limit, and the batch that goes beyond it.
    const SHARE: usize = 2 * 1024 * 1024;
    let listener = TcpListener::bind(loopback()).expect("bind");
    let mut hoses = Vec::new();
    for _ in 0..4 {
        let (slot, mut peer) = connect(host, &listener);
        let socket = host.reactor.socket(slot).expect("open");
        socket
            .set_recv_buffer_size(4 << 20)
            .expect("the kernel takes any size");
        host.read(slot);
        // Ends when its socket is closed.
        let thread = thread::spawn(move || while peer.write_all(&[7; 256 * 1024]).is_ok() {});
        hoses.push((slot, thread));
    }
    for (slot, _) in &hoses {
        host.seen.of(*slot).bytes.clear();
    }
    let mut most = 0;
    for _ in 0..500 {
        host.iteration();
        let mut read = 0;
        for (slot, _) in &hoses {
            read += std::mem::take(&mut host.seen.of(*slot).bytes).len();
        }
        most = most.max(read);
    }
    assert!(most <= SHARE, "{most} bytes in one iteration");
    for (slot, thread) in hoses {
        host.close(slot);
        thread.join().expect("no panic");
    }
}

// They are reported in several batches, but all of them get their step before the system is asked again.
fn a_full_batch_does_not_put_the_others_off_to_the_next_iteration(host: &mut Host) {
    host.seen.most_events = STEP_EVENTS + 2;
    let listener = TcpListener::bind(loopback()).expect("bind");
    let mut quiet: Vec<_> = (0..QUIET).map(|_| connect(host, &listener)).collect();
    for (slot, peer) in &mut quiet {
        peer.write_all(b"x").expect("room");
        host.reactor
            .read_start(*slot, ReadMode::Into)
            .expect("read_start");
        host.until(|host| host.seen.of(*slot).readable > 0);
    }
    for (slot, _) in &quiet {
        host.read(*slot);
    }
    host.iteration();
    for (slot, _) in &quiet {
        assert_eq!(host.seen.of(*slot).bytes, b"x");
    }
}

fn an_iteration_ends_when_there_is_no_memory_to_read_into(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let (slot, mut peer) = connect(host, &listener);
    peer.write_all(b"x").expect("room");
    host.read(slot);
    host.seen.limit_memory(0);
    for _ in 0..3 {
        host.iteration();
        assert!(host.reactor.has_work());
    }
    host.seen.limit_memory(64 * 1024);
    host.until(|host| host.seen.of(slot).bytes == b"x");
}

// The peer has sent everything and closed. A write that waits can only fail, and that would destroy the socket while
// there are bytes in it.
fn what_was_received_is_delivered_before_a_write_that_can_only_fail(host: &mut Host) {
    let (client, server) = host.unix_pair();
    while !host.reactor.is_blocked(server) {
        host.write(server, &[1; 64 * 1024]);
    }
    let said = vec![2; 150_000];
    let sent = host.write(client, &said);
    assert_eq!(sent, said.len(), "the kernel takes all of it");
    host.close(client);
    host.read(server);
    host.until(|host| host.seen.of(server).writable > 0);
    assert!(host.seen.of(server).bytes == said);
}

under_both_drivers! {
    a_full_batch_does_not_put_the_others_off_to_the_next_iteration,
    an_iteration_ends_when_there_is_no_memory_to_read_into,
    between_two_answers_of_a_quiet_socket_no_more_is_read_than_a_share,
    what_was_received_is_delivered_before_a_write_that_can_only_fail,
    firehoses_that_fill_the_batch_leave_every_other_one_to_the_quiet,
    firehoses_that_never_stop_do_not_starve_a_hundred_quiet_sockets,
    a_socket_that_has_more_gets_one_step_a_pump,
    a_batch_of_one_step_serves_everybody_in_turn,
}
