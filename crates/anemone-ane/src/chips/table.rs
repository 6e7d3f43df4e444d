//! The chips. What Apple sells, oldest first; then the compiler targets that no chip is known to be.

use super::{Chip, Convolution};
use crate::facts::{
    ANEFORGE, ANEMONE, APPLE, Cite, Conflict, FREEDOMTAN, Figure, Grade, HOLLANCE, M6_STUDY, MADERIX,
    MIDASMULLI, MIL_HWX,
};

const DEVICES: Cite = Cite::of(&HOLLANCE, "supported devices");
const FORGE_TARGETS: Cite = Cite::of(&ANEFORGE, "targets");
const DUAL: Cite = Cite::of(&M6_STUDY, "engines of a chip");
const SUMMARY: Cite = Cite::of(&M6_STUDY, "notes on arXiv 2606.22283");

const fn row(name: &'static str, target: &'static str, target_grade: Grade) -> Chip {
    Chip {
        name,
        target,
        target_grade,
        target_conflicts: &[],
        cores: Figure::unknown("cores"),
        engines: Figure::new(1.0, "engines", Grade::Derived, DUAL),
        tops: Figure::unknown("TOPS"),
        weight_stream: Figure::unknown("GB/s"),
        activation_dma: Figure::unknown("GB/s"),
        memory: Figure::unknown("GB/s"),
        call: Figure::unknown("us"),
        convolution: Convolution::Unknown,
    }
}

impl Chip {
    const fn apple(mut self, cores: f64, tops: f64) -> Chip {
        self.cores = Figure::new(cores, "cores", Grade::Vendor, DEVICES);
        self.tops = Figure::new(tops, "TOPS", Grade::Vendor, DEVICES);
        self
    }

    /// Apple counts the cores, but gives no rate.
    const fn counted(mut self, cores: f64) -> Chip {
        self.cores = Figure::new(cores, "cores", Grade::Vendor, DEVICES);
        self
    }

    const fn tops_but(mut self, conflicts: &'static [Conflict]) -> Chip {
        self.tops = self.tops.but(conflicts);
        self
    }

    const fn target_but(mut self, conflicts: &'static [Conflict]) -> Chip {
        self.target_conflicts = conflicts;
        self
    }

    const fn engines(mut self, engines: f64, grade: Grade) -> Chip {
        self.engines = Figure::new(engines, "engines", grade, DUAL);
        self
    }

    const fn weights(mut self, rate: f64, cite: Cite) -> Chip {
        self.weight_stream = Figure::new(rate, "GB/s", Grade::Measured, cite);
        self
    }

    const fn activations(mut self, rate: f64, cite: Cite) -> Chip {
        self.activation_dma = Figure::new(rate, "GB/s", Grade::Measured, cite);
        self
    }

    const fn memory(mut self, rate: f64, grade: Grade, cite: Cite) -> Chip {
        self.memory = Figure::new(rate, "GB/s", grade, cite);
        self
    }

    const fn call(mut self, time: f64, cite: Cite, conflicts: &'static [Conflict]) -> Chip {
        self.call = Figure::new(time, "us", Grade::Measured, cite).but(conflicts);
        self
    }

    const fn direct(mut self) -> Chip {
        self.convolution = Convolution::Direct;
        self
    }

    const fn winograd(mut self) -> Chip {
        self.convolution = Convolution::Winograd;
        self
    }
}

const M3_TOPS: &[Conflict] = &[Conflict { claim: "18 TOPS", cite: Cite::of(&APPLE, "marketing") }];
const M4_TARGET: &[Conflict] = &[Conflict { claim: "h16", cite: FORGE_TARGETS }];
const M5_TARGET: &[Conflict] = &[
    Conflict { claim: "reports the subtype h16", cite: Cite::of(&MADERIX, "probe of a base M5") },
    Conflict { claim: "h17", cite: Cite::of(&MIDASMULLI, "") },
];
const M5_MAX_TARGET: &[Conflict] = &[Conflict {
    claim: "reports the subtype h17, whose clocks are too slow for what it measures",
    cite: Cite::of(&MADERIX, "probe of an M5 Max"),
}];
const LARGE_M2: &[Conflict] = &[Conflict { claim: "h14c is not excluded", cite: Cite::of(&ANEMONE, "") }];

use Grade::{Derived, Measured, Unknown};

/// Every chip, oldest first.
pub static CHIPS: &[Chip] = &[
    row("A11", "m9", Derived).apple(2.0, 0.6),
    row("A12", "h11", Derived).apple(8.0, 5.0),
    row("A12X", "h11", Derived).apple(8.0, 5.0),
    row("A12Z", "h11", Derived).apple(8.0, 5.0),
    row("A13", "h12", Derived)
        .apple(8.0, 5.5)
        .tops_but(&[Conflict { claim: "about 6 (20 % faster than A12)", cite: DEVICES }]),
    row("A14", "h13", Derived).apple(16.0, 11.0).direct(),
    row("M1", "h13", Measured)
        .apple(16.0, 11.0)
        .weights(51.0, SUMMARY)
        .activations(24.0, SUMMARY)
        .memory(85.0, Measured, SUMMARY)
        .call(
            190.0,
            SUMMARY,
            &[
                Conflict { claim: "220", cite: Cite::of(&ANEFORGE, "cost anchor") },
                Conflict { claim: "66 to 178 under Linux", cite: Cite::of(&MIL_HWX, "README") },
            ],
        )
        .direct(),
    row("M1 Pro", "h13g", Derived).apple(16.0, 11.0).direct(),
    row("M1 Max", "h13g", Measured).apple(16.0, 11.0).direct(),
    row("M1 Ultra", "h13g", Derived).apple(32.0, 22.0).engines(2.0, Derived).direct(),
    row("A15", "h14", Derived).apple(16.0, 15.8).direct(),
    row("M2", "h14", Derived).apple(16.0, 15.8).direct(),
    row("M2 Pro", "h14g", Measured).apple(16.0, 15.8).direct(),
    row("M2 Max", "h14g", Derived).target_but(LARGE_M2).apple(16.0, 15.8).direct(),
    row("M2 Ultra", "h14g", Derived).target_but(LARGE_M2).apple(32.0, 31.6).engines(2.0, Derived).direct(),
    row("A16", "h15", Derived).apple(16.0, 17.0),
    row("M3", "h15", Derived).apple(16.0, 15.8).tops_but(M3_TOPS),
    row("M3 Pro", "h15g", Derived).apple(16.0, 15.8).tops_but(M3_TOPS),
    row("M3 Max", "h15c", Derived).apple(16.0, 15.8).tops_but(M3_TOPS).call(
        119.0,
        Cite::of(&crate::facts::FIELD_GUIDE, "fit"),
        &[],
    ),
    row("M3 Ultra", "h15c", Derived)
        .apple(32.0, 36.0)
        .engines(2.0, Derived)
        .tops_but(&[Conflict { claim: "31.6", cite: Cite::of(&MADERIX, "benchmarks") }]),
    row("A17 Pro", "h16", Derived).apple(16.0, 35.0).direct(),
    row("M4", "h16g", Derived)
        .target_but(M4_TARGET)
        .apple(16.0, 38.0)
        .weights(67.0, Cite::of(&M6_STUDY, "weight stream"))
        .memory(120.0, Measured, Cite::of(&MADERIX, "parts 1 to 4"))
        .call(90.0, Cite::of(&MADERIX, "parts 1 to 4"), &[])
        .direct(),
    row("M4 Pro", "h16s", Derived).apple(16.0, 38.0).direct(),
    row("M4 Max", "h16s", Derived).apple(16.0, 38.0).direct().call(
        70.0,
        Cite::of(&MADERIX, "fit of convolution stacks, 70 to 100"),
        &[],
    ),
    row("A18", "h17", Derived).apple(16.0, 35.0),
    row("A18 Pro", "h17", Derived).apple(16.0, 35.0),
    row("M5", "h17s", Measured)
        .target_but(M5_TARGET)
        .counted(16.0)
        .weights(145.0, SUMMARY)
        .activations(24.0, SUMMARY)
        .call(70.0, SUMMARY, &[Conflict { claim: "63 to 110", cite: Cite::of(&ANEFORGE, "dispatch floor") }])
        .winograd(),
    row("M5 Pro", "h17s", Measured)
        .counted(16.0)
        .call(
            63.3,
            Cite::of(&ANEFORGE, "cost model"),
            &[Conflict { claim: "93 through _ANEClient", cite: Cite::of(&MIDASMULLI, "README") }],
        )
        .winograd(),
    row("M5 Max", "h17c", Derived).target_but(M5_MAX_TARGET).counted(16.0),
    row("A19", "h18", Derived)
        .target_but(&[Conflict {
            claim: "the chip of h18 is unknown",
            cite: Cite::of(&M6_STUDY, "containers"),
        }])
        .counted(16.0),
    row("A19 Pro", "h18", Derived)
        .target_but(&[Conflict {
            claim: "the chip of h18 is unknown",
            cite: Cite::of(&M6_STUDY, "containers"),
        }])
        .counted(16.0),
    row("M6", "h18g", Measured)
        .engines(2.0, Measured)
        .weights(150.0, Cite::of(&M6_STUDY, "145 to 159, shared by both engines"))
        .activations(35.0, Cite::of(&M6_STUDY, "35 to 40 per engine"))
        .memory(170.5, Grade::Vendor, Cite::of(&M6_STUDY, ""))
        .call(160.0, Cite::of(&M6_STUDY, "30 to submit, 130 to 325 to complete"), &[])
        .winograd(),
    row("A20", "h19", Derived)
        .target_but(&[Conflict { claim: "shares its format with h18g", cite: Cite::of(&FREEDOMTAN, "") }]),
];

/// Targets that no chip is known to be, under their own names.
pub static BARE: &[Chip] = &[
    row("t0", "t0", Unknown),
    row("t1", "t1", Unknown).direct(),
    row("m11", "m11", Unknown),
    row("h14c", "h14c", Unknown).direct(),
    row("h16c", "h16c", Unknown).direct(),
    row("h17a", "h17a", Unknown),
    row("h17g", "h17g", Unknown),
    row("h17d", "h17d", Unknown),
    row("u1", "u1", Unknown),
    row("u2", "u2", Unknown),
    row("u3", "u3", Unknown),
];
