//! Descriptors under epoll and kqueue.

pub(crate) mod descriptor;
mod listener;
mod name;
mod socket;
mod stream;

pub(crate) use listener::Listener;
pub(crate) use name::Name;
pub(crate) use socket::{
    Socket, Target, as_socket, before_bind, bind_path, is_in_progress, new_socket, path_address,
    reachable,
};
pub(crate) use stream::Stream;
