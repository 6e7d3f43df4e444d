//! Facts with their origin: where a figure was published, how sure it is, who says otherwise.

use serde::Serialize;
use std::fmt;

/// How a fact came to be known. None of them was checked on a device by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Somebody measured it on a device and published it.
    Measured,
    /// Apple says so: in public, or in a table of its compiler.
    Vendor,
    /// Worked out from other facts, by a source or by us.
    Derived,
    /// No source says.
    Unknown,
}

impl Grade {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Grade::Measured => "measured",
            Grade::Vendor => "vendor",
            Grade::Derived => "derived",
            Grade::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A publication.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What it is called here.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Where it is.
    pub at: &'static str,
}

/// A place in a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cite {
    /// The publication.
    #[serde(serialize_with = "name_of")]
    pub source: &'static Source,
    /// Where in it, or what of it.
    pub part: &'static str,
}

fn name_of<S: serde::Serializer>(source: &&'static Source, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.name)
}

impl Cite {
    /// A part of a source.
    pub const fn of(source: &'static Source, part: &'static str) -> Cite {
        Cite { source, part }
    }
}

impl fmt::Display for Cite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            "" => f.write_str(self.source.name),
            part => write!(f, "{}, {part}", self.source.name),
        }
    }
}

/// What another source says instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its claim.
    pub claim: &'static str,
    /// Who makes it.
    pub cite: Cite,
}

/// A number with its origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The number; none when no source says.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// How it is known.
    pub grade: Grade,
    /// Who says so.
    pub cite: Cite,
    /// Who says otherwise.
    pub conflicts: &'static [Conflict],
}

impl Figure {
    /// A figure of some grade.
    pub const fn new(value: f64, unit: &'static str, grade: Grade, cite: Cite) -> Figure {
        Figure { value: Some(value), unit, grade, cite, conflicts: &[] }
    }

    /// A figure that no source gives.
    pub const fn unknown(unit: &'static str) -> Figure {
        Figure { value: None, unit, grade: Grade::Unknown, cite: NOWHERE, conflicts: &[] }
    }

    /// The figure with what other sources say.
    pub const fn but(mut self, conflicts: &'static [Conflict]) -> Figure {
        self.conflicts = conflicts;
        self
    }

    /// The number as a count, when it is known and one.
    pub fn count(&self) -> Option<usize> {
        self.value.filter(|value| (0.0..=u32::MAX as f64).contains(value)).map(|value| value as usize)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "{value} {}", self.unit),
            None => f.write_str("unknown"),
        }
    }
}

/// Nobody: what is not known has no place where it stands.
pub const NOWHERE: Cite = Cite::of(&NONE, "");

static NONE: Source = Source { name: "no source", about: "", at: "" };

/// ANEForge.
pub static ANEFORGE: Source = Source {
    name: "ANEForge",
    about: "sbryngelson/ANEForge: programs, sweeps and capability tables over the e5rt route, M1 to M6; \
            arXiv 2606.17090 and 2606.22283",
    at: "https://github.com/sbryngelson/ANEForge",
};
/// A study of the M6's engine.
pub static M6_STUDY: Source = Source {
    name: "M6 study",
    about: "751K/Apple-Neural-Engine-Microarchitecture-Study-M6: compiler tables (HAL), compiled programs and \
            timing, M4 and M6",
    at: "https://github.com/751K/Apple-Neural-Engine-Microarchitecture-Study-M6",
};
/// What is known of supported devices and layers.
pub static HOLLANCE: Source = Source {
    name: "hollance",
    about: "hollance/neural-engine: devices and layers as seen through Core ML; its author marks the list of \
            layers as possibly wrong",
    at: "https://github.com/hollance/neural-engine",
};
/// Training through `_ANEInMemoryModel`.
pub static MADERIX: Source = Source {
    name: "maderix",
    about: "maderix/ANE: the private Objective-C route, benchmarks by users from M1 Pro to M5 Max",
    at: "https://github.com/maderix/ANE",
};
/// A graph compiler over the same route.
pub static ORION: Source = Source {
    name: "Orion",
    about: "mechramc/Orion: a graph compiler over the private route, M4 Max; arXiv 2603.06728",
    at: "https://github.com/mechramc/Orion",
};
/// A trainer in Rust over the same route.
pub static RUSTANE: Source = Source {
    name: "rustane",
    about: "ncdrone/rustane and forks: a trainer over the private route, M4 Max, M3 Ultra, M5",
    at: "https://github.com/ncdrone/rustane",
};
/// A guide to the engine of an M3 Max.
pub static FIELD_GUIDE: Source = Source {
    name: "field guide",
    about: "skyfallsin/apple-neural-engine-field-guide: language models on an M3 Max",
    at: "https://github.com/skyfallsin/apple-neural-engine-field-guide",
};
/// A trainer on an M1.
pub static IMPERATORMK: Source = Source {
    name: "imperatormk",
    about: "imperatormk/ane-train: forward, backward and optimizer on an M1",
    at: "https://github.com/imperatormk/ane-train",
};
/// Work on the M5's programs.
pub static MIDASMULLI: Source = Source {
    name: "MidasMulli",
    about: "MidasMulli/ane-compiler and siblings: compiled programs of the M5 family",
    at: "https://github.com/MidasMulli/ane-compiler",
};
/// A compiler of its own for compiled programs.
pub static MIL_HWX: Source = Source {
    name: "mil-hwx-compiler",
    about: "joshuaswarren/mil-hwx-compiler: compiled programs for H13, H14 and H16G, decoded",
    at: "https://github.com/joshuaswarren/mil-hwx-compiler",
};
/// A parser of compiled programs.
pub static FREEDOMTAN: Source = Source {
    name: "freedomtan",
    about: "freedomtan/coreml_to_ane_hwx: register maps from H13 to H18",
    at: "https://github.com/freedomtan/coreml_to_ane_hwx",
};
/// Apple's Python tools, and what users report about them.
pub static COREMLTOOLS: Source = Source {
    name: "coremltools",
    about: "apple/coremltools: issues about placement, states and shapes",
    at: "https://github.com/apple/coremltools",
};
/// Apple.
pub static APPLE: Source =
    Source { name: "Apple", about: "Apple's published specifications", at: "https://www.apple.com" };
/// Our own derivation from what others published.
pub static ANEMONE: Source =
    Source { name: "Anemone", about: "worked out by us from the other sources; nothing was run", at: "" };

/// Every source, for the page that lists them.
pub static SOURCES: &[&Source] = &[
    &ANEFORGE,
    &M6_STUDY,
    &HOLLANCE,
    &MADERIX,
    &ORION,
    &RUSTANE,
    &FIELD_GUIDE,
    &IMPERATORMK,
    &MIDASMULLI,
    &MIL_HWX,
    &FREEDOMTAN,
    &COREMLTOOLS,
    &APPLE,
    &ANEMONE,
];
