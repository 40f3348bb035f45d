//! Half-close, close, reset, and the numbers of sockets afterwards.

use std::io::IoSlice;

use ferronet_core::errno;

use crate::common::{Host, Random};

fn each_side_ends_on_its_own(host: &mut Host) {
    for pair in [Host::tcp_pair, Host::unix_pair] {
        let (client, server) = pair(host);
        host.read(client);
        host.read(server);
        host.send(client, b"question");
        host.reactor.shutdown(client).expect("shutdown");
        host.until(|host| host.seen.of(server).ended);
        assert_eq!(host.seen.of(server).bytes, b"question");

        // The other way is open still.
        host.send(server, b"answer");
        host.until(|host| host.seen.of(client).bytes == b"answer");
        assert!(!host.seen.of(client).ended);
        host.reactor.shutdown(server).expect("shutdown");
        host.until(|host| host.seen.of(client).ended);

        let late = host.reactor.write(client, &[IoSlice::new(b"late")]);
        assert_eq!(errno::code(&late.expect_err("ended")), errno::EPIPE);
    }
}

fn the_end_comes_behind_a_large_write(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    let sent = Random::new(5).bytes(4 << 20);
    host.send(client, &sent);
    host.reactor.shutdown(client).expect("shutdown");
    host.until(|host| host.seen.of(server).ended);
    assert!(host.seen.of(server).bytes == sent);
}

fn a_reset_is_an_error_at_the_peer(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    host.reset(client);
    host.until(|host| host.seen.of(server).error.is_some());
    assert_eq!(host.seen.of(server).error, Some(errno::ECONNRESET));
    assert!(!host.seen.of(server).ended);
}

fn a_reset_releases_a_blocked_writer(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    let bytes = vec![0; 8 << 20];
    assert!(host.write(client, &bytes) < bytes.len());
    host.reset(server);
    host.until(|host| host.seen.of(client).writable > 0);
    let error = host.reactor.write(client, &[IoSlice::new(&bytes)]);
    let code = errno::code(&error.expect_err("the peer is gone"));
    assert!(
        [errno::ECONNRESET, errno::EPIPE].contains(&code),
        "{}",
        errno::name(code)
    );
}

fn closing_twice_closes_once(host: &mut Host) {
    let (client, _server) = host.tcp_pair();
    let open = host.reactor.len();
    host.close(client);
    assert_eq!(host.reactor.len(), open - 1);
    assert!(!host.reactor.close(client, false));
    assert_eq!(host.reactor.len(), open - 1);
}

fn a_number_is_not_given_out_again_before_the_next_pump(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    let first = host.start_connect(address);
    assert_eq!(host.connected(first), 0);
    host.close(first);
    let second = host.start_connect(address);
    assert_ne!(second, first);
    host.accepted(listener);
    host.accepted(listener);
    host.pump();
    let third = host.start_connect(address);
    assert_eq!(host.connected(third), 0);
}

// Each connection says only its own number, over and over, both ways. `Host::pump` complains about any event for a
// socket that is closed; the bytes tell whether one went to the wrong socket.
/// A client that says nothing but its name.
struct Named {
    slot: u32,
    name: u32,
    /// Bytes whose echo has not come.
    awaited: usize,
}

fn an_event_never_goes_to_the_next_owner_of_a_number(host: &mut Host) {
    const ROUNDS: usize = 3000;
    let mut random = Random::new(0x5eed);
    let (listener, address) = host.listen_tcp();
    let mut clients: Vec<Named> = Vec::new();
    let mut servers: Vec<u32> = Vec::new();
    let mut highest = 0;
    for round in 0..ROUNDS {
        if clients.len() < 24 {
            let client = host.start_connect(address);
            highest = highest.max(client);
            clients.push(Named {
                slot: client,
                name: round as u32,
                awaited: 0,
            });
        }
        while let Some(server) = host.seen.of(listener).accepted.pop_front() {
            host.read(server);
            servers.push(server);
        }
        // Writes to a peer that is gone may fail: that is no concern of this test.
        for _ in 0..4 {
            let at = random.below(clients.len());
            let Named {
                slot,
                name,
                awaited,
            } = &mut clients[at];
            if host.seen.of(*slot).connected != Some(0) {
                continue;
            }
            // The rounds do not wait for a helper thread that the system lets wait.
            if *awaited < 16 << 10 {
                let said = name.to_le_bytes().repeat(1 + random.below(2000));
                if let Ok(sent) = host.reactor.write(*slot, &[IoSlice::new(&said)]) {
                    assert_eq!(sent.bytes, said.len(), "little enough for any buffer");
                }
                *awaited += said.len();
            }
            if random.below(2) == 0 {
                host.read(*slot);
            }
        }
        for server in &servers {
            let told = host.seen.of(*server);
            let heard = std::mem::take(&mut told.bytes);
            // Half a number stays for the next time.
            let (whole, rest) = heard.split_at(heard.len() & !3);
            told.bytes = rest.to_vec();
            let mut names = whole.chunks_exact(4);
            if let Some(first) = names.next() {
                assert!(names.all(|name| name == first), "two names on one socket");
                let _ = host.reactor.write(*server, &[IoSlice::new(whole)]);
            }
        }
        for Named {
            slot,
            name,
            awaited,
        } in &mut clients
        {
            let told = host.seen.of(*slot);
            let heard = std::mem::take(&mut told.bytes);
            let (whole, rest) = heard.split_at(heard.len() & !3);
            told.bytes = rest.to_vec();
            *awaited -= whole.len();
            let same = whole.chunks_exact(4).all(|said| said == name.to_le_bytes());
            assert!(same, "somebody else's echo");
        }
        // Close with data in flight on either side.
        let reset = random.below(3) == 0;
        let victim = match random.below(3) {
            0 => Some(clients.swap_remove(random.below(clients.len())).slot),
            1 if !servers.is_empty() => Some(servers.swap_remove(random.below(servers.len()))),
            _ => None,
        };
        match victim {
            Some(victim) if reset => host.reset(victim),
            Some(victim) => drop(host.close(victim)),
            None => {}
        }
        // Sockets whose peer has closed make room.
        clients.retain(|Named { slot, .. }| {
            let told = host.seen.of(*slot);
            let over = told.ended || told.error.is_some() || told.connected.is_some_and(|s| s != 0);
            if over {
                host.close(*slot);
            }
            !over
        });
        servers.retain(|server| {
            let told = host.seen.of(*server);
            let over = told.ended || told.error.is_some();
            if over {
                host.close(*server);
            }
            !over
        });
        host.step_if_due();
    }
    assert!(highest < 200, "numbers are reused: {highest}");
}

under_both_drivers! {
    each_side_ends_on_its_own,
    the_end_comes_behind_a_large_write,
    a_reset_is_an_error_at_the_peer,
    a_reset_releases_a_blocked_writer,
    closing_twice_closes_once,
    a_number_is_not_given_out_again_before_the_next_pump,
    an_event_never_goes_to_the_next_owner_of_a_number,
}
