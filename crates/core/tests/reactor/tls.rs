//! TLS on connections of the reactor, with the OpenSSL of the system. Both ends are sockets of one reactor.

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use ferronet_core::tls::{Capture, Fact, News, Start};
use ferronet_core::{ReadMode, TlsEvent, errno};

use crate::common::tls::{CLIENT, context, is_secure, library, secure_pair, server, starting_pair};
use crate::common::{Host, loopback};
#[cfg(target_os = "linux")]
use crate::common::{in_a_process_of_its_own, refuse_sends_of};

fn two_ends_shake_hands_and_talk(host: &mut Host) {
    let (near, far) = secure_pair(host);
    assert_eq!(
        host.seen.of(near).tls[0],
        TlsEvent::Secure {
            verdict: 0,
            reused: false
        }
    );
    let fact = |host: &mut Host, slot, fact| host.reactor.tls_fact(slot, fact).expect("a session");
    assert_eq!(fact(host, near, Fact::Protocol), b"TLSv1.3");
    assert_eq!(fact(host, far, Fact::Servername), b"localhost");
    for slot in [near, far] {
        assert_eq!(fact(host, slot, Fact::Alpn), b"a");
    }
    assert_eq!(
        fact(host, near, Fact::Certificate),
        fact(host, far, Fact::Certificate)
    );
    host.send(near, b"question");
    host.until(|host| host.seen.of(far).bytes == b"question");
    host.send(far, b"answer");
    host.until(|host| host.seen.of(near).bytes == b"answer");
    // Tickets of the server's came along.
    assert!(host.seen.of(near).tls.contains(&TlsEvent::News));
    let news = host.reactor.tls_news(near).expect("a session");
    assert!(matches!(news, Some(News::Session(der)) if !der.is_empty()));
    let [one, other] = [near, far].map(|slot| host.reactor.tls_export(slot, 16, b"x", None));
    assert_eq!(one.expect("a session"), other.expect("a session"));
}

fn a_write_waits(host: &mut Host, slot: u32) {
    let sent = host.reactor.write(slot, &[IoSlice::new(b"secret")]);
    let sent = sent.expect("no error");
    assert_eq!((sent.bytes, sent.all), (0, false));
}

fn nothing_is_told_before_the_owner_has_looked(host: &mut Host) {
    let (near, far) = starting_pair(host, false);
    host.until(|host| is_secure(host, near));
    // Self-signed, and not trusted.
    assert_eq!(
        host.seen.of(near).tls[0],
        TlsEvent::Secure {
            verdict: 18,
            reused: false
        }
    );
    a_write_waits(host, near);
    while host.step_if_due() {}
    // A client that does not like the certificate leaves without a word.
    assert_eq!(host.seen.of(far).tls, []);
    host.reactor.tls_open(near).expect("open");
    assert_eq!(
        host.reactor.tls_open(near).map_err(|e| errno::code(&e)),
        Err(errno::EINVAL)
    );
    host.send(near, b"for those who trust");
    host.read(far);
    host.until(|host| is_secure(host, far));
    while host.step_if_due() {}
    assert_eq!(host.seen.of(far).bytes, b"");
    host.reactor.tls_open(far).expect("open");
    host.until(|host| host.seen.of(far).bytes == b"for those who trust");
}

fn without_an_answer_the_peer_gets_the_rest_of_the_handshake_alone(host: &mut Host) {
    let (near, far) = starting_pair(host, true);
    let refused = |host: &mut Host, slot| {
        let parted = host.reactor.tls_part(slot);
        assert_eq!(parted.map_err(|e| errno::code(&e)), Err(errno::EINVAL));
    };
    refused(host, near);
    host.until(|host| is_secure(host, near));
    a_write_waits(host, near);
    while host.step_if_due() {}
    assert_eq!(host.seen.of(far).tls, []);

    host.reactor.tls_part(near).expect("a handshake");
    host.until(|host| is_secure(host, far));
    host.reactor.tls_open(far).expect("open");
    refused(host, far);
    host.read(far);
    host.read(near);
    host.send(far, b"for nobody");
    a_write_waits(host, near);
    while host.step_if_due() {}
    assert_eq!(host.seen.of(far).bytes, b"");
    host.close(far);
    host.until(|host| host.seen.of(near).ended);
    assert_eq!(host.seen.of(near).bytes, b"");
}

/// A client and a server at the beginning of the handshake, with nothing between them that hands on what they send
/// unless it is told to.
struct Apart {
    near: u32,
    far: u32,
    of_near: TcpStream,
    of_far: TcpStream,
}

impl Apart {
    fn start(host: &mut Host) -> Self {
        let mut end = || {
            let listener = TcpListener::bind(loopback()).expect("bind");
            let slot = host.start_connect(listener.local_addr().expect("address"));
            let (stream, _) = listener.accept().expect("accept");
            assert_eq!(host.connected(slot), 0);
            (slot, stream)
        };
        let [(near, of_near), (far, of_far)] = [end(), end()];
        host.reactor
            .tls_start(near, &context(true), &CLIENT)
            .expect("start");
        host.reactor
            .tls_start(far, &context(false), &server())
            .expect("start");
        Self {
            near,
            far,
            of_near,
            of_far,
        }
    }

    fn until_near_is_secure(&mut self, host: &mut Host) {
        self.hand_to_far(host);
        self.hand_to_near(host);
        host.until(|host| is_secure(host, self.near));
    }

    fn hand_to_far(&mut self, host: &mut Host) {
        hand_on(host, &mut self.of_near, &mut self.of_far);
    }

    fn hand_to_near(&mut self, host: &mut Host) {
        hand_on(host, &mut self.of_far, &mut self.of_near);
    }
}

/// Hands on what has come in one piece.
fn hand_on(host: &mut Host, from: &mut TcpStream, to: &mut TcpStream) {
    from.set_nonblocking(true).expect("a socket");
    let mut piece = vec![0; 100_000];
    let mut length = 0;
    host.until(|_| match from.read(&mut piece) {
        Ok(read) => {
            length = read;
            true
        }
        Err(_) => false,
    });
    to.set_nonblocking(false).expect("a socket");
    to.write_all(&piece[..length]).expect("room");
}

fn has_arrived(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    stream.peek(&mut [0]).is_ok()
}

fn the_last_of_the_handshake_leaves_with_what_is_written_first(host: &mut Host) {
    for writes in [true, false] {
        let mut pair = Apart::start(host);
        let Apart { near, far, .. } = pair;
        pair.until_near_is_secure(host);
        host.reactor.tls_open(near).expect("open");
        assert!(!has_arrived(&pair.of_near));
        if writes {
            host.send(near, b"question");
        }
        pair.hand_to_far(host);
        host.until(|host| is_secure(host, far));
        host.read(far);
        host.reactor.tls_open(far).expect("open");
        if writes {
            host.until(|host| host.seen.of(far).bytes == b"question");
            assert!(!has_arrived(&pair.of_far));
            host.send(far, b"answer");
        }
        pair.hand_to_near(host);
        host.read(near);
        host.until(|host| host.seen.of(near).tls.contains(&TlsEvent::News));
        if writes {
            host.until(|host| host.seen.of(near).bytes == b"answer");
        }
    }
}

// The owner may hang up in the next iteration.
fn the_last_of_the_handshake_leaves_in_the_same_iteration(host: &mut Host) {
    let mut pair = Apart::start(host);
    let near = pair.near;
    pair.until_near_is_secure(host);
    // The driver has something to tell of the socket already.
    pair.of_near.write_all(b"no record").expect("room");
    host.until_told();
    host.reactor.tls_open(near).expect("open");
    host.rest_of_iteration();
    assert!(has_arrived(&pair.of_near));
    host.close(near);
}

fn much_data_arrives_as_it_was_sent(host: &mut Host) {
    let (near, far) = secure_pair(host);
    let all: Vec<u8> = (0..5_000_000_u32)
        .map(|at| (at ^ (at >> 8)) as u8)
        .collect();
    let mut sent = 0;
    let mut waits = false;
    while host.seen.of(far).bytes.len() < all.len() {
        let writable = host.seen.of(near).writable > 0;
        if sent < all.len() && (!waits || writable) {
            host.seen.of(near).writable = 0;
            let rest = &all[sent..];
            let (one, two) = rest.split_at(rest.len().min(1000));
            let slices = [IoSlice::new(one), IoSlice::new(two)];
            let outcome = host.reactor.write(near, &slices).expect("open");
            sent += outcome.bytes;
            waits = !outcome.all;
        } else {
            host.iteration();
        }
    }
    assert!(host.seen.of(far).bytes == all, "other bytes than were sent");
}

// Between two parts, with Nagle's algorithm, the end of the second may wait for the peer.
#[cfg(target_os = "linux")]
fn a_write_is_sent_in_one_call(host: &mut Host) {
    in_a_process_of_its_own(|| {
        let (near, far) = secure_pair(host);
        refuse_sends_of(30_000..=149_999);
        let bytes = [7; 150_000];
        let sent = host.reactor.write(near, &[IoSlice::new(&bytes)]);
        assert_eq!(sent.expect("open").bytes, bytes.len());
        host.until(|host| host.seen.of(far).bytes == bytes);
    });
}

#[cfg(not(target_os = "linux"))]
fn a_write_is_sent_in_one_call(_: &mut Host) {}

fn an_announced_end_is_an_end_and_the_other_way_stays_open(host: &mut Host) {
    let (near, far) = secure_pair(host);
    host.send(near, b"last words");
    host.reactor.shutdown(near).expect("shutdown");
    host.until(|host| host.seen.of(far).ended);
    assert_eq!(host.seen.of(far).bytes, b"last words");
    assert_eq!(
        host.reactor
            .tls_fact(far, Fact::CloseNotify)
            .expect("a session"),
        b"1"
    );
    host.send(far, b"an answer");
    host.until(|host| host.seen.of(near).bytes == b"an answer");
}

fn the_announced_end_waits_until_the_kernel_has_room(host: &mut Host) {
    let (near, far) = secure_pair(host);
    host.reactor.read_stop(far).expect("open");
    let chunk = vec![b'x'; 100_000];
    let mut sent = 0;
    loop {
        let outcome = host.reactor.write(near, &[IoSlice::new(&chunk)]);
        let outcome = outcome.expect("open");
        sent += outcome.bytes;
        if !outcome.all {
            break;
        }
    }
    for _ in 0..2 {
        let refused = host.reactor.shutdown(near).expect_err("no room");
        assert_eq!(errno::code(&refused), errno::EAGAIN);
    }

    host.seen.of(near).writable = 0;
    host.read(far);
    host.until(|host| host.seen.of(near).writable > 0);
    host.reactor.shutdown(near).expect("room");
    host.close(near);
    host.until(|host| host.seen.of(far).ended);
    assert_eq!(host.seen.of(far).bytes.len(), sent);
    let told = host.reactor.tls_fact(far, Fact::CloseNotify);
    assert_eq!(told.expect("a session"), b"1");
}

fn what_is_not_tls_is_a_failure(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let slot = host.start_connect(listener.local_addr().expect("address"));
    let (mut peer, _) = listener.accept().expect("accept");
    assert_eq!(host.connected(slot), 0);
    host.reactor
        .tls_start(slot, &context(true), &CLIENT)
        .expect("start");
    peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .expect("room");
    host.until(|host| host.seen.of(slot).tls.contains(&TlsEvent::Failed));
    let failure = host
        .reactor
        .tls_fact(slot, Fact::Failure)
        .expect("a session");
    let parts: Vec<&[u8]> = failure.split(|byte| *byte == 0).collect();
    assert_eq!(parts[..2], [&b"SSL routines"[..], b"wrong version number"]);
    let error = host.reactor.write(slot, &[IoSlice::new(b"x")]);
    assert_eq!(
        error.map_err(|error| errno::code(&error)),
        Err(errno::EPIPE)
    );
}

/// A peer by hand, whose ciphertext is at hand: what it sends to `far`, in one piece.
fn hello_of(host: &mut Host) -> Vec<u8> {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let slot = host.start_connect(listener.local_addr().expect("address"));
    let (mut peer, _): (TcpStream, _) = listener.accept().expect("accept");
    assert_eq!(host.connected(slot), 0);
    host.reactor
        .tls_start(slot, &context(true), &CLIENT)
        .expect("start");
    let mut head = [0; 5];
    peer.read_exact(&mut head).expect("a record");
    let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    peer.read_exact(&mut hello).expect("a record");
    host.reactor.close(slot, false);
    host.seen.forget(slot);
    [&head, hello.as_slice()].concat()
}

fn a_hello_waits_for_a_full_kernel_and_comes_behind_what_fills_it(host: &mut Host) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let slot = host.start_connect(listener.local_addr().expect("address"));
    let (mut peer, _): (TcpStream, _) = listener.accept().expect("accept");
    assert_eq!(host.connected(slot), 0);
    let plain = vec![b'p'; 1 << 20];
    let mut sent = 0;
    loop {
        let part = host
            .reactor
            .write(slot, &[IoSlice::new(&plain)])
            .expect("open");
        sent += part.bytes;
        if !part.all {
            break;
        }
    }
    host.reactor
        .tls_start(slot, &context(true), &CLIENT)
        .expect("start");
    peer.set_nonblocking(true).expect("a socket");
    let mut read = Vec::new();
    host.until(|_| {
        // It would block in the end.
        let _ = peer.read_to_end(&mut read);
        read.len() > sent
    });
    assert!(read[..sent].iter().all(|byte| *byte == b'p'));
    // A record of a handshake.
    assert_eq!(read[sent], 22);
    host.reactor.close(slot, true);
    host.seen.forget(slot);
}

fn a_hello_that_was_read_before_is_answered_however_it_is_split(host: &mut Host) {
    let hello = hello_of(host);
    let server_context = context(false);
    for at in 0..=hello.len() {
        let listener = TcpListener::bind(loopback()).expect("bind");
        let slot = host.start_connect(listener.local_addr().expect("address"));
        let (mut peer, _) = listener.accept().expect("accept");
        assert_eq!(host.connected(slot), 0);
        let (read, unread) = hello.split_at(at);
        let start = Start {
            unread: read,
            ..server()
        };
        host.reactor
            .tls_start(slot, &server_context, &start)
            .expect("start");
        peer.write_all(unread).expect("room");
        peer.set_nonblocking(true).expect("a socket");
        let mut answer = [0; 1];
        host.until(|_| peer.read(&mut answer).is_ok());
        // A record of a handshake.
        assert_eq!(answer, [22], "split at {at}");
        host.reactor.close(slot, true);
        host.seen.forget(slot);
    }
}

fn the_end_comes_in_the_middle_of_a_handshake(host: &mut Host) {
    let (near, far) = host.tcp_pair();
    host.reactor
        .tls_start(far, &context(false), &server())
        .expect("start");
    host.reactor.shutdown(near).expect("shutdown");
    host.until(|host| host.seen.of(far).ended);
    assert_eq!(host.seen.of(far).tls, []);
}

fn bytes_go_into_the_callers_buffer(host: &mut Host) {
    let (near, far) = secure_pair(host);
    host.reactor.read_stop(far).expect("read_stop");
    host.reactor
        .read_start(far, ReadMode::Into)
        .expect("read_start");
    let sent: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    host.send(near, &sent);
    let mut seen = Vec::new();
    let mut buffer = [0; 1000];
    while seen.len() < sent.len() {
        match host.reactor.read_into(far, &mut buffer) {
            Ok(length) => seen.extend_from_slice(&buffer[..length]),
            Err(error) => {
                assert_eq!(errno::code(&error), errno::EAGAIN);
                host.iteration();
            }
        }
    }
    assert!(seen == sent, "other bytes than were sent");
}

fn contexts_that_are_not_one_are_none(_: &mut Host) {
    let library = library();
    let capture = Capture::begin().expect("OpenSSL");
    assert!(capture.finish().is_none());
    let capture = Capture::begin().expect("OpenSSL");
    // SAFETY: takes nothing.
    let method = unsafe { (library.method)() };
    let both = [(); 2].map(|()| {
        // SAFETY: OpenSSL's own method.
        unsafe { (library.new)(method) }
    });
    assert!(capture.finish().is_none());
    for one in both {
        // SAFETY: made above.
        unsafe { (library.free)(one) };
    }
}

fn a_context_that_is_gone_again_does_not_count(_: &mut Host) {
    let library = library();
    // SAFETY: takes nothing.
    let method = unsafe { (library.method)() };
    // SAFETY: OpenSSL's own method.
    let make = || unsafe { (library.new)(method) };
    // SAFETY: made above, and freed once.
    let free = |context| unsafe { (library.free)(context) };
    let capture = Capture::begin().expect("OpenSSL");
    free(make());
    let left = make();
    assert!(capture.finish().is_some());
    free(left);
    let capture = Capture::begin().expect("OpenSSL");
    free(make());
    assert!(capture.finish().is_none());
}

under_both_drivers! {
    two_ends_shake_hands_and_talk,
    nothing_is_told_before_the_owner_has_looked,
    without_an_answer_the_peer_gets_the_rest_of_the_handshake_alone,
    the_last_of_the_handshake_leaves_with_what_is_written_first,
    the_last_of_the_handshake_leaves_in_the_same_iteration,
    much_data_arrives_as_it_was_sent,
    a_write_is_sent_in_one_call,
    an_announced_end_is_an_end_and_the_other_way_stays_open,
    the_announced_end_waits_until_the_kernel_has_room,
    what_is_not_tls_is_a_failure,
    a_hello_waits_for_a_full_kernel_and_comes_behind_what_fills_it,
    a_hello_that_was_read_before_is_answered_however_it_is_split,
    the_end_comes_in_the_middle_of_a_handshake,
    bytes_go_into_the_callers_buffer,
    contexts_that_are_not_one_are_none,
    a_context_that_is_gone_again_does_not_count,
}
