//! Rewrites programs into what a chip takes.
//!
//! Each [`Rewrite`] stands for one rule of [`check`](crate::rules::check): where the rule has something to say about an operation, and
//! the rewrite is possible there, other operations that compute the same take its place. "The same" is meant within the rounding of
//! the element type; infinities that stand for a mask become large numbers. What a program takes and gives does not change, nor does
//! its precision: a program in `fp32` stays refused until it is lowered.
//!
//! Functions with control flow or open shapes are left as they are.

mod functions;
mod moving;
mod pointwise;
mod products;
mod rewriter;
mod windows;

use crate::chips::Chip;
use crate::rules::tensor_transformation::is_width_slice;
use crate::rules::{self, Graph, Holds, Placement, Rule, Site, Test, ValueSite};
use mil::{
    BuildError, Function, FunctionBuilder, Operation, Program, ValueId, Verified, VerifyError, verify,
};
use rewriter::Rewriter;
use serde::Serialize;
use thiserror::Error;

/// Why a program cannot be rewritten.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LegalizeError {
    /// A new operation does not fit: a fault of a rewrite.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The result breaks MIL's rules: a fault of a rewrite.
    #[error("the rewritten program is not valid: {message}; please report the program")]
    Invalid {
        /// The first fault.
        message: String,
    },
}

/// What a rewrite puts in place of an operation: one value for each of its results.
type Apply = fn(&mut FunctionBuilder, &Operation, &Context) -> Result<Vec<ValueId>, BuildError>;

/// What a rewrite knows beside the operation.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// What the chip's family is held to.
    limits: &'static crate::chips::Limits,
}

/// How an operation that a rule speaks against is written in another way.
#[derive(Clone, Copy)]
pub struct Rewrite {
    /// Name of the rule.
    pub rule: &'static str,
    /// Ops that it rewrites.
    pub ops: &'static [&'static str],
    /// What takes their place.
    pub into: &'static str,
    possible: fn(&Site<'_>) -> bool,
    apply: Apply,
}

/// Every rewrite. Of several that would do, the first is taken.
pub fn rewrites() -> impl Iterator<Item = &'static Rewrite> {
    [pointwise::REWRITES, functions::REWRITES, products::REWRITES, windows::REWRITES, moving::REWRITES]
        .into_iter()
        .flatten()
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The function.
    pub function: String,
    /// The rule that asked for it.
    pub rule: &'static str,
    /// The op that was rewritten.
    pub op: &'static str,
    /// Name of its first result.
    pub value: String,
    /// What took its place.
    pub into: &'static str,
}

/// The program with every rewrite applied that the chip asks for, and what was changed. A program that needs none comes back as it is.
///
/// # Errors
/// Only by a fault of a rewrite.
pub fn legalize(program: &Verified, chip: &'static Chip) -> Result<(Verified, Vec<Change>), LegalizeError> {
    let mut changes = Vec::new();
    let Some(limits) = chip.family().limits() else { return Ok((program.clone(), changes)) };
    let mut functions = Vec::with_capacity(program.functions.len());
    for function in &program.functions {
        let mut function = function.clone();
        // Rewrites make operations that others rewrite; none makes what it rewrites itself, so this ends by itself.
        for _ in 0..ROUNDS {
            let (next, done) = round(&function, chip, limits)?;
            let Some(next) = next else { break };
            function = next;
            changes.extend(done);
        }
        functions.push(function);
    }
    let result = Program { functions, build_info: program.build_info.clone() };
    let first = |faults: Vec<VerifyError>| faults.first().map_or_else(String::new, ToString::to_string);
    let result = verify(result).map_err(|faults| LegalizeError::Invalid { message: first(faults) })?;
    Ok((result, changes))
}

/// Rounds of rewriting; more than the longest chain of rewrites that make work for one another.
const ROUNDS: usize = 16;

/// One walk over a function; none when there is nothing to do.
fn round(
    function: &Function,
    chip: &'static Chip,
    limits: &'static crate::chips::Limits,
) -> Result<(Option<Function>, Vec<Change>), BuildError> {
    if !function.is_static() {
        return Ok((None, Vec::new()));
    }
    let graph = Graph::new(function, chip, limits);
    let wanted: Vec<Option<&'static Rewrite>> = graph.sites().map(|site| wanted(&site)).collect();
    if wanted.iter().all(Option::is_none) {
        return Ok((None, Vec::new()));
    }
    let (mut rewriter, mut changes) = (Rewriter::new(function), Vec::new());
    let context = Context { limits };
    for (operation, wanted) in function.body.ops.iter().zip(wanted) {
        let renewed = rewriter.renewed(operation);
        let Some(rewrite) = wanted else {
            rewriter.keep(renewed)?;
            continue;
        };
        let results = (rewrite.apply)(rewriter.build(), &renewed, &context)?;
        for (&old, &new) in operation.outputs.iter().zip(&results) {
            rewriter.replace(old, new);
        }
        changes.push(Change {
            function: function.name.clone(),
            rule: rewrite.rule,
            op: operation.op.declaration().name,
            value: operation.outputs.first().map_or_else(String::new, |&id| function.display_name(id)),
            into: rewrite.into,
        });
    }
    Ok((Some(rewriter.finish(function)?), changes))
}

/// The rewrite that a chip asks for at an operation.
fn wanted(site: &Site<'_>) -> Option<&'static Rewrite> {
    let op = site.op.name();
    if site.is_constant_work() || site.is_border_cast() || is_empty(site) {
        return None;
    }
    rewrites()
        .filter(|rewrite| rewrite.ops.contains(&op))
        .find(|rewrite| asked(rewrite, site) && (rewrite.possible)(site))
}

/// Whether the rule behind a rewrite speaks against the operation.
fn asked(rewrite: &Rewrite, site: &Site<'_>) -> bool {
    let chip = site.graph.chip;
    if rewrite.rule == UNSUPPORTED {
        let entry = rules::op_rule(site.op.name()).and_then(|rule| rule.entry(chip.family()));
        return entry.is_some_and(|entry| matches!(entry.placement, Placement::Refused { .. }));
    }
    rules::rules().filter(|rule| rule.id == rewrite.rule).any(|rule| match rule.test {
        Test::Operation(test) => rule.scope.holds(chip) != Holds::No && test(site).is_some(),
        Test::Value(_) => false,
    })
}

/// Whether an operation works on tensors without elements, of which reshapes make nothing.
fn is_empty(site: &Site<'_>) -> bool {
    let operation = site.op.operation;
    operation
        .uses()
        .chain(operation.outputs.iter().copied())
        .any(|id| site.op.function.shape(id).contains(&0))
}

/// The rule of ops that the engine does not have.
const UNSUPPORTED: &str = "unsupported-op";

/// Whether a rewrite answers this rule at this operation.
pub(crate) fn fixes(rule: &str, site: &Site<'_>) -> bool {
    if !site.graph.is_static() || is_empty(site) {
        return false;
    }
    if rule == "concat-of-width-slices" {
        // It is the slices that are rewritten.
        let slices = site.op.values("values").iter().filter(|&&id| is_width_slice(site.graph, id));
        return slices.filter_map(|&id| site.graph.definition(id)).all(|operation| {
            fixes("width-offset-slice", &Site { graph: site.graph, op: site.op.function.view(operation) })
        });
    }
    rewrites().any(|rewrite| {
        rewrite.rule == rule && rewrite.ops.contains(&site.op.name()) && (rewrite.possible)(site)
    })
}

/// Whether a rewrite answers this rule about a value. None does: what programs take and give stays.
pub(crate) fn fixes_value(_rule: &Rule, _site: &ValueSite<'_>) -> bool {
    false
}
