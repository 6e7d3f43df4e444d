//! Control flow and lists.

use super::declare::{OpRule, native, walled};

const LISTS: &str = "the engine has no lists";
const UNROLLED: &str = "unroll it, or split the program and loop outside";

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    walled("cond", "the engine takes no branches", "compute both sides and `select`, or split the program"),
    walled("list_gather", LISTS, UNROLLED),
    walled("list_length", LISTS, UNROLLED),
    walled("list_read", LISTS, UNROLLED),
    walled("list_scatter", LISTS, UNROLLED),
    walled("list_write", LISTS, UNROLLED),
    walled("make_list", LISTS, UNROLLED),
    native("select"),
    walled("while_loop", "the engine takes no loops", UNROLLED),
];
