//! In the place of `duct.rs` where there is no splice(2): there are no ducts, and relays use a buffer.

use std::io;

use crate::sys::Stream;

pub(crate) enum Duct {}

impl Duct {
    pub(crate) const fn open() -> Option<Self> {
        None
    }

    pub(crate) const fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn fill(&mut self, _: &Stream) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn drain(&mut self, _: &Stream) -> io::Result<bool> {
        match *self {}
    }

    pub(crate) fn try_drain(&mut self, _: &Stream) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn take(&mut self) -> io::Result<Vec<u8>> {
        match *self {}
    }
}
