//! Sockets of Winsock.

mod listener;
mod name;
mod socket;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use name::Name;
pub(crate) use socket::{before_bind, bind_path, is_in_progress, path_address, reachable};
pub(crate) use stream::Stream;
