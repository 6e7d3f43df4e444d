//! What is the same for all chips: the make of an engine, and what one process may hold.

use crate::facts::{
    ANEFORGE, Cite, Conflict, FIELD_GUIDE, Figure, Grade, M6_STUDY, MADERIX, MIDASMULLI, MIL_HWX,
};
use serde::Serialize;

/// Limits of a process that drives an engine.
#[derive(Debug, PartialEq, Serialize)]
pub struct ProcessLimits {
    /// Programs loaded at a time.
    pub programs: Figure,
    /// Compilations before they begin to fail.
    pub compiles: Figure,
    /// Calls in flight.
    pub in_flight: Figure,
    /// Operations in one encoded stream (e5rt).
    pub stream_operations: Figure,
    /// Bytes of constants in one program, up to which all succeeded.
    pub constants_proven: Figure,
    /// Bytes of constants in one program, from which all failed.
    pub constants_refused: Figure,
}

/// The limits. macOS; of iOS nothing is published.
pub static PROCESS: ProcessLimits = ProcessLimits {
    programs: Figure::new(
        128.0,
        "programs",
        Grade::Measured,
        Cite::of(&ANEFORGE, "programs per process, M5"),
    )
    .but(&[
        Conflict { claim: "226 programs loaded at once on an M3 Max", cite: Cite::of(&FIELD_GUIDE, "") },
        Conflict { claim: "128 slots of a client, M5", cite: Cite::of(&MIDASMULLI, "") },
    ]),
    compiles: Figure::new(119.0, "compilations", Grade::Measured, Cite::of(&MADERIX, "README")).but(&[
        Conflict {
            claim: "110 to 132 seen; unloading programs gives them back, so live programs count",
            cite: Cite::of(&FIELD_GUIDE, ""),
        },
    ]),
    in_flight: Figure::new(127.0, "calls", Grade::Measured, Cite::of(&ANEFORGE, "queue depth")),
    stream_operations: Figure::new(
        110.0,
        "operations",
        Grade::Measured,
        Cite::of(&ANEFORGE, "110 to 120 seen"),
    ),
    constants_proven: Figure::new(1.5e9, "bytes", Grade::Measured, Cite::of(&ANEFORGE, "M5 Pro")).but(&[
        Conflict {
            claim: "Apple's programs hold 402 MB of constants in up to 10240 tasks",
            cite: Cite::of(&M6_STUDY, "corpus of compiled programs"),
        },
    ]),
    constants_refused: Figure::new(3.4e9, "bytes", Grade::Measured, Cite::of(&ANEFORGE, "M5 Pro")),
};

/// The make of an engine from H13 on.
#[derive(Debug, PartialEq, Serialize)]
pub struct EngineFacts {
    /// Products of `fp16` that one neural core makes in a cycle.
    pub products_fp16: Figure,
    /// Products of `int8`.
    pub products_int8: Figure,
    /// Bytes of one operand that stay on chip; larger ones are cut into tiles.
    pub operand: Figure,
    /// Bytes of weights that one neural core holds.
    pub resident_weights: Figure,
    /// Bytes of weights that one task streams.
    pub streamed_weights: Figure,
    /// Output channels made in one pass.
    pub channels_per_pass: Figure,
    /// Bytes that rows of a tensor are padded to.
    pub row_pitch: Figure,
}

/// The make of an engine.
pub static ENGINE: EngineFacts = EngineFacts {
    products_fp16: Figure::new(256.0, "products", Grade::Measured, Cite::of(&M6_STUDY, "table 4-1")),
    products_int8: Figure::new(512.0, "products", Grade::Vendor, Cite::of(&M6_STUDY, "table 4-1, compiler"))
        .but(&[Conflict { claim: "428 reached", cite: Cite::of(&M6_STUDY, "1x1 convolutions, one engine") }]),
    operand: Figure::new(2097152.0, "bytes", Grade::Vendor, Cite::of(&M6_STUDY, "HAL field 0x1d8")).but(&[
        Conflict {
            claim: "timing bends at 2.3 MB on M1, at 4.7 MB on M5",
            cite: Cite::of(&M6_STUDY, "notes on arXiv 2606.22283"),
        },
    ]),
    resident_weights: Figure::new(65536.0, "bytes", Grade::Vendor, Cite::of(&M6_STUDY, "HAL field 0x220")),
    streamed_weights: Figure::new(16777216.0, "bytes", Grade::Vendor, Cite::of(&M6_STUDY, "HAL field 0x230")),
    channels_per_pass: Figure::new(
        256.0,
        "channels",
        Grade::Measured,
        Cite::of(&M6_STUDY, "272 cost a third more than 256"),
    ),
    row_pitch: Figure::new(
        64.0,
        "bytes",
        Grade::Measured,
        Cite::of(&MIL_HWX, "strides of compiled programs"),
    ),
};
