//! A peer that has us answer and reads no answer. It is a client of OpenSSL's own, because none of ours would do that.

use std::ffi::{c_int, c_void};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;

use crate::common::tls::{Library, library, server, symbol};
use crate::common::{Directory, Host, tls};

const SSL_KEY_UPDATE_REQUESTED: c_int = 1;
/// More than we keep for a peer, and less than it would make us keep.
const BOUND: usize = 512 * 1024;

/// An SSL over a socket that does not block.
struct Client {
    ssl: *mut c_void,
    context: *mut c_void,
    library: &'static Library,
    stream: UnixStream,
}

impl Client {
    fn connect(stream: UnixStream) -> Self {
        let library = library();
        stream.set_nonblocking(true).expect("a socket");
        // SAFETY: OpenSSL's table for any version.
        let method = unsafe { (library.method)() };
        // SAFETY: as OpenSSL gave it.
        let context = unsafe { (library.new)(method) };
        let new: unsafe extern "C" fn(*mut c_void) -> *mut c_void = symbol(c"SSL_new");
        // SAFETY: the context is new, and OpenSSL looks whether it is there.
        let ssl = unsafe { new(context) };
        assert!(!ssl.is_null());
        let set_fd: unsafe extern "C" fn(*mut c_void, c_int) -> c_int = symbol(c"SSL_set_fd");
        // SAFETY: the descriptor is open for as long as the client.
        assert_eq!(unsafe { set_fd(ssl, stream.as_raw_fd()) }, 1);
        let connects: unsafe extern "C" fn(*mut c_void) = symbol(c"SSL_set_connect_state");
        // SAFETY: a new SSL.
        unsafe { connects(ssl) };
        Self {
            ssl,
            context,
            library,
            stream,
        }
    }

    fn call(&self, function: unsafe extern "C" fn(*mut c_void) -> c_int) -> bool {
        // SAFETY: the SSL is alive, and the functions take nothing else.
        unsafe { function(self.ssl) == 1 }
    }

    fn shakes_hands(&self) -> bool {
        self.call(symbol(c"SSL_do_handshake"))
    }

    /// Changes its key and asks for the same. False when there is no room for that.
    fn asks_for_a_key(&self) -> bool {
        let update: unsafe extern "C" fn(*mut c_void, c_int) -> c_int = symbol(c"SSL_key_update");
        // SAFETY: the SSL is alive. While an earlier one is under way it refuses, which is as good.
        unsafe { update(self.ssl, SSL_KEY_UPDATE_REQUESTED) };
        self.shakes_hands()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let free: unsafe extern "C" fn(*mut c_void) = symbol(c"SSL_free");
        // SAFETY: ours, once.
        unsafe { free(self.ssl) };
        // SAFETY: as above; the SSL had a reference of its own.
        unsafe { (self.library.free)(self.context) };
    }
}

/// A server that is open and reads, and its client.
fn open(host: &mut Host) -> (u32, Client) {
    // Over TCP the kernel may stop for a while when a buffer is full.
    let directory = Directory::new();
    let path = directory.path("listener");
    let listener = host.listen_path(&path);
    let stream = UnixStream::connect(&path).expect("connect");
    host.until(|host| !host.seen.of(listener).accepted.is_empty());
    let far = host.seen.of(listener).accepted.pop_front().expect("one");
    host.reactor
        .tls_start(far, &tls::context(false), &server())
        .expect("start");
    let client = Client::connect(stream);
    while !client.shakes_hands() {
        host.step_if_due();
    }
    host.until(|host| tls::is_secure(host, far));
    host.reactor.tls_open(far).expect("open");
    host.read(far);
    assert!(host.reactor.tls_unsent(listener).is_err());
    (far, client)
}

/// Asks for keys until neither side has anything to do.
fn flood(host: &mut Host, far: u32, client: &Client) {
    let mut refused = 0;
    while host.in_time() {
        if client.asks_for_a_key() {
            refused = 0;
        } else {
            refused += 1;
        }
        // Neither side has anything to do, and this one does not change its mind. (A helper thread needs its turn.)
        if !host.step_if_due() && refused > 0 {
            if refused > 1000 {
                break;
            }
            thread::yield_now();
        }
        assert!(host.reactor.tls_unsent(far).expect("open") < BOUND);
    }
}

fn answers_that_nobody_reads_do_not_pile_up(host: &mut Host) {
    let (far, mut client) = open(host);
    flood(host, far, &client);

    // It takes what it has been sent, and is heard again. (OpenSSL itself would first write what it has to write.)
    let mut bytes = [0; 64 * 1024];
    let mut heard = 0;
    while heard < 100 && host.in_time() {
        while client.stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
        host.step_if_due();
        heard += usize::from(client.asks_for_a_key());
        thread::yield_now();
    }
}

fn a_peer_that_goes_with_answers_unread_is_told_of(host: &mut Host) {
    let (far, client) = open(host);
    flood(host, far, &client);
    drop(client);
    host.until(|host| {
        let told = host.seen.of(far);
        told.ended || told.error.is_some()
    });
    while host.step_if_due() {
        host.in_time();
    }
}

under_both_drivers! {
    answers_that_nobody_reads_do_not_pile_up,
    a_peer_that_goes_with_answers_unread_is_told_of,
}
