//! Holding a program against the rules of a chip.

use super::declare::{Holds, Placement, Rule, Severity, Test};
use super::general::{INTEGERS, IO_TYPE, NO_MIL, PROGRAM_SIZE, UNKNOWN_OP, UNSUPPORTED};
use super::site::{Graph, Hit, Site, ValueSite};
use super::{conditions, op_rule};
use crate::chips::{Chip, PROCESS};
use crate::facts::{Cite, Grade};
use crate::legalize;
use mil::{Def, Function, Verified};
use serde::Serialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// What every report is: said with each.
pub const BASIS: &str = "predicted from published facts; nothing was compiled or run on a device";

/// Why a program cannot be checked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckError {
    /// There is no such function.
    #[error("there is no function `{found}`; functions: {known}")]
    Function {
        /// What was asked for.
        found: String,
        /// Every name, separated by commas.
        known: String,
    },
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As one program, on the engine alone.
    Runs,
    /// The same, but something about it may fail or is not known.
    RunsWithWarnings,
    /// As one program, whose results can be wrong without a word.
    CanBeWrong,
    /// Not as one program on the engine; Core ML may still run parts of it there.
    Refused,
}

impl Verdict {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Runs => "runs",
            Verdict::RunsWithWarnings => "runs, with warnings",
            Verdict::CanBeWrong => "runs, can be wrong",
            Verdict::Refused => "refused",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// How bad it is on this chip.
    pub severity: Severity,
    /// The function.
    pub function: String,
    /// The op; empty for an input or a whole function.
    pub op: &'static str,
    /// Name of the value: the operation's first result, or the value itself.
    pub value: String,
    /// How many there are; the rest is about the first.
    pub count: usize,
    /// What happens.
    pub summary: String,
    /// What is there.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
    /// What to do instead.
    pub way_out: String,
    /// Whether [`legalize`](crate::legalize::legalize) rewrites it.
    pub fixable: bool,
    /// Whether the rule was seen on this kind of chip, or is taken over from another.
    pub tested: bool,
    /// How the rule is known.
    pub grade: Grade,
    /// Who says so.
    pub source: String,
}

/// A function that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionSummary {
    /// Its name.
    pub name: String,
    /// Operations in it, nested ones included.
    pub operations: usize,
    /// Those that a finding refuses.
    pub refused: usize,
    /// Those that Apple's compiler makes other work of.
    pub decomposed: usize,
}

/// What a chip would do with a program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The chip.
    pub chip: &'static str,
    /// Its compiler target.
    pub target: &'static str,
    /// The target's family.
    pub family: &'static str,
    /// The answer.
    pub verdict: Verdict,
    /// What was checked.
    pub functions: Vec<FunctionSummary>,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What the answer rests on.
    pub basis: &'static str,
}

impl Report {
    /// The findings of a severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }
}

/// The functions that are meant: all, or the one of this name.
pub(crate) fn chosen<'p>(
    program: &'p Verified,
    function: Option<&str>,
) -> Result<Vec<&'p Function>, CheckError> {
    let Some(name) = function else { return Ok(program.functions.iter().collect()) };
    match program.function(name) {
        Some(function) => Ok(vec![function]),
        None => Err(CheckError::Function {
            found: name.to_string(),
            known: program
                .functions
                .iter()
                .map(|function| function.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// Holds a program, or one function of it, against everything that is known of a chip.
///
/// # Errors
/// When there is no such function.
pub fn check(program: &Verified, function: Option<&str>, chip: &'static Chip) -> Result<Report, CheckError> {
    let chosen = chosen(program, function)?;
    let (mut findings, mut functions) = (Vec::new(), Vec::new());
    for function in chosen {
        let mut checker = Checker { function, chip, found: BTreeMap::new() };
        functions.push(checker.check());
        findings.extend(checker.found.into_values());
    }
    // Stable: findings of equal weight stay in the order of the program.
    findings.sort_by_key(|finding: &(usize, Finding)| (finding.1.severity, finding.0));
    let findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
    let verdict = match findings.first().map(|finding| finding.severity) {
        Some(Severity::Refused) => Verdict::Refused,
        Some(Severity::Wrong) => Verdict::CanBeWrong,
        Some(Severity::Risk | Severity::Unknown) => Verdict::RunsWithWarnings,
        Some(Severity::Note) | None => Verdict::Runs,
    };
    Ok(Report {
        chip: chip.name,
        target: chip.target,
        family: chip.family().name(),
        verdict,
        functions,
        findings,
        basis: BASIS,
    })
}

/// Whether the engine refuses an operation, its results' sizes included.
pub(crate) fn refuses(site: &Site<'_>) -> bool {
    let (op, chip) = (site.op.name(), site.graph.chip);
    let placed = op_rule(op).and_then(|rule| rule.entry(chip.family()));
    if placed.is_none_or(|entry| matches!(entry.placement, Placement::Refused { .. })) {
        return true;
    }
    conditions()
        .filter(|rule| rule.severity == Severity::Refused && rule.scope.holds(chip) == Holds::Yes)
        .any(|rule| {
            match rule.test {
                Test::Operation(test) => {
                    (rule.ops.is_empty() || rule.ops.contains(&op)) && test(site).is_some()
                }
                // Types at the border are Core ML's business.
                Test::Value(_) if rule.id == IO_TYPE => false,
                Test::Value(test) => site.op.operation.outputs.iter().any(|&id| {
                    site.graph.is_live(id) && test(&ValueSite { graph: site.graph, id }).is_some()
                }),
            }
        })
}

/// How an operation is called: by the name of its first result or, where that has none, by those of its operands.
fn label(site: &Site<'_>) -> String {
    let function = site.op.function;
    let Some(&output) = site.op.operation.outputs.first() else { return String::new() };
    if function.value(output).name.is_some() {
        return function.display_name(output);
    }
    let named = |id: mil::ValueId| function.value(id).name.as_deref();
    let operands: Vec<&str> = site.op.operands().filter_map(|(_, id)| named(id)).take(2).collect();
    match operands.is_empty() {
        true => function.display_name(output),
        false => format!("{} of {}", function.display_name(output), operands.join(" and ")),
    }
}

/// Findings of one function. Keys tell apart what is counted together from what is not; values begin with a place in the program.
pub(super) struct Checker<'a> {
    pub(super) function: &'a Function,
    pub(super) chip: &'static Chip,
    pub(super) found: BTreeMap<(&'static str, usize), (usize, Finding)>,
}

impl Checker<'_> {
    fn check(&mut self) -> FunctionSummary {
        let function = self.function;
        let mut summary =
            FunctionSummary { name: function.name.clone(), operations: 0, refused: 0, decomposed: 0 };
        let Some(limits) = self.chip.family().limits() else {
            let found = format!("the target {} of {}", self.chip.target, self.chip.name);
            self.add(&NO_MIL, 0, "", String::new(), Hit::new(found), false);
            summary.operations = Graph::count(function);
            summary.refused = summary.operations;
            return summary;
        };
        let graph = Graph::new(function, self.chip, limits);
        summary.operations = graph.operations.len();
        self.size();
        for (at, site) in graph.sites().enumerate() {
            let refused = self.operation(at, &site, &mut summary);
            summary.refused += usize::from(refused);
        }
        for (at, site) in graph.value_sites().enumerate() {
            for rule in conditions() {
                let Test::Value(test) = rule.test else { continue };
                if let Some(hit) = test(&site) {
                    let op = graph.defined_by(site.id).unwrap_or_default();
                    self.add(
                        rule,
                        at,
                        op,
                        function.display_name(site.id),
                        hit,
                        legalize::fixes_value(rule, &site),
                    );
                }
            }
        }
        summary
    }

    /// Whether the operation is refused.
    pub(super) fn operation(&mut self, at: usize, site: &Site<'_>, summary: &mut FunctionSummary) -> bool {
        let op = site.op.name();
        let name = label(site);
        let mut refused = false;
        let family = self.chip.family();
        match op_rule(op).and_then(|rule| rule.entry(family)) {
            _ if site.is_border_cast() || site.is_constant_work() => {}
            Some(entry) => match entry.placement {
                Placement::Native => {}
                Placement::Decomposed { .. } => summary.decomposed += 1,
                Placement::Refused { why, way_out } => {
                    let fixable = legalize::fixes(UNSUPPORTED.id, site);
                    let finding = self.add(&UNSUPPORTED, at, op, name.clone(), Hit::over(op, ""), fixable);
                    (finding.summary, finding.way_out) = (why.to_string(), way_out.to_string());
                    (finding.grade, finding.source) = (entry.grade, entry.cite.to_string());
                    refused = true;
                }
                Placement::Unknown => {
                    self.add(&UNKNOWN_OP, at, op, name.clone(), Hit::new(op), false);
                }
            },
            None => {
                self.add(&UNKNOWN_OP, at, op, name.clone(), Hit::new(op), false);
            }
        }
        for rule in conditions().filter(|rule| rule.ops.is_empty() || rule.ops.contains(&op)) {
            let Test::Operation(test) = rule.test else { continue };
            // An op that there is not needs no second reason.
            let said = refused && rule.id == INTEGERS;
            if said || rule.scope.holds(self.chip) == Holds::No {
                continue;
            }
            if let Some(hit) = test(site) {
                let finding = self.add(rule, at, op, name.clone(), hit, legalize::fixes(rule.id, site));
                refused |= finding.severity == Severity::Refused;
            }
        }
        refused
    }

    /// Whether the constants fit in one program.
    fn size(&mut self) {
        let bytes = self
            .function
            .values
            .iter()
            .filter_map(|value| match &value.def {
                Def::Const(constant) => Some(constant.bytes().len() as f64),
                _ => None,
            })
            .sum::<f64>();
        let (proven, refused) = (PROCESS.constants_proven.value, PROCESS.constants_refused.value);
        if proven.is_some_and(|most| bytes > most) {
            let hit = Hit::over(format!("{:.2} GB of constants", bytes / 1e9), "1.5 GB was seen to load");
            let finding = self.add(&PROGRAM_SIZE, 0, "", String::new(), hit, false);
            if refused.is_some_and(|least| bytes >= least) {
                finding.severity = Severity::Refused;
            }
        }
    }

    /// Adds a finding, or counts it with the first of its kind.
    fn add(
        &mut self,
        rule: &'static Rule,
        at: usize,
        op: &'static str,
        value: String,
        hit: Hit,
        fixable: bool,
    ) -> &mut Finding {
        let tested = rule.scope.holds(self.chip) == Holds::Yes;
        let severity = match rule.severity {
            Severity::Refused | Severity::Wrong if !tested => Severity::Risk,
            severity => severity,
        };
        let key = (rule.id, if rule.once { usize::MAX } else { at });
        let (_, finding) = self
            .found
            .entry(key)
            .and_modify(|(_, finding)| {
                finding.count += 1;
                finding.fixable &= fixable;
            })
            .or_insert_with(|| {
                let finding = Finding {
                    rule: rule.id,
                    severity,
                    function: self.function.name.clone(),
                    op,
                    value,
                    count: 1,
                    summary: rule.summary.to_string(),
                    found: hit.found,
                    allowed: hit.allowed.unwrap_or_else(|| rule.allowed.to_string()),
                    way_out: rule.way_out.to_string(),
                    fixable,
                    tested,
                    grade: rule.grade,
                    source: Cite::to_string(&rule.cite),
                };
                (at, finding)
            });
        finding
    }
}
