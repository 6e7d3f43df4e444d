//! A call as a trace for Perfetto (ui.perfetto.dev) or Chrome (chrome://tracing).

use super::around;
use crate::error::CliError;
use anemone::ane::cost::{Bound, Estimate};
use serde_json::{Value, json};

/// The tracks, by what bounds an operation.
const TRACKS: &[(Bound, &str)] = &[
    (Bound::HostCopy, "host copies"),
    (Bound::Dispatch, "dispatch"),
    (Bound::Ports, "ports"),
    (Bound::Compute, "compute"),
    (Bound::Weights, "weights"),
    (Bound::Activations, "activations"),
    (Bound::Issue, "issue"),
];

/// The trace as JSON: complete events one after another, in microseconds, on a track for each bound.
pub(super) fn json(found: &Estimate, model: &str) -> Result<String, CliError> {
    let track = |bound: Bound| TRACKS.iter().position(|(other, _)| *other == bound).unwrap_or(0);
    let mut events = vec![json!({
        "ph": "M", "pid": 1, "name": "process_name",
        "args": {"name": format!("{model} on {} (estimated)", found.chip)},
    })];
    events.extend(TRACKS.iter().enumerate().map(|(at, (_, name))| {
        json!({"ph": "M", "pid": 1, "tid": at, "name": "thread_name", "args": {"name": name}})
    }));
    let mut now = 0.0;
    let mut add = |name: &str, bound: Bound, time: f64, args: Value| {
        events.push(json!({
            "ph": "X", "pid": 1, "tid": track(bound), "ts": now, "dur": time, "name": name, "cat": bound.name(), "args": args,
        }));
        now += time;
    };
    for (name, bound, time) in around(found) {
        add(name, bound, time, json!({}));
    }
    for op in found.ops.iter().filter(|op| op.time_us > 0.0) {
        let name = format!("{} {}", op.op, op.value);
        let args = json!({
            "op": op.op, "value": op.value, "flops": op.flops, "bytes": op.bytes, "tflops": op.tflops, "gb_s": op.gb_s,
            "utilization": op.utilization, "count": op.count,
        });
        add(&name, op.bound, op.time_us, args);
    }
    let whole = json!({
        "traceEvents": events, "displayTimeUnit": "ms",
        "otherData": {"chip": found.chip, "model": model, "latency_ms": found.latency_ms.mid, "estimated": true},
    });
    serde_json::to_string(&whole).map_err(|error| CliError::failed(error.to_string()))
}
