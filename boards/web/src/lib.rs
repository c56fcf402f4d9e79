//! The ToolBox in a browser: what the page asks, and what it gets. All is text (JSON) in a buffer that both sides see.
//!
//! The page calls [`reserve`], puts its question into the buffer, calls [`ask`] and finds the answer there. So neither
//! side needs a generator of bindings, and Rust follows no pointer of the page's.
#![deny(unsafe_code)]
#![deny(missing_docs)]

use std::cell::RefCell;

mod hex;
mod simulated;
mod tool;

pub use tool::Tool;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static TOOL: RefCell<Tool> = RefCell::default();
}

/// Makes room for a question of so many bytes, and says where.
#[allow(unsafe_code, reason = "an export has to keep its name; no code is unsafe")]
// SAFETY: no other function of this name is linked.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(len: usize) -> *mut u8 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.resize(len, 0);
        buffer.as_mut_ptr()
    })
}

/// Answers the question in the buffer, and says how long the answer is; [`answer`] says where.
#[allow(unsafe_code, reason = "an export has to keep its name; no code is unsafe")]
// SAFETY: no other function of this name is linked.
#[unsafe(no_mangle)]
pub extern "C" fn ask() -> usize {
    let question = BUFFER.with_borrow_mut(std::mem::take);
    let answer = TOOL.with_borrow_mut(|tool| tool.ask(&question)).into_bytes();
    let len = answer.len();
    BUFFER.with_borrow_mut(|buffer| *buffer = answer);
    len
}

/// Says where the answer is.
#[allow(unsafe_code, reason = "an export has to keep its name; no code is unsafe")]
// SAFETY: no other function of this name is linked.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    BUFFER.with_borrow(|buffer| buffer.as_ptr())
}
