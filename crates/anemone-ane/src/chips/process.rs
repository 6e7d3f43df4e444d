//! What one process may hold, whatever the chip.

use crate::facts::{ANEFORGE, Cite, Conflict, FIELD_GUIDE, Figure, Grade, M6_STUDY, MADERIX, MIDASMULLI};
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
