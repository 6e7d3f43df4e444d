//! Picking and placing by index.

use super::declare::{FLOORS, OpRule, absent};
use crate::facts::{Cite, Conflict, HOLLANCE};

const READS: &str = "the engine does not read by indices that are computed";
const WRITES: &str = "the engine does not write by index";
const GATHER_OUT: &str = "look up outside and give the rows as an input; constant indices become slices";
const SCATTER_OUT: &str = "place with `select` and a mask that is given as an input";

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    absent("gather", READS, GATHER_OUT).but(&[
        Conflict { claim: "in hardware from A14 on", cite: FLOORS },
        Conflict { claim: "not placed by Core ML", cite: Cite::of(&HOLLANCE, "unsupported layers") },
    ]),
    absent("gather_along_axis", READS, GATHER_OUT),
    absent("gather_nd", READS, GATHER_OUT),
    absent("scatter", WRITES, SCATTER_OUT),
    absent("scatter_along_axis", WRITES, SCATTER_OUT),
    absent("scatter_nd", WRITES, SCATTER_OUT),
];
