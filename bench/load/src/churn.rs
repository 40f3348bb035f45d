//! Short connections: connects, sends a request, reads the answer, closes, and starts again. In TLS there is a handshake
//! before the request, full or with an earlier session.
//!
//! The client ends first, as clients do, so its ports stay in TIME_WAIT. Resetting the connection
//! instead would save the port but show the server an ECONNRESET, which is another code path. So the
//! connections come from 127.0.0.2 … 127.0.0.65: with 64 source addresses there are 64 times as many
//! ports, more than one core can use up within TIME_WAIT's minute.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::FRAME;
use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{Epoll, Event, Interest};
use crate::tls::Client;
use crate::wire::{ClientWire, Inbox, Left, Outbox};

const SOURCES: usize = 64;

/// The state of one connection.
enum State {
    /// Or in the middle of the handshake.
    Connecting,
    /// Holds the bytes of the answer so far.
    Answer(usize),
    /// We have ended our side and wait for the server's end.
    Ending,
}

struct Connection {
    wire: ClientWire,
    state: State,
    started: Instant,
}

/// What all connections share: a receive takes less than a record of the largest size, and many small ones.
struct Buffers {
    inbox: Inbox,
    outbox: Outbox,
}

const RECEIVE: usize = 32 * 1024;

pub fn run(
    concurrent: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    schedule: Schedule,
) -> io::Result<Window> {
    if let Some(client) = tls.filter(|client| client.collects()) {
        // Each connection brings two of them. In twice the time that is usually enough: one with a full handshake takes about
        // twice the time of one with a resumed handshake. If the machine was busy it may not be, and the window ends early.
        let collecting = Schedule {
            warm_up: Duration::ZERO,
            measured: (schedule.warm_up + schedule.measured) * 2,
            server: None,
        };
        drive(concurrent, endpoint, tls, collecting)?;
        client.resume();
    }
    drive(concurrent, endpoint, tls, schedule)
}

fn drive(
    concurrent: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    schedule: Schedule,
) -> io::Result<Window> {
    let mut epoll = Epoll::new()?;
    let mut buffers = Buffers {
        inbox: Inbox::new(RECEIVE),
        outbox: Outbox::new(),
    };
    let mut opened = 0;
    let mut open = |epoll: &Epoll, key: usize, buffers: &mut Buffers| {
        let source = 2 + (opened % SOURCES) as u8;
        opened += 1;
        let started = Instant::now();
        match ClientWire::begin(endpoint, Some(source), tls) {
            Ok(wire) => {
                let mut connection = Connection {
                    wire,
                    state: State::Connecting,
                    started,
                };
                // On loopback TCP's handshake is done by the time connect() reports that it is in progress.
                connection.ask(buffers)?;
                epoll.add(connection.wire.stream(), key, Interest::EDGE)?;
                Ok(Some(connection))
            }
            // A Unix server's backlog is full: connect() fails at once, so we have to try again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    };

    let mut window = Window::open(schedule)?;
    let mut connections = (0..concurrent)
        .map(|key| open(&epoll, key, &mut buffers))
        .collect::<io::Result<Vec<_>>>()?;
    let mut refused = connections.iter().filter(|slot| slot.is_none()).count();
    while let Some(left) = window.left()? {
        let patience = if refused > 0 {
            left.min(Duration::from_millis(1))
        } else {
            left
        };
        for index in 0..epoll.wait(Some(patience))? {
            let event = epoll.event(index);
            let Some(connection) = &mut connections[event.key] else {
                continue;
            };
            if connection.turn(event, &mut buffers, &mut window)? {
                window.answered(connection.started.elapsed());
                window.resumed(connection.wire.resumed());
                // Closed first, so that its descriptor is the next one's.
                connections[event.key] = None;
                connections[event.key] = open(&epoll, event.key, &mut buffers)?;
                refused += usize::from(connections[event.key].is_none());
            }
        }
        if refused > 0 {
            for (key, slot) in connections
                .iter_mut()
                .enumerate()
                .filter(|(_, slot)| slot.is_none())
            {
                *slot = open(&epoll, key, &mut buffers)?;
                refused -= usize::from(slot.is_some());
            }
        }
        if tls.is_some_and(Client::has_used_up) {
            window.cut_short();
        }
    }
    Ok(window)
}

impl Connection {
    /// Sends the request, unless the connection is not established yet.
    fn ask(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        match self.wire.send(&[b'?'; FRAME], &mut buffers.outbox) {
            Ok(_) => self.state = State::Answer(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// `true` when this connection is done.
    fn turn(
        &mut self,
        event: Event,
        buffers: &mut Buffers,
        window: &mut Window,
    ) -> io::Result<bool> {
        match self.state {
            State::Ending if event.hung_up() => return Ok(true),
            // Before a request there is nothing to read but the server's part of the handshake.
            State::Connecting if !event.readable() => {
                self.ask(buffers)?;
                return Ok(false);
            }
            _ => {}
        }
        let received = self.wire.receive(&mut buffers.inbox)?;
        let count = received.bytes.len();
        let ended = received.left == Left::End;
        window.moved(count);
        match &mut self.state {
            State::Ending => Ok(ended),
            _ if ended => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed before its answer",
            )),
            State::Connecting => {
                self.ask(buffers)?;
                Ok(false)
            }
            State::Answer(received) => {
                *received += count;
                if *received >= FRAME {
                    self.wire.end()?;
                    self.state = State::Ending;
                }
                Ok(false)
            }
        }
    }
}
