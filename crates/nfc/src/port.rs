//! Where requests come from and answers go: the tag, or a serial line.

use core::ops::Range;

/// What a port brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A request lies in the buffer there. What was no request comes as one of no bytes, so that it is answered.
    Request(Range<usize>),
    /// A request is longer than the buffer, or than the port can carry.
    TooLong,
    /// What is shown should be fresh.
    Refresh,
}

/// What a port shows.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The status.
    pub status: &'a [u8],
    /// The settings, without what is secret.
    pub settings: &'a [u8],
    /// The answer to the last request; empty if there is none.
    pub answer: &'a [u8],
}

/// A place where a tool reads and asks.
pub trait Port {
    /// Waits for a request or for the time to show something fresh. The first call may take a request that was left while
    /// the socket had no power.
    ///
    /// # Cancel safety
    /// None: it is meant to be awaited to its end.
    async fn next(&mut self, buffer: &mut [u8]) -> Arrival;

    /// Tells how many bytes a request may have, with a buffer of so many.
    fn room(&self, buffer: usize) -> usize;

    /// Shows status, settings and answer; `buffer` is for its use, and has to stay as it is until [`next`](Self::next) has returned.
    /// What cannot be shown is asked for by [`Arrival::Refresh`] later.
    ///
    /// # Cancel safety
    /// None.
    async fn show(&mut self, shown: Shown<'_>, buffer: &mut [u8]);
}

/// No port: a board without tag and line.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPort;

impl Port for NoPort {
    async fn next(&mut self, _: &mut [u8]) -> Arrival {
        core::future::pending().await
    }

    fn room(&self, _: usize) -> usize {
        0
    }

    async fn show(&mut self, _: Shown<'_>, _: &mut [u8]) {}
}
