//! The constants of a program: how many numbers, in which types, and where they are.

use crate::error::CliError;
use crate::output::{Output, thousands};
use anemone::mil::text::{BlobError, WeightLocation, WeightSink};
use anemone::mil::{Constant, DataType, Family, Function, Operation, Program, ValueId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Constants of fewer elements are parameters of operations, not weights.
const LEAST: usize = 10;
/// Parts of the tree that hold less of all bytes than this are summed up.
const SHARE: f64 = 0.04;
const DEPTH: usize = 3;

/// One weight.
struct Weight {
    name: String,
    elements: usize,
    bytes: usize,
    ty: String,
    dtype: DataType,
}

/// All weights of a program; those that functions share are counted once.
pub(super) struct Weights {
    stored: Vec<Weight>,
    /// Numbers that the program computes with: of compressed weights those that they stand for.
    parameters: usize,
}

impl Weights {
    pub(super) fn of(program: &Program) -> Weights {
        let (mut seen, mut expanded) = (HashSet::new(), HashSet::new());
        let mut weights = Vec::new();
        let mut parameters = 0;
        for function in &program.functions {
            let packed = packed(function);
            // What is unpacked in steps counts once, at the end.
            for operation in function.body.ops.iter().filter(|operation| is_packed(operation)) {
                let last = operation.outputs.iter().filter(|id| !packed.contains(id));
                let from: Vec<usize> = operation
                    .uses()
                    .filter_map(|id| function.constant(id))
                    .map(|constant| constant.bytes().as_ptr() as usize)
                    .collect();
                if expanded.insert(from) {
                    parameters += last.map(|&id| function.shape(id).count()).sum::<usize>();
                }
            }
            for (index, value) in function.values.iter().enumerate() {
                let anemone::mil::Def::Const(constant) = &value.def else { continue };
                let ty = constant.ty();
                let elements = ty.shape.count();
                let storage = (constant.bytes().as_ptr() as usize, ty.bytes());
                if elements < LEAST || ty.dtype == DataType::String || !seen.insert(storage) {
                    continue;
                }
                let id = anemone::mil::ValueId::from_index(index);
                if !packed.contains(&id) {
                    parameters += elements;
                }
                let name = function.display_name(id);
                weights.push(Weight {
                    name,
                    elements,
                    bytes: ty.bytes(),
                    ty: ty.to_string(),
                    dtype: ty.dtype,
                });
            }
        }
        weights.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Weights { stored: weights, parameters }
    }

    fn totals(&self) -> (usize, BTreeMap<DataType, (usize, usize)>) {
        let mut by_type: BTreeMap<DataType, (usize, usize)> = BTreeMap::new();
        for weight in &self.stored {
            let entry = by_type.entry(weight.dtype).or_default();
            entry.0 += weight.elements;
            entry.1 += weight.bytes;
        }
        (self.stored.iter().map(|weight| weight.bytes).sum(), by_type)
    }

    pub(super) fn print(&self, out: &mut Output) -> Result<(), CliError> {
        let (bytes, by_type) = self.totals();
        if self.stored.is_empty() {
            return out.result("no weights");
        }
        out.result(&format!(
            "weights  {} parameters, in {} tensor{} of {}",
            thousands(self.parameters as f64),
            self.stored.len(),
            if self.stored.len() == 1 { "" } else { "s" },
            size(bytes)
        ))?;
        let rows: Vec<(&str, String)> = by_type
            .iter()
            .map(|(dtype, (elements, bytes))| {
                (dtype.name(), format!("{} numbers, {}", thousands(*elements as f64), size(*bytes)))
            })
            .collect();
        out.table(&rows)?;
        out.result("")?;
        let all: Vec<(&str, &Weight)> =
            self.stored.iter().map(|weight| (weight.name.as_str(), weight)).collect();
        tree(out, &all, bytes, 0)
    }

    pub(super) fn as_json(&self) -> Value {
        let (bytes, by_type) = self.totals();
        let by_type: BTreeMap<&str, Value> = by_type
            .into_iter()
            .map(|(dtype, (elements, bytes))| (dtype.name(), json!({"numbers": elements, "bytes": bytes})))
            .collect();
        let largest: Vec<Value> = self
            .stored
            .iter()
            .take(20)
            .map(|weight| json!({"name": weight.name, "type": weight.ty, "bytes": weight.bytes}))
            .collect();
        json!({"parameters": self.parameters, "bytes": bytes, "by_dtype": by_type, "largest": largest})
    }
}

/// Whether an operation unpacks a compressed weight.
fn is_packed(operation: &Operation) -> bool {
    operation.op.family == Family::Constexpr
}

/// What goes into such operations.
fn packed(function: &Function) -> HashSet<ValueId> {
    function.body.ops.iter().filter(|operation| is_packed(operation)).flat_map(Operation::uses).collect()
}

/// Weights by the parts of their names, the largest part first.
fn tree(out: &mut Output, weights: &[(&str, &Weight)], all: usize, depth: usize) -> Result<(), CliError> {
    let mut groups: BTreeMap<&str, Vec<(&str, &Weight)>> = BTreeMap::new();
    for &(rest, weight) in weights {
        let head = rest.find(['_', '.']).filter(|&at| at > 0).map_or(rest, |at| &rest[..at]);
        let tail = rest[head.len()..].trim_start_matches(['_', '.']);
        groups.entry(head).or_default().push((tail, weight));
    }
    let bytes = |group: &[(&str, &Weight)]| group.iter().map(|(_, weight)| weight.bytes).sum::<usize>();
    let mut groups: Vec<_> =
        groups.into_iter().map(|(head, group)| (head.to_string(), bytes(&group), group)).collect();
    groups.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let indent = "  ".repeat(depth + 1);
    let (mut rest, mut rest_bytes) = (0, 0);
    for (mut head, bytes, mut group) in groups {
        if (bytes as f64) < SHARE * all as f64 {
            rest += group.len();
            rest_bytes += bytes;
            continue;
        }
        // A part that leads to one other alone is written together with it.
        while let Some(next) = only_child(&group) {
            head = format!("{head}_{next}");
            for (tail, _) in &mut group {
                *tail = tail[next.len()..].trim_start_matches(['_', '.']);
            }
        }
        let share = 100.0 * bytes as f64 / all.max(1) as f64;
        match group.as_slice() {
            [(tail, weight)] => {
                let name = if tail.is_empty() { head } else { format!("{head}_{tail}") };
                out.result(&format!("{indent}{share:>5.1} %  {name}  {}", weight.ty))?;
            }
            _ => {
                out.result(&format!(
                    "{indent}{share:>5.1} %  {head}  {} tensors, {}",
                    group.len(),
                    size(bytes)
                ))?;
                if depth + 1 < DEPTH && group.iter().any(|(tail, _)| !tail.is_empty()) {
                    tree(out, &group, all, depth + 1)?;
                }
            }
        }
    }
    if rest > 0 {
        let share = 100.0 * rest_bytes as f64 / all.max(1) as f64;
        out.result(&format!("{indent}{share:>5.1} %  {rest} smaller, {}", size(rest_bytes)))?;
    }
    Ok(())
}

fn only_child<'n>(group: &[(&'n str, &Weight)]) -> Option<&'n str> {
    let head = |tail: &'n str| tail.find(['_', '.']).map_or(tail, |at| &tail[..at]);
    let [(first, _), _, ..] = group else { return None };
    let first = head(first);
    let same = !first.is_empty() && group.iter().all(|(tail, _)| head(tail) == first);
    same.then_some(first)
}

/// `12.3 MB`, in powers of ten.
pub(crate) fn size(bytes: usize) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1000.0 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{number:.1} {}", units[unit]) }
}

/// Stands for the weight file of a text that is only looked at: weights get numbers instead of being printed.
#[derive(Default)]
pub(crate) struct Elided(u64);

impl WeightSink for Elided {
    fn store(&mut self, _: &Constant) -> Result<WeightLocation, BlobError> {
        self.0 += 1;
        Ok(WeightLocation { path: "weights".into(), offset: self.0 })
    }
}
