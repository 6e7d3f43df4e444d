//! States.

use super::declare::{OpRule, walled};
use crate::facts::{ANEFORGE, COREMLTOOLS, Cite, Conflict, Grade, MADERIX};

const WHY: &str = "the compiler takes no states in a program of its own";
const WAY_OUT: &str = "make each state an input and an output that share one buffer (`anemone export --trainable --arrays` for \
                       training; the pass `states_to_io` for any program)";
const ELSEWHERE: &[Conflict] = &[
    Conflict { claim: "works through e5rt", cite: Cite::of(&ANEFORGE, "resident state") },
    Conflict {
        claim: "Core ML keeps states itself, on the engine where dimensions are multiples of 32 and offsets fixed",
        cite: Cite::of(&COREMLTOOLS, "#2553, #2631, #2325"),
    },
];

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    walled("read_state", WHY, WAY_OUT).but(ELSEWHERE),
    walled("coreml_update_state", WHY, WAY_OUT)
        .newest(Grade::Measured, Cite::of(&MADERIX, "the private route rejects it"))
        .but(ELSEWHERE),
];
