//! Instants, in ms.

/// Gives the instant so many ms after another, or the last one that there is.
#[inline(never)] // 8 bytes a call instead of 20, and there are many
pub const fn after(now_ms: u64, wait_ms: u64) -> u64 {
    now_ms.saturating_add(wait_ms)
}
