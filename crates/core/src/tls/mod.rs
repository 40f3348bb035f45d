//! TLS on a connection of the reactor, with the OpenSSL that the process already has (Node's). No byte goes through
//! JavaScript sealed: the connection's reads are opened and its writes sealed where they happen.
//!
//! - `ffi`: OpenSSL's functions, looked up in the running process.
//! - `context`: an SSL_CTX that Node has made and we share.
//! - `session`: one SSL, between memory and memory. It knows no socket.
//! - `questions`: what it asks its owner in the middle of a handshake.
//! - `facts`: what its owner asks it.
//! - `callbacks`: what OpenSSL calls; `words`: what it says.
//!
//! `connection/sealed.rs` puts a session between a socket and its reader and writer.

mod callbacks;
mod context;
mod facts;
mod ffi;
mod questions;
mod session;
mod words;

pub use context::{Capture, Context};
pub use facts::Fact;
pub use questions::{Answer, Asks, Question};
pub use session::{News, Start, name};
pub(crate) use session::{Opened, Phase, Progress, RECORD, Session};

/// Why TLS cannot be done here, if so.
pub fn unavailable() -> Option<&'static str> {
    ffi::openssl().err()
}
