//! The reactor from outside: real sockets, both drivers, no JavaScript.
//!
//! Each test is a function of a [`Host`](common::Host); `under_both_drivers!` at the end of a file turns it into two
//! tests, `in_loop::…` and `helper_thread::…`. Tests wait for events, never for time.

#![cfg(unix)]

#[macro_use]
mod common;

mod accept;
mod close;
mod connect;
mod driver;
mod fairness;
mod handover;
mod options;
mod panics;
mod process;
mod read;
#[cfg(target_os = "linux")]
mod refused;
mod relay;
mod tls;
mod tls_flood;
mod tls_questions;
mod write;
