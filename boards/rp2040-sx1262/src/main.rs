//! The socket on this board.
#![no_std]
#![no_main]
