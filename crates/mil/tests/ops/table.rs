//! The table itself: every declaration is complete and consistent.

use mil::{DataType, DefaultValue, Effect, Op, Opset, ParamKind};
use std::collections::HashSet;

#[test]
fn every_declaration_is_complete() {
    let mut names = HashSet::new();
    for op in Op::all() {
        let name = op.name;
        assert!(names.insert(name), "two ops are named {name}");
        assert_eq!(Op::named(name), Some(op));
        assert!(op.summary.ends_with('.') || op.summary.ends_with(')'), "{name}: {}", op.summary);
        assert!(op.summary.len() > 3, "{name} has no summary");
        let mut params = HashSet::new();
        for param in op.params {
            let place = format!("{name}.{}", param.name);
            assert!(params.insert(param.name), "{place} stands twice");
            assert!(!param.name.is_empty() && !param.name.contains(' '), "{place}");
            assert!(
                param.since == Opset::Ios15 || param.is_optional(),
                "{place} is new, so it needs a default"
            );
            for opset in Opset::ALL {
                assert!(param.constraint(opset).0.iter().next().is_some(), "{place} allows no element type");
            }
        }
    }
}

#[test]
fn defaults_have_an_allowed_type() {
    for op in Op::all() {
        for param in op.params.iter().filter(|param| param.is_optional()) {
            let allowed = param.constraint(Opset::Ios18).0;
            let any = |test: fn(DataType) -> bool| allowed.iter().any(test);
            let fits = match param.default {
                DefaultValue::Required => false,
                DefaultValue::Absent => true,
                DefaultValue::Bool(_) => any(|dtype| dtype == DataType::Bool),
                DefaultValue::Int(_) => any(DataType::is_int),
                DefaultValue::Float(_) => any(DataType::is_float),
                DefaultValue::Str(_) => any(|dtype| dtype == DataType::String),
            };
            assert!(fits, "{}.{}: {:?} is not of {allowed}", op.name, param.name, param.default);
            // Kernels bind operands and nothing else; `make_list` has no kernel, it is interpreted.
            let bound = param.default != DefaultValue::Absent && !param.constant && op.name != "make_list";
            assert!(!bound, "{}.{}", op.name, param.name);
        }
    }
}

#[test]
fn effects_and_kinds() {
    for op in Op::all() {
        let states = op.params.iter().filter(|param| param.kind == ParamKind::State).count();
        let by_name = match op.name {
            "read_state" => (Effect::Read, 1),
            "coreml_update_state" => (Effect::Write, 1),
            "cond" | "while_loop" => (Effect::Blocks(2), 0),
            name if name.starts_with("random_") => (Effect::Random, 0),
            _ => (Effect::Pure, 0),
        };
        assert_eq!((op.effect, states), by_name, "{}", op.name);
    }
}

#[test]
fn unknown_names_are_helped() {
    assert_eq!(Op::named("convolution"), None);
    assert_eq!(Op::nearest("softmaxx"), Some("softmax"));
    assert_eq!(Op::nearest("reduce_summ"), Some("reduce_sum"));
    assert_eq!(Op::nearest("xyzzy_plugh"), None);
}
