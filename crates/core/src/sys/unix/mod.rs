//! Descriptors under epoll and kqueue.

mod listener;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use stream::Stream;
