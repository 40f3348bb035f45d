//! Requests and answers on long-lived connections: ping-pong, pipelined, small writes, bulk echo.
//! They only differ in three numbers. Each connection keeps `outstanding` requests in flight.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Instant;

use crate::ANSWER_BYTE;
use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{Epoll, Event, Interest};
use crate::tls::Client;
use crate::wire::{ClientWire, Inbox, Left, Outbox};

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
    wire: ClientWire,
    /// Bytes of requests that the kernel has not taken yet.
    unsent: usize,
    /// Where in a request the next byte to send is.
    sending: usize,
    /// Where in an answer the next byte to receive is.
    receiving: usize,
    /// When each request in flight was started, oldest first.
    started: VecDeque<Instant>,
}

/// The bytes that all connections send and expect, and the buffers that they share.
pub(crate) struct Buffers {
    requests: Vec<u8>,
    answers: Vec<u8>,
    inbox: Inbox,
    outbox: Outbox,
}

const RECEIVE: usize = 256 * 1024;

pub fn run(
    exchange: &Exchange,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    schedule: Schedule,
) -> io::Result<Window> {
    let mut epoll = Epoll::new()?;
    let mut buffers = Buffers::of(exchange);
    let mut connections = exchange.open(endpoint, tls, &epoll, &mut buffers)?;
    let mut window = Window::open(schedule)?;
    for connection in &mut connections {
        connection.start(exchange, &mut buffers)?;
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
    pub(crate) fn open(
        &self,
        endpoint: &Endpoint,
        tls: Option<&Client>,
        epoll: &Epoll,
        buffers: &mut Buffers,
    ) -> io::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.connections);
        for key in 0..self.connections {
            let wire = ClientWire::open(endpoint, tls, &mut buffers.inbox)?;
            epoll.add(wire.stream(), key, Interest::EDGE)?;
            connections.push(Connection {
                wire,
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
            inbox: Inbox::new(RECEIVE),
            outbox: Outbox::new(),
        }
    }
}

impl Connection {
    pub(crate) fn start(&mut self, exchange: &Exchange, buffers: &mut Buffers) -> io::Result<()> {
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
                let received = self.wire.receive(&mut buffers.inbox)?;
                if received.left == Left::End {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server ended a connection",
                    ));
                }
                let left = received.left;
                let count = received.bytes.len();
                let expected = &buffers.answers[self.receiving..self.receiving + count];
                if window.verifies() && received.bytes != expected {
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
                if left != Left::More {
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
        buffers: &mut Buffers,
    ) -> io::Result<()> {
        self.unsent += count * exchange.request;
        self.started.extend(std::iter::repeat_n(now, count));
        self.flush(exchange, buffers)
    }

    fn flush(&mut self, exchange: &Exchange, buffers: &mut Buffers) -> io::Result<()> {
        if !self.wire.flush()? {
            return Ok(());
        }
        while self.unsent > 0 {
            let requests = &buffers.requests[self.sending..self.sending + self.unsent];
            match self.wire.send(requests, &mut buffers.outbox) {
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
