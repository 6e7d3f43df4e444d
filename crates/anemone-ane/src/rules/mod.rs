//! Will it run there? What the engine takes, what it makes other work of, what it refuses, and where it is wrong without a word.
//!
//! [`op_rules`] says for every op of MIL where it goes on each family of chips; [`rules`] are conditions on top: shapes, element
//! types, attributes, and the published miscompiles. [`check`] holds a program against both. All of it is predicted from published
//! facts: nothing here was compiled or run on a device.
//!
//! One module per op family, named as everywhere; `general` is about all ops.

mod activation;
mod check;
mod classify;
mod constexpr;
mod control_flow;
pub(crate) mod conv;
mod declare;
mod elementwise_binary;
mod elementwise_unary;
mod general;
mod hosted;
mod image_resizing;
mod linear;
mod normalization;
mod pool;
mod quantization;
mod random;
mod range;
mod recurrent;
mod reduction;
mod scatter_gather;
mod site;
mod state;
mod tensor_operation;
pub(crate) mod tensor_transformation;
mod transformers;

pub use check::{BASIS, CheckError, Finding, FunctionSummary, Report, Verdict, check};
pub(crate) use check::{chosen, refuses};
pub use declare::{Elsewhere, Entry, Holds, OpRule, Placement, Rule, Scope, Severity, Test};
pub(crate) use hosted::refused_ports;
pub use hosted::{Hosted, hosted};
pub use range::Range;
pub use site::{Graph, Hit, Site, ValueSite};

use std::collections::HashMap;
use std::sync::LazyLock;

static OPS: [&[OpRule]; 20] = [
    activation::OPS,
    classify::OPS,
    constexpr::OPS,
    control_flow::OPS,
    conv::OPS,
    elementwise_binary::OPS,
    elementwise_unary::OPS,
    image_resizing::OPS,
    linear::OPS,
    normalization::OPS,
    pool::OPS,
    quantization::OPS,
    random::OPS,
    recurrent::OPS,
    reduction::OPS,
    scatter_gather::OPS,
    state::OPS,
    tensor_operation::OPS,
    tensor_transformation::OPS,
    transformers::OPS,
];

static RULES: [&[Rule]; 14] = [
    general::RULES,
    activation::RULES,
    constexpr::RULES,
    conv::RULES,
    elementwise_binary::RULES,
    elementwise_unary::RULES,
    image_resizing::RULES,
    linear::RULES,
    normalization::RULES,
    pool::RULES,
    reduction::RULES,
    tensor_operation::RULES,
    tensor_transformation::RULES,
    transformers::RULES,
];

static INDEX: LazyLock<HashMap<&'static str, &'static OpRule>> =
    LazyLock::new(|| op_rules().map(|rule| (rule.op, rule)).collect());

/// Where every op goes, by op family.
pub fn op_rules() -> impl Iterator<Item = &'static OpRule> {
    OPS.iter().flat_map(|family| family.iter())
}

/// Where an op goes.
pub fn op_rule(op: &str) -> Option<&'static OpRule> {
    INDEX.get(op).copied()
}

/// Every condition, those on whole programs included.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let whole = [&general::NO_MIL, &general::PROGRAM_SIZE, &general::UNSUPPORTED, &general::UNKNOWN_OP];
    whole.into_iter().chain(conditions())
}

/// Conditions on single operations and values.
fn conditions() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().flat_map(|family| family.iter())
}
