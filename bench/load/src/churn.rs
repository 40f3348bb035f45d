//! Short connections: connects, sends a request, reads the answer, closes, and starts again.
//!
//! The client ends first, as clients do, so its ports stay in TIME_WAIT. Resetting the connection
//! instead would save the port but show the server an ECONNRESET, which is another code path. So the
//! connections come from 127.0.0.2 … 127.0.0.65: with 64 source addresses there are 64 times as many
//! ports, more than one core can use up within TIME_WAIT's minute.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::FRAME;
use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{self, Epoll, Event, Interest};

const SOURCES: usize = 64;

/// The state of one connection.
enum State {
    Connecting,
    /// Holds the bytes of the answer so far.
    Answer(usize),
    /// We have ended our side and wait for the server's end.
    Ending,
}

struct Connection {
    stream: TcpStream,
    state: State,
    started: Instant,
}

pub fn run(concurrent: usize, endpoint: &Endpoint, schedule: Schedule) -> io::Result<Window> {
    let mut epoll = Epoll::new()?;
    let mut opened = 0;
    let mut open = |epoll: &Epoll, key: usize| -> io::Result<Option<Connection>> {
        let source = 2 + (opened % SOURCES) as u8;
        opened += 1;
        let started = Instant::now();
        match sys::connect(endpoint, Some(source)) {
            Ok(stream) => {
                let mut connection = Connection {
                    stream,
                    state: State::Connecting,
                    started,
                };
                // On loopback the handshake is done by the time connect() reports that it is in progress.
                connection.ask()?;
                epoll.add(&connection.stream, key, Interest::EDGE)?;
                Ok(Some(connection))
            }
            // A Unix server's backlog is full: connect() fails at once, so we have to try again.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    };

    let mut window = Window::open(schedule)?;
    let mut connections = (0..concurrent)
        .map(|key| open(&epoll, key))
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
            if connection.turn(event, &mut window)? {
                window.answered(connection.started.elapsed());
                connections[event.key] = open(&epoll, event.key)?;
                refused += usize::from(connections[event.key].is_none());
            }
        }
        if refused > 0 {
            for (key, slot) in connections
                .iter_mut()
                .enumerate()
                .filter(|(_, slot)| slot.is_none())
            {
                *slot = open(&epoll, key)?;
                refused -= usize::from(slot.is_some());
            }
        }
    }
    Ok(window)
}

impl Connection {
    /// Sends the request, unless the connection is not established yet.
    fn ask(&mut self) -> io::Result<()> {
        match self.stream.write(&[b'?'; FRAME]) {
            Ok(_) => self.state = State::Answer(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// `true` when this connection is done.
    fn turn(&mut self, event: Event, window: &mut Window) -> io::Result<bool> {
        match self.state {
            State::Connecting => {
                self.ask()?;
                return Ok(false);
            }
            State::Ending if event.hung_up() => return Ok(true),
            _ => {}
        }
        let mut answer = [0; 2 * FRAME];
        let count = match self.stream.read(&mut answer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        window.moved(count);
        match &mut self.state {
            State::Connecting => Ok(false),
            State::Answer(_) if count == 0 => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed before its answer",
            )),
            State::Answer(received) => {
                *received += count;
                if *received >= FRAME {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.state = State::Ending;
                }
                Ok(false)
            }
            State::Ending => Ok(count == 0),
        }
    }
}
