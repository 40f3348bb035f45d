//! Sockets of Winsock.

mod listener;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use stream::Stream;
