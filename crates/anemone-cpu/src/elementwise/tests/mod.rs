//! Tests of the machine; those of the functions are in `math`.

use crate::isa::{self, Level};

/// The instruction sets of this CPU.
pub(super) fn levels() -> Vec<Level> {
    let best = isa::level();
    let mut levels = vec![Level::Baseline];
    #[cfg(target_arch = "x86_64")]
    {
        levels.extend([Level::Avx2, Level::Avx512].into_iter().take(best as usize));
    }
    levels.dedup();
    assert_eq!(levels.last(), Some(&best));
    levels
}
