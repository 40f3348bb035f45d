//! Sockets without JavaScript: everything between the kernel and the border.
//!
//! A [`Reactor`] owns a Tokio `current_thread` runtime and all sockets of one JavaScript environment. Tokio says when a
//! socket is ready. The thread that owns the reactor does the I/O itself, in [`Reactor::pump`], and reports what
//! happened to a [`Sink`]. There is no task, channel or promise per connection or operation.
//!
//! N-API is not involved: `cargo test -p ferronet-core` runs all of it.

mod connection;
pub mod driver;
pub mod endpoint;
pub mod errno;
#[cfg(unix)]
pub mod handover;
pub mod options;
mod place;
mod queue;
mod reactor;
mod ready;
mod sink;
mod slots;
mod sys;
pub mod tls;

pub use connection::Sent;
pub use driver::DriverKind;
pub use reactor::Reactor;
pub use ready::Bell;
pub use sink::{Chunk, ReadMode, STEP_EVENTS, Sink, TlsEvent};
