//! Sockets of Winsock, and named pipes.

mod listener;
mod name;
mod pipe;
mod socket;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use name::Name;
pub(crate) use socket::{
    Socket, Target, as_socket, before_bind, bind_path, is_in_progress, new_socket, path_address,
    reachable,
};
pub(crate) use stream::Stream;
