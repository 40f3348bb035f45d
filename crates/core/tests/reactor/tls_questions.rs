//! What a TLS session asks in the middle of its handshake, and what comes of the answers.

use std::collections::HashSet;
use std::io::IoSlice;

use ferronet_core::tls::{Answer, Asks, Fact, News, Question, Start};
use ferronet_core::{DriverKind, TlsEvent, errno};

use crate::common::Host;
use crate::common::tls::{
    CLIENT, Kind, NOTHING, borrowed_context, context, context_of, is_secure, open, secure_pair,
    server,
};

const OLD: Kind = Kind {
    trusts: true,
    elsewhere: false,
    old: true,
};

fn asking(asks: Asks) -> Start<'static> {
    Start { asks, ..server() }
}

/// Two ends that begin a handshake.
fn begin(host: &mut Host, kind: Kind, near: &Start<'_>, far: &Start<'_>) -> (u32, u32) {
    let pair = host.tcp_pair();
    host.reactor
        .tls_start(pair.0, &context_of(kind), near)
        .expect("start");
    host.reactor
        .tls_start(pair.1, &context_of(kind), far)
        .expect("start");
    pair
}

fn is_asked(host: &mut Host, slot: u32, question: Question) -> bool {
    let events = &host.seen.of(slot).tls;
    events.contains(&TlsEvent::Asks(question))
}

/// Waits for a question, and until everything else has come to rest. Its particulars.
fn asked(host: &mut Host, slot: u32, question: Question) -> Vec<Vec<u8>> {
    host.until(|host| is_asked(host, slot, question));
    while host.step_if_due() {}
    let told = host.reactor.tls_fact(slot, Fact::Question);
    let told = told.expect("a session");
    let mut rest = told.as_slice();
    let mut parts = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (part, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
        parts.push(part.to_vec());
        rest = behind;
    }
    parts
}

fn answer(host: &mut Host, slot: u32, answer: &Answer<'_>) -> Result<(), i32> {
    let answered = host.reactor.tls_answer(slot, answer);
    answered.map_err(|error| errno::code(&error))
}

fn fact(host: &mut Host, slot: u32, fact: Fact) -> Vec<u8> {
    host.reactor.tls_fact(slot, fact).expect("a session")
}

fn news(host: &mut Host, slot: u32) -> Vec<News> {
    let mut all = Vec::new();
    while let Some(news) = host.reactor.tls_news(slot).expect("a session") {
        all.push(news);
    }
    all
}

const NO_PROTOCOL: Answer<'_> = Answer::Hello {
    session: &[],
    protocol: &[],
};

fn a_server_chooses_the_protocol_in_its_own_time(host: &mut Host) {
    let asks = Asks {
        protocol: true,
        ..NOTHING
    };
    let pair = begin(host, OLD, &CLIENT, &asking(asks));
    let told = asked(host, pair.1, Question::Hello);
    assert_eq!(told, [&b""[..], b"localhost", b"\x01b\x01a"]);
    assert_eq!(host.seen.of(pair.0).tls, []);
    let choice = Answer::Hello {
        session: &[],
        protocol: b"b",
    };
    assert_eq!(answer(host, pair.1, &choice), Ok(()));
    assert_eq!(answer(host, pair.1, &choice), Err(errno::EINVAL));
    open(host, pair);
    assert_eq!(fact(host, pair.0, Fact::Alpn), b"b");
    assert_eq!(fact(host, pair.1, Fact::Question), b"");
}

fn a_protocol_that_is_none_refuses_the_client(host: &mut Host) {
    let asks = Asks {
        protocol: true,
        ..NOTHING
    };
    let (near, far) = begin(host, Kind::default(), &CLIENT, &asking(asks));
    asked(host, far, Question::Hello);
    assert_eq!(answer(host, far, &NO_PROTOCOL), Ok(()));
    let failed = |host: &mut Host, slot| host.seen.of(slot).tls.contains(&TlsEvent::Failed);
    host.until(|host| failed(host, near) && failed(host, far));
    for (slot, reason) in [
        (far, "no application protocol"),
        (near, "tlsv1 alert no application protocol"),
    ] {
        let failure = fact(host, slot, Fact::Failure);
        let parts: Vec<&[u8]> = failure.split(|byte| *byte == 0).collect();
        assert_eq!(parts[1], reason.as_bytes());
    }
}

fn a_name_decides_about_the_certificate_and_nothing_else(host: &mut Host) {
    for old in [false, true] {
        let asks = Asks {
            context: true,
            ..NOTHING
        };
        let own = Kind {
            old,
            ..Kind::default()
        };
        let other = Kind {
            elsewhere: true,
            ..Kind::default()
        };
        let pair = begin(host, own, &CLIENT, &asking(asks));
        let told = asked(host, pair.1, Question::Certificate);
        assert_eq!(told, [&b"localhost"[..], b""]);
        assert_eq!(
            answer(host, pair.1, &NO_PROTOCOL),
            Err(errno::EINVAL),
            "an answer to something else"
        );
        let with = Answer::Certificate {
            context: Some(&borrowed_context(other)),
            response: &[],
        };
        assert_eq!(answer(host, pair.1, &with), Ok(()));
        open(host, pair);
        let shown = fact(host, pair.1, Fact::Certificate);
        let name = b"elsewhere";
        assert!(shown.windows(name.len()).any(|part| part == name));
        let peers = fact(host, pair.0, Fact::PeerCertificates);
        assert!(peers.windows(shown.len()).any(|part| part == shown));
        assert_eq!(fact(host, pair.0, Fact::Alpn), b"a");
        host.send(pair.1, b"hello");
        host.until(|host| host.seen.of(pair.0).bytes == b"hello");
    }
}

fn a_context_of_others_begins_no_session(host: &mut Host) {
    let (near, _) = host.tcp_pair();
    let begun = host
        .reactor
        .tls_start(near, &borrowed_context(Kind::default()), &CLIENT);
    assert!(begun.is_err());
}

fn a_session_is_kept_before_the_client_knows_of_it_and_gone_on_with(host: &mut Host) {
    let asks = Asks {
        store: true,
        resume: true,
        ..NOTHING
    };
    let context = context_of(OLD);
    let begin = |host: &mut Host, session: &[u8]| {
        let (near, far) = host.tcp_pair();
        let client = Start { session, ..CLIENT };
        host.reactor
            .tls_start(near, &context, &client)
            .expect("start");
        host.reactor
            .tls_start(far, &context, &asking(asks))
            .expect("start");
        (near, far)
    };
    let first = begin(host, &[]);
    let kept = asked(host, first.1, Question::Store);
    assert_eq!(kept.len(), 2);
    assert_eq!(host.seen.of(first.0).tls, []);
    assert_eq!(answer(host, first.1, &Answer::Stored), Ok(()));
    open(host, first);
    let Some(News::Session(session)) = news(host, first.0).pop() else {
        panic!("no session");
    };

    let second = begin(host, &session);
    let told = asked(host, second.1, Question::Hello);
    assert_eq!(told[0], kept[0]);
    let found = Answer::Hello {
        session: &kept[1],
        protocol: &[],
    };
    assert_eq!(answer(host, second.1, &found), Ok(()));
    open(host, second);
    for slot in [second.0, second.1] {
        assert_eq!(fact(host, slot, Fact::Reused), b"1");
    }

    let third = begin(host, &session);
    asked(host, third.1, Question::Hello);
    let nonsense = Answer::Hello {
        session: b"nonsense",
        protocol: &[],
    };
    assert_eq!(answer(host, third.1, &nonsense), Ok(()));
    asked(host, third.1, Question::Store);
    assert_eq!(answer(host, third.1, &Answer::Stored), Ok(()));
    open(host, third);
    assert_eq!(fact(host, third.0, Fact::Reused), b"");
}

fn what_follows_a_session_that_is_to_be_kept_waits_behind_it(host: &mut Host) {
    let asks = Asks {
        store: true,
        ..NOTHING
    };
    let pair = begin(host, Kind::default(), &CLIENT, &asking(asks));
    host.until(|host| is_secure(host, pair.0));
    host.reactor.tls_open(pair.0).expect("open");
    host.read(pair.0);
    let kept = asked(host, pair.1, Question::Store);
    assert_eq!(kept.len(), 4, "two tickets");
    assert!(is_secure(host, pair.1));
    host.reactor.tls_open(pair.1).expect("open");
    host.read(pair.1);
    let sent = host.reactor.write(pair.1, &[IoSlice::new(b"behind")]);
    let sent = sent.expect("open");
    assert_eq!((sent.bytes, sent.all), (0, false));
    // The other way is open.
    host.send(pair.0, b"question");
    host.until(|host| host.seen.of(pair.1).bytes == b"question");
    let before = host.seen.of(pair.1).writable;
    assert_eq!(news(host, pair.0), []);
    assert_eq!(answer(host, pair.1, &Answer::Stored), Ok(()));
    host.until(|host| host.seen.of(pair.1).writable > before);
    host.send(pair.1, b"behind");
    host.until(|host| host.seen.of(pair.0).bytes == b"behind");
    let told = news(host, pair.0);
    assert_eq!(told.len(), 2);
    assert!(matches!(told[0], News::Session(_)));
}

fn a_servers_status_comes_before_the_end_of_the_handshake(host: &mut Host) {
    for (old, response) in [
        (false, &b"all right"[..]),
        (true, b"all right"),
        (false, b""),
    ] {
        let client = Start {
            asks: Asks {
                response: true,
                ..NOTHING
            },
            ..CLIENT
        };
        let asks = Asks {
            status: true,
            ..NOTHING
        };
        let kind = Kind { old, ..OLD };
        let pair = begin(host, kind, &client, &asking(asks));
        let told = asked(host, pair.1, Question::Certificate);
        assert_eq!(told, [&b""[..], b"1"]);
        let with = Answer::Certificate {
            context: None,
            response,
        };
        assert_eq!(answer(host, pair.1, &with), Ok(()));
        open(host, pair);
        assert_eq!(host.seen.of(pair.0).tls[0], TlsEvent::News);
        assert_eq!(news(host, pair.0)[0], News::Status(response.to_vec()));
    }
}

fn clients_that_wish_for_nothing_are_not_asked_about(host: &mut Host) {
    let asks = Asks {
        resume: true,
        protocol: true,
        context: true,
        store: false,
        status: true,
        response: false,
    };
    let client = Start {
        servername: None,
        protocols: &[],
        ..CLIENT
    };
    let pair = begin(host, OLD, &client, &asking(asks));
    open(host, pair);
    assert_eq!(host.seen.of(pair.1).tls.len(), 1);
}

fn the_end_comes_in_the_middle_of_a_question(host: &mut Host) {
    for reset in [false, true] {
        let asks = Asks {
            context: true,
            ..NOTHING
        };
        let (near, far) = begin(host, Kind::default(), &CLIENT, &asking(asks));
        asked(host, far, Question::Certificate);
        if reset {
            host.reset(near);
            host.until(|host| host.seen.of(far).error.is_some());
        } else {
            host.close(near);
            host.until(|host| host.seen.of(far).ended);
        }
        let late = Answer::Certificate {
            context: None,
            response: &[],
        };
        assert_eq!(answer(host, far, &late), Ok(()));
        while host.step_if_due() {}
        assert_eq!(
            host.seen.of(far).tls,
            [TlsEvent::Asks(Question::Certificate)]
        );
    }
}

fn a_socket_is_closed_in_the_middle_of_a_question(host: &mut Host) {
    let asks = Asks {
        protocol: true,
        store: true,
        ..NOTHING
    };
    let (near, far) = begin(host, Kind::default(), &CLIENT, &asking(asks));
    asked(host, far, Question::Hello);
    host.close(far);
    host.until(|host| host.seen.of(near).ended || host.seen.of(near).error.is_some());
    assert_eq!(answer(host, far, &NO_PROTOCOL), Err(errno::EBADF));
}

fn lines_for_a_keylog_may_be_wanted_late(host: &mut Host) {
    let asks = Asks {
        protocol: true,
        ..NOTHING
    };
    let pair = begin(host, Kind::default(), &CLIENT, &asking(asks));
    asked(host, pair.1, Question::Hello);
    host.reactor.tls_keylog(pair.0).expect("a session");
    let choice = Answer::Hello {
        session: &[],
        protocol: b"a",
    };
    assert_eq!(answer(host, pair.1, &choice), Ok(()));
    open(host, pair);
    let lines = news(host, pair.0);
    assert!(
        lines
            .iter()
            .any(|line| matches!(line, News::Keylog(line) if line.starts_with(b"CLIENT_")))
    );
    assert_eq!(news(host, pair.1), []);
}

fn another_handshake_follows_on_an_open_connection(host: &mut Host) {
    let pair = begin(host, OLD, &CLIENT, &server());
    open(host, pair);
    news(host, pair.0);
    for (begins, other) in [(pair.0, pair.1), (pair.1, pair.0)] {
        let begun = host.reactor.tls_renegotiate(begins, None);
        assert_eq!(begun.expect("an open session"), Ok(()));
        let mut told = HashSet::new();
        host.until(|host| {
            for slot in [begins, other] {
                if news(host, slot).contains(&News::Renegotiated) {
                    told.insert(slot);
                }
            }
            told.len() == 2
        });
        host.seen.of(other).bytes.clear();
        host.send(begins, b"goes on");
        host.until(|host| host.seen.of(other).bytes == b"goes on");
    }
}

fn another_handshake_is_refused_where_there_is_none(host: &mut Host) {
    let (near, far) = secure_pair(host);
    let refused = host.reactor.tls_renegotiate(near, None);
    let failure = refused.expect("an open session").expect_err("TLS 1.3");
    let parts: Vec<&[u8]> = failure.split(|byte| *byte == 0).collect();
    assert_eq!(parts[1], b"wrong ssl version");
    host.send(near, b"unharmed");
    host.until(|host| host.seen.of(far).bytes == b"unharmed");
}

fn a_flood_of_handshakes_leaves_time_for_open_sockets(host: &mut Host) {
    const CLIENTS: usize = 200;
    let (near, far) = host.tcp_pair();
    host.read(far);
    let [clients, servers] = [true, false].map(context);
    // Asked for its protocol a server tells that its first step is done.
    let asks = Asks {
        protocol: true,
        ..NOTHING
    };
    let mut waiting = Vec::new();
    for _ in 0..CLIENTS {
        let pair = host.tcp_pair();
        host.reactor
            .tls_start(pair.0, &clients, &CLIENT)
            .expect("start");
        waiting.push(pair);
    }
    while host.step_if_due() {}
    for (_, server) in &waiting {
        host.reactor
            .tls_start(*server, &servers, &asking(asks))
            .expect("start");
    }
    let choice = Answer::Hello {
        session: &[],
        protocol: b"a",
    };
    let mut answered = 0;
    let mut rounds = 0;
    let mut shaking: Vec<u32> = waiting
        .iter()
        .flat_map(|(near, far)| [*near, *far])
        .collect();
    while !shaking.is_empty() {
        // A message of the open sockets arrives in one of the next two iterations, whatever else is due. (On a fast machine
        // there may be nothing else after the first.) The helper thread may take its time to notice it.
        host.send(near, b"x");
        rounds += 1;
        host.iteration();
        if host.seen.of(far).bytes.len() < rounds {
            host.iteration();
        }
        if host.reactor.driver() == DriverKind::HelperThread {
            host.until(|host| host.seen.of(far).bytes.len() == rounds);
        }
        assert_eq!(host.seen.of(far).bytes.len(), rounds);
        // In the order in which they came.
        let begun = waiting
            .iter()
            .map(|(_, server)| is_asked(host, *server, Question::Hello));
        let begun: Vec<bool> = begun.collect();
        let first = begun.iter().take_while(|begun| **begun).count();
        assert!(!begun[first..].contains(&true));
        for (_, server) in &waiting[answered..first] {
            assert_eq!(answer(host, *server, &choice), Ok(()));
        }
        answered = first;
        shaking.retain(|slot| {
            let secure = is_secure(host, *slot);
            if secure {
                host.reactor.tls_open(*slot).expect("open");
            }
            !secure
        });
    }
    assert!(rounds > 3, "all of them at once");
}

fn a_writer_with_much_has_its_turn_and_then_waits_for_the_next(host: &mut Host) {
    const MOST: usize = 1024 * 1024 + 64 * 1024;
    let (near, far) = secure_pair(host);
    let all: Vec<u8> = (0..6_000_000_u32)
        .map(|at| (at ^ (at >> 8)) as u8)
        .collect();
    let mut sent = 0;
    let mut seen = 0;
    while sent < all.len() {
        seen = host.seen.of(near).writable;
        let outcome = host.reactor.write(near, &[IoSlice::new(&all[sent..])]);
        let outcome = outcome.expect("open");
        assert!(outcome.bytes <= MOST);
        sent += outcome.bytes;
        if !outcome.all {
            host.until(|host| host.seen.of(near).writable > seen);
        }
    }
    host.until(|host| host.seen.of(far).bytes.len() == all.len());
    assert!(seen > 3);
    assert!(host.seen.of(far).bytes == all, "other bytes than were sent");
}

under_both_drivers! {
    a_server_chooses_the_protocol_in_its_own_time,
    a_protocol_that_is_none_refuses_the_client,
    a_name_decides_about_the_certificate_and_nothing_else,
    a_context_of_others_begins_no_session,
    a_session_is_kept_before_the_client_knows_of_it_and_gone_on_with,
    what_follows_a_session_that_is_to_be_kept_waits_behind_it,
    a_servers_status_comes_before_the_end_of_the_handshake,
    clients_that_wish_for_nothing_are_not_asked_about,
    the_end_comes_in_the_middle_of_a_question,
    a_socket_is_closed_in_the_middle_of_a_question,
    lines_for_a_keylog_may_be_wanted_late,
    another_handshake_follows_on_an_open_connection,
    another_handshake_is_refused_where_there_is_none,
    a_flood_of_handshakes_leaves_time_for_open_sockets,
    a_writer_with_much_has_its_turn_and_then_waits_for_the_next,
}
