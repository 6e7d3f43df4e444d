//! Which operations of a function the engine takes: what [`check`](super::check) asks of a whole program, asked of each.

use super::check::Checker;
use super::declare::{Holds, Severity, Test};
use super::site::Graph;
use super::{FunctionSummary, conditions};
use crate::chips::Chip;
use mil::{Block, Function, Operation};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why an operation is left to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hosted {
    /// Name of the rule.
    pub rule: &'static str,
    /// The op; of a nested operation, that one's.
    pub op: &'static str,
    /// Name of the value.
    pub value: String,
    /// What stands in the way, in a sentence.
    pub why: String,
}

/// For each operation of a function's body, in order: why the engine does not take it, or `None` where it does. What
/// is nested in an operation decides for it.
pub fn hosted(function: &Function, chip: &'static Chip) -> Vec<Option<Hosted>> {
    let count = function.body.ops.len();
    let Some(limits) = chip.family().limits() else {
        let why = format!("{} is programmed through MIL by no compiler that is known", chip.name);
        let reason = |operation: &Operation| Hosted {
            rule: super::general::NO_MIL.id,
            op: operation.op.declaration().name,
            value: operation.outputs.first().map_or_else(String::new, |&id| function.display_name(id)),
            why: why.clone(),
        };
        return function.body.ops.iter().map(|operation| Some(reason(operation))).collect();
    };
    let graph = Graph::new(function, chip, limits);
    let owners = owners(&function.body);
    let mut hosted = vec![None; count];
    for (at, site) in graph.sites().enumerate() {
        let slot = &mut hosted[owners[at]];
        if slot.is_some() {
            continue;
        }
        let mut checker = Checker { function, chip, found: BTreeMap::new() };
        let mut summary = FunctionSummary { name: String::new(), operations: 0, refused: 0, decomposed: 0 };
        if checker.operation(at, &site, &mut summary) {
            let refused =
                checker.found.into_values().find(|(_, finding)| finding.severity == Severity::Refused);
            *slot = refused.map(|(_, finding)| Hosted {
                rule: finding.rule,
                op: finding.op,
                value: finding.value,
                why: finding.summary,
            });
        }
    }
    for site in graph.value_sites() {
        let Some(at) = graph.defined_at(site.id) else { continue };
        if hosted[owners[at]].is_some() {
            continue;
        }
        // Ports between engine and host are not those of the function: their types are no matter here.
        let refused = conditions().find_map(|rule| match rule.test {
            Test::Value(test)
                if rule.severity == Severity::Refused
                    && rule.scope.holds(chip) == Holds::Yes
                    && !PORT_RULES.contains(&rule.id) =>
            {
                test(&site).map(|hit| (rule, hit))
            }
            _ => None,
        });
        hosted[owners[at]] = refused.map(|(rule, hit)| Hosted {
            rule: rule.id,
            op: graph.operations[at].op.declaration().name,
            value: function.display_name(site.id),
            why: format!("{}: {}", rule.summary, hit.found),
        });
    }
    hosted
}

/// What the engine does not take of what enters and leaves a function, states included: the types of it, and inputs
/// that are outputs.
pub(crate) fn refused_ports(function: &Function, chip: &'static Chip) -> Vec<Hosted> {
    let Some(limits) = chip.family().limits() else { return Vec::new() };
    let graph = Graph::new(function, chip, limits);
    let rules = || {
        conditions().filter(|rule| {
            PORT_RULES.contains(&rule.id)
                && rule.severity == Severity::Refused
                && rule.scope.holds(chip) == Holds::Yes
        })
    };
    let of_value = |site| {
        rules().find_map(|rule| match rule.test {
            Test::Value(test) => test(&site).map(|hit| Hosted {
                rule: rule.id,
                op: graph
                    .defined_at(site.id)
                    .map_or("input", |at| graph.operations[at].op.declaration().name),
                value: function.display_name(site.id),
                why: format!("{}: {}", rule.summary, hit.found),
            }),
            _ => None,
        })
    };
    graph.value_sites().filter_map(of_value).collect()
}

/// Rules about what enters and leaves a function.
const PORT_RULES: [&str; 2] = ["io-type", "passthrough"];

/// For every operation in the order of [`Graph::operations`]: the operation of the body that it is, or is nested in.
fn owners(body: &Block) -> Vec<usize> {
    fn count(operation: &Operation) -> usize {
        1 + operation.blocks.iter().flat_map(|block| &block.ops).map(count).sum::<usize>()
    }
    body.ops
        .iter()
        .enumerate()
        .flat_map(|(at, operation)| std::iter::repeat_n(at, count(operation)))
        .collect()
}
