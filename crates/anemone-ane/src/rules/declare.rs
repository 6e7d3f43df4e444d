//! The words that rules are declared in: placements of ops, and conditions on single operations.

use super::site::{Hit, Site, ValueSite};
use crate::chips::{Chip, Family};
use crate::facts::{ANEFORGE, ANEMONE, Cite, Conflict, Grade, M6_STUDY, MIL_HWX};
use serde::Serialize;

/// Where an op goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// The engine has it.
    Native,
    /// Apple's compiler makes other work of it, all on the engine.
    Decomposed {
        /// Of what.
        into: &'static str,
    },
    /// It does not run on the engine.
    Refused {
        /// Why.
        why: &'static str,
        /// What to do instead.
        way_out: &'static str,
    },
    /// No source says.
    Unknown,
}

/// A placement with its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it goes.
    pub placement: Placement,
    /// How that is known.
    pub grade: Grade,
    /// Who says so.
    pub cite: Cite,
}

/// An op on every family that takes MIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OpRule {
    /// Name of the op.
    pub op: &'static str,
    /// One entry for each of [`Family::MIL`].
    pub on: [Entry; 4],
    /// Who says otherwise.
    pub conflicts: &'static [Conflict],
}

impl OpRule {
    /// The entry of a family; none for one that takes no MIL.
    pub fn entry(&self, family: Family) -> Option<&Entry> {
        family.index().map(|index| &self.on[index])
    }

    /// With what other sources say.
    pub(super) const fn but(mut self, conflicts: &'static [Conflict]) -> OpRule {
        self.conflicts = conflicts;
        self
    }

    /// Native, but as other work.
    pub(super) const fn into(mut self, into: &'static str) -> OpRule {
        let mut at = 0;
        while at < 4 {
            if let Placement::Native = self.on[at].placement {
                self.on[at].placement = Placement::Decomposed { into };
            }
            at += 1;
        }
        self
    }

    /// Decoded from compiled programs for H13 and H14.
    pub(super) const fn decoded(mut self) -> OpRule {
        let mut at = 0;
        while at < 2 {
            self.on[at].grade = Grade::Measured;
            self.on[at].cite = Cite::of(&MIL_HWX, "programs for H13 and H14");
            at += 1;
        }
        self
    }

    /// The newest family's entry by a source other than the census.
    pub(super) const fn newest(mut self, grade: Grade, cite: Cite) -> OpRule {
        self.on[3].grade = grade;
        self.on[3].cite = cite;
        self
    }

    /// The families from `Family` on by this source.
    pub(super) const fn from(mut self, family: Family, below: Placement, cite: Cite) -> OpRule {
        let mut at = 0;
        while at < 4 {
            if at < family as usize - 1 {
                self.on[at] = Entry { placement: below, grade: Grade::Derived, cite };
            }
            at += 1;
        }
        self
    }
}

pub(super) const FLOORS: Cite = Cite::of(&ANEFORGE, "op floors");
pub(super) const STUDY_OPS: Cite = Cite::of(&M6_STUDY, "ops that are not on the engine");
const CORRECT: Cite = Cite::of(&ANEFORGE, "op census, M5: reachable and correct");
const REACHABLE: Cite = Cite::of(&ANEFORGE, "op census, M5: reachable, results not verified");
const ABSENT: Cite = Cite::of(&ANEFORGE, "op census, M5: not implemented");
const WALLED: Cite = Cite::of(&ANEFORGE, "op census, M5: does not compile");
const OLDER: Cite =
    Cite::of(&ANEMONE, "not on an M5 (ANEForge's op census), so taken not to be on older engines");

const fn everywhere(op: &'static str, placement: Placement, newest: Cite, older: Cite) -> OpRule {
    let below = Entry { placement, grade: Grade::Derived, cite: older };
    let newest = Entry { placement, grade: Grade::Measured, cite: newest };
    OpRule { op, on: [below, below, below, newest], conflicts: &[] }
}

/// On every engine; the census on an M5 found its results correct.
pub(super) const fn native(op: &'static str) -> OpRule {
    everywhere(op, Placement::Native, CORRECT, FLOORS)
}

/// On every engine; the census on an M5 ran it, but did not check its results.
pub(super) const fn reachable(op: &'static str) -> OpRule {
    everywhere(op, Placement::Native, REACHABLE, FLOORS)
}

/// On no engine: the census on an M5 found no implementation.
pub(super) const fn absent(op: &'static str, why: &'static str, way_out: &'static str) -> OpRule {
    everywhere(op, Placement::Refused { why, way_out }, ABSENT, OLDER)
}

/// On no engine: in the census on an M5 the compiler failed.
pub(super) const fn walled(op: &'static str, why: &'static str, way_out: &'static str) -> OpRule {
    everywhere(op, Placement::Refused { why, way_out }, WALLED, OLDER)
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The engine does not take it.
    Refused,
    /// It runs, and its results can be wrong without a word.
    Wrong,
    /// It may fail, or be wrong: seen on other chips, or for reasons that are not understood.
    Risk,
    /// Nobody knows.
    Unknown,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Refused => "refused",
            Severity::Wrong => "wrong",
            Severity::Risk => "risk",
            Severity::Unknown => "unknown",
            Severity::Note => "note",
        }
    }
}

/// On which architectures a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Where it was seen.
    pub seen: &'static [&'static str],
    /// Where it was looked for and not found.
    pub absent: &'static [&'static str],
    /// What to think of the others.
    pub elsewhere: Elsewhere,
}

/// What to think of architectures that a rule was not tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Elsewhere {
    /// It holds there too.
    Likely,
    /// It may hold there.
    Untested,
    /// It does not hold there, or is too weakly attested to be held against other chips.
    Unlikely,
}

/// Whether a rule holds on a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Seen there, or sure to hold there.
    Yes,
    /// Not tested there.
    Untested,
    /// No.
    No,
}

impl Scope {
    /// On every engine.
    pub const EVERYWHERE: Scope = Scope { seen: &[], absent: &[], elsewhere: Elsewhere::Likely };

    /// Seen on these architectures; whether it holds on others was not tested.
    pub(super) const fn seen(seen: &'static [&'static str]) -> Scope {
        Scope { seen, absent: &[], elsewhere: Elsewhere::Untested }
    }

    /// On these architectures and no others.
    pub(super) const fn only(seen: &'static [&'static str]) -> Scope {
        Scope { seen, absent: &[], elsewhere: Elsewhere::Unlikely }
    }

    /// Not on these.
    pub(super) const fn not(mut self, absent: &'static [&'static str]) -> Scope {
        self.absent = absent;
        self
    }

    /// Whether it holds on `chip`.
    pub fn holds(&self, chip: &Chip) -> Holds {
        let architecture = chip.target().architecture;
        match self.elsewhere {
            _ if self.seen.contains(&architecture) => Holds::Yes,
            _ if self.absent.contains(&architecture) => Holds::No,
            Elsewhere::Likely => Holds::Yes,
            Elsewhere::Untested => Holds::Untested,
            Elsewhere::Unlikely => Holds::No,
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    /// One operation at a time.
    Operation(fn(&Site<'_>) -> Option<Hit>),
    /// One value at a time: inputs, and what operations give.
    Value(fn(&ValueSite<'_>) -> Option<Hit>),
}

/// A condition on programs, with what breaks when it is not met.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// What happens.
    pub summary: &'static str,
    /// Ops that it is about; empty for all.
    pub ops: &'static [&'static str],
    /// How bad it is where it was seen.
    pub severity: Severity,
    /// Where it holds.
    pub scope: Scope,
    /// What is allowed.
    pub allowed: &'static str,
    /// What to do instead.
    pub way_out: &'static str,
    /// How it is known.
    pub grade: Grade,
    /// Who says so.
    pub cite: Cite,
    /// Who says otherwise.
    pub conflicts: &'static [Conflict],
    /// Reported once for a function, with a count.
    pub once: bool,
    /// What it looks at.
    #[serde(skip)]
    pub test: Test,
}

impl Rule {
    /// A rule about operations of these ops, seen on a device.
    pub(super) const fn on(
        id: &'static str,
        ops: &'static [&'static str],
        severity: Severity,
        scope: Scope,
        cite: Cite,
        test: fn(&Site<'_>) -> Option<Hit>,
    ) -> Rule {
        Rule {
            id,
            summary: "",
            ops,
            severity,
            scope,
            allowed: "",
            way_out: "",
            grade: Grade::Measured,
            cite,
            conflicts: &[],
            once: false,
            test: Test::Operation(test),
        }
    }

    /// What happens, what is allowed, and the way out.
    pub(super) const fn says(
        mut self,
        summary: &'static str,
        allowed: &'static str,
        way_out: &'static str,
    ) -> Rule {
        self.summary = summary;
        self.allowed = allowed;
        self.way_out = way_out;
        self
    }

    /// Known in another way than by seeing it.
    pub(super) const fn graded(mut self, grade: Grade) -> Rule {
        self.grade = grade;
        self
    }

    /// With what other sources say.
    pub(super) const fn but(mut self, conflicts: &'static [Conflict]) -> Rule {
        self.conflicts = conflicts;
        self
    }

    /// Reported once for a function.
    pub(super) const fn once(mut self) -> Rule {
        self.once = true;
        self
    }

    /// About values.
    pub(super) const fn of_values(mut self, test: fn(&ValueSite<'_>) -> Option<Hit>) -> Rule {
        self.test = Test::Value(test);
        self
    }
}
