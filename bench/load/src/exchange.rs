//! Requests and answers on long-lived connections: ping-pong, pipelined, small writes, bulk echo.
//! They only differ in three numbers. Each connection keeps `outstanding` requests in flight.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::ANSWER_BYTE;
use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{self, Epoll, Event, Interest};

/// The sizes of requests and answers.
pub struct Exchange {
    pub connections: usize,
    /// Bytes of one request.
    pub request: usize,
    /// Bytes of its whole answer.
    pub answer: usize,
    /// Requests in flight per connection.
    pub outstanding: usize,
    /// The answer is the request's bytes again; otherwise it is made of `ANSWER_BYTE`.
    pub echo: bool,
}

pub(crate) struct Connection {
    stream: TcpStream,
    /// Bytes of requests that the kernel has not taken yet.
    unsent: usize,
    /// Where in a request the next byte to send is.
    sending: usize,
    /// Where in an answer the next byte to receive is.
    receiving: usize,
    /// When each request in flight was started, oldest first.
    started: VecDeque<Instant>,
}

/// The bytes that all connections send and expect, and the buffer they all receive into.
pub(crate) struct Buffers {
    requests: Vec<u8>,
    answers: Vec<u8>,
    received: Vec<u8>,
}

const RECEIVE: usize = 256 * 1024;

pub fn run(exchange: &Exchange, endpoint: &Endpoint, schedule: Schedule) -> io::Result<Window> {
    let mut epoll = Epoll::new()?;
    let mut connections = exchange.open(endpoint, &epoll)?;
    let mut buffers = Buffers::of(exchange);
    let mut window = Window::open(schedule)?;
    for connection in &mut connections {
        connection.start(exchange, &buffers)?;
    }
    while let Some(left) = window.left()? {
        for index in 0..epoll.wait(Some(left))? {
            let event = epoll.event(index);
            connections[event.key].turn(event, exchange, &mut buffers, &mut window)?;
        }
    }
    Ok(window)
}

impl Exchange {
    /// All connections, under the keys from 0 on.
    pub(crate) fn open(&self, endpoint: &Endpoint, epoll: &Epoll) -> io::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.connections);
        for key in 0..self.connections {
            let stream = sys::connect_blocking(endpoint)?;
            epoll.add(&stream, key, Interest::EDGE)?;
            connections.push(Connection {
                stream,
                unsent: 0,
                sending: 0,
                receiving: 0,
                started: VecDeque::with_capacity(self.outstanding),
            });
        }
        Ok(connections)
    }
}

impl Buffers {
    pub(crate) fn of(exchange: &Exchange) -> Self {
        // Bytes that vary, with a period that does not divide a power of two, so that a shifted echo is noticed.
        let pattern = |length: usize| {
            (0..length)
                .map(|at| (at % exchange.request % 251) as u8)
                .collect::<Vec<_>>()
        };
        Self {
            requests: pattern(exchange.request * (exchange.outstanding + 1)),
            answers: match exchange.echo {
                true => pattern(RECEIVE + exchange.answer),
                false => vec![ANSWER_BYTE; RECEIVE + exchange.answer],
            },
            received: vec![0; RECEIVE],
        }
    }
}

impl Connection {
    pub(crate) fn start(&mut self, exchange: &Exchange, buffers: &Buffers) -> io::Result<()> {
        self.ask(exchange.outstanding, Instant::now(), exchange, buffers)
    }

    pub(crate) fn turn(
        &mut self,
        event: Event,
        exchange: &Exchange,
        buffers: &mut Buffers,
        window: &mut Window,
    ) -> io::Result<()> {
        if event.hung_up() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server ended a connection",
            ));
        }
        if event.readable() {
            loop {
                let count = match self.stream.read(&mut buffers.received) {
                    Ok(0) => {
                        return Err(io::Error::new(
                            ErrorKind::UnexpectedEof,
                            "the server ended a connection",
                        ));
                    }
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                let expected = &buffers.answers[self.receiving..self.receiving + count];
                if window.verifies() && buffers.received[..count] != *expected {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "the server sent wrong bytes",
                    ));
                }
                window.moved(count);
                let finished = (self.receiving + count) / exchange.answer;
                self.receiving = (self.receiving + count) % exchange.answer;
                if finished > 0 {
                    let now = Instant::now();
                    for _ in 0..finished {
                        let started = self.started.pop_front().ok_or_else(|| {
                            io::Error::new(
                                ErrorKind::InvalidData,
                                "the server sent an answer without a request",
                            )
                        })?;
                        window.answered(now - started);
                    }
                    self.ask(finished, now, exchange, buffers)?;
                }
                // A short read has emptied the socket; later bytes bring a new edge.
                if count < buffers.received.len() {
                    break;
                }
            }
        }
        self.flush(exchange, buffers)
    }

    /// `count` more requests, in one call to the kernel.
    fn ask(
        &mut self,
        count: usize,
        now: Instant,
        exchange: &Exchange,
        buffers: &Buffers,
    ) -> io::Result<()> {
        self.unsent += count * exchange.request;
        self.started.extend(std::iter::repeat_n(now, count));
        self.flush(exchange, buffers)
    }

    fn flush(&mut self, exchange: &Exchange, buffers: &Buffers) -> io::Result<()> {
        while self.unsent > 0 {
            match self
                .stream
                .write(&buffers.requests[self.sending..self.sending + self.unsent])
            {
                Ok(count) => {
                    self.unsent -= count;
                    self.sending = (self.sending + count) % exchange.request;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
