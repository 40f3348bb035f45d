//! Requests and answers on long-lived connections: ping-pong, pipelined, small writes, bulk echo, HTTP.
//! They differ in three numbers, and in what is sent. Each connection keeps `outstanding` requests in flight.

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
    pub content: Content,
    /// Looks for answers without ever sleeping.
    pub spins: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Content {
    /// The answer is the request's bytes again.
    Echo,
    /// It is made of `ANSWER_BYTE`.
    Filled,
    /// A GET, and an answer of which only the length is known: it has the date in it.
    Http,
}

/// The request of `Content::Http`.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// How long a server's answer to `GET` is, head and body.
pub fn http_answer(endpoint: &Endpoint, tls: Option<&Client>) -> io::Result<usize> {
    let mut inbox = Inbox::new(RECEIVE);
    let mut wire = ClientWire::open(endpoint, tls, &mut inbox)?;
    wire.stream().set_nonblocking(false)?;
    wire.send(GET, &mut Outbox::new())?;
    let mut answer = Vec::new();
    loop {
        let received = wire.receive(&mut inbox)?;
        if received.left == Left::End {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(received.bytes);
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let body = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        return match body {
            Some(body) if head.starts_with("http/1.1 200 ") => Ok(head.len() + 4 + body),
            _ => Err(io::Error::new(
                ErrorKind::InvalidData,
                "the server does not answer 200 with a content-length",
            )),
        };
    }
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
    if exchange.spins {
        epoll.spin();
    }
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
        let pattern = |length: usize| {
            (0..length)
                .map(|at| match exchange.content {
                    Content::Http => GET[at % GET.len()],
                    // Bytes that vary, with a period that does not divide a power of two, so that a shifted echo is
                    // noticed.
                    _ => (at % exchange.request % 251) as u8,
                })
                .collect::<Vec<_>>()
        };
        Self {
            requests: pattern(exchange.request * (exchange.outstanding + 1)),
            answers: match exchange.content {
                Content::Echo => pattern(RECEIVE + exchange.answer),
                Content::Filled => vec![ANSWER_BYTE; RECEIVE + exchange.answer],
                Content::Http => Vec::new(),
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
                let wrong =
                    || received.bytes != &buffers.answers[self.receiving..self.receiving + count];
                if window.verifies() && exchange.content != Content::Http && wrong() {
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
