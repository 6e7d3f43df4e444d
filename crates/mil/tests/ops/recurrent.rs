//! Recurrent networks: `x` is `[3, 2, 5]` (steps, batch, features), states have 4 elements.

use crate::support::{gives, gives_in, infer, refuses, refuses_in};
use mil::ops::recurrent::Nonlinearity;
use mil::{DefaultValue, Op, Opset};

const RNN: &str =
    "x: fp32[3,2,5]; initial_h: fp32[2,4]; weight_ih: const fp32[4,5]; weight_hh: const fp32[4,4]";
const GRU: &str =
    "x: fp32[3,2,5]; initial_h: fp32[2,4]; weight_ih: const fp32[12,5]; weight_hh: const fp32[12,4]";
const LSTM: &str = "x: fp32[3,2,5]; initial_h: fp32[2,4]; initial_c: fp32[2,4]; weight_ih: const fp32[16,5]; \
                    weight_hh: const fp32[16,4]";
const BOTH: &str = "x: fp32[3,2,5]; initial_h: fp32[2,8]; initial_c: fp32[2,8]; weight_ih: const fp32[16,5]; \
                    weight_hh: const fp32[16,4]; direction = \"bidirectional\"";
const BACK: &str = "weight_ih_back: const fp32[16,5]; weight_hh_back: const fp32[16,4]";

/// `base; more` for each of the cases, which give these types.
#[track_caller]
fn extends(op: &str, base: &str, cases: &[(&str, &str)]) {
    for (more, expected) in cases {
        gives(&[(op, &format!("{base}; {more}"), expected)]);
    }
}

/// `base; more` for each of the cases, which are refused with these messages.
#[track_caller]
fn spoils(op: &str, base: &str, cases: &[(&str, &str)]) {
    for (more, message) in cases {
        refuses(&[(op, &format!("{base}; {more}"), message)]);
    }
}

/// A call with one of its arguments replaced.
fn with(base: &str, param: &str, value: &str) -> String {
    let other = |argument: &&str| !argument.trim().starts_with(&format!("{param}:"));
    let rest: Vec<&str> = base.split(';').filter(other).collect();
    format!("{}; {param}: {value}", rest.join(";"))
}

#[test]
fn outputs_have_the_sizes_of_sequence_batch_and_state() {
    gives(&[
        ("rnn", RNN, "fp32[1,2,4] fp32[2,4]"),
        ("gru", GRU, "fp32[1,2,4] fp32[2,4]"),
        ("lstm", LSTM, "fp32[1,2,4] fp32[2,4] fp32[2,4]"),
    ]);
    let all = "output_sequence = true";
    extends("rnn", RNN, &[(all, "fp32[3,2,4] fp32[2,4]"), ("bias: const fp32[4]", "fp32[1,2,4] fp32[2,4]")]);
    extends("gru", GRU, &[(all, "fp32[3,2,4] fp32[2,4]"), ("bias: const fp32[12]", "fp32[1,2,4] fp32[2,4]")]);
    extends(
        "lstm",
        LSTM,
        &[
            (all, "fp32[3,2,4] fp32[2,4] fp32[2,4]"),
            ("bias: const fp32[16]; peephole: const fp32[12]; clip = 0.5", "fp32[1,2,4] fp32[2,4] fp32[2,4]"),
            ("direction = \"reverse\"", "fp32[1,2,4] fp32[2,4] fp32[2,4]"),
            // Apple reads the weights of the way back only for both directions.
            ("weight_ih_back: const fp32[1,1]", "fp32[1,2,4] fp32[2,4] fp32[2,4]"),
        ],
    );
    extends(
        "lstm",
        &format!("{BOTH}; {BACK}"),
        &[
            ("clip = 0.0", "fp32[1,2,8] fp32[2,8] fp32[2,8]"),
            (all, "fp32[3,2,8] fp32[2,8] fp32[2,8]"),
            ("bias_back: const fp32[16]; peephole_back: const fp32[12]", "fp32[1,2,8] fp32[2,8] fp32[2,8]"),
        ],
    );
}

#[test]
fn empty_batches_features_and_states_are_allowed_but_not_empty_sequences() {
    gives(&[
        (
            "rnn",
            "x: fp32[3,0,5]; initial_h: fp32[0,4]; weight_ih: const fp32[4,5]; weight_hh: const fp32[4,4]",
            "fp32[1,0,4] fp32[0,4]",
        ),
        (
            "rnn",
            &with(&with(RNN, "x", "fp32[3,2,0]"), "weight_ih", "const fp32[4,0]"),
            "fp32[1,2,4] fp32[2,4]",
        ),
        (
            "rnn",
            "x: fp32[3,2,5]; initial_h: fp32[2,0]; weight_ih: const fp32[0,5]; weight_hh: const fp32[0,0]",
            "fp32[1,2,0] fp32[2,0]",
        ),
    ]);
    for (op, base) in [("rnn", RNN), ("gru", GRU), ("lstm", LSTM)] {
        refuses(&[(
            op,
            &with(base, "x", "fp32[0,2,5]"),
            "`x` has shape [0, 2, 5], but must have at least one step",
        )]);
    }
}

#[test]
fn half_precision_came_with_ios17() {
    for (op, base, types) in [
        ("rnn", RNN, "fp16[1,2,4] fp16[2,4]"),
        ("gru", GRU, "fp16[1,2,4] fp16[2,4]"),
        ("lstm", LSTM, "fp16[1,2,4] fp16[2,4] fp16[2,4]"),
    ] {
        let half = base.replace("fp32", "fp16");
        gives_in(Opset::Ios17, &[(op, &half, types)]);
        gives_in(Opset::Ios15, &[(op, base, &types.replace("fp16", "fp32"))]);
        refuses_in(Opset::Ios16, &[(op, &half, "`x`")]);
        refuses(&[(op, &with(base, "initial_h", "fp16[2,4]"), "`initial_h`")]);
        refuses(&[(op, &with(base, "x", "int32[3,2,5]"), "`x`")]);
    }
    gives(&[(
        "lstm",
        &format!("{}; clip = fp16 0.5", LSTM.replace("fp32", "fp16")),
        "fp16[1,2,4] fp16[2,4] fp16[2,4]",
    )]);
}

#[test]
fn reset_after_and_input_bias_came_with_ios18() {
    let more = [
        ("reset_after = true", "`reset_after` is new in ios18"),
        ("input_bias: const fp32[12]", "`input_bias` is new in ios18"),
    ];
    for (argument, message) in more {
        let call = format!("{GRU}; {argument}");
        gives(&[("gru", &call, "fp32[1,2,4] fp32[2,4]")]);
        refuses_in(Opset::Ios17, &[("gru", &call, message)]);
    }
    spoils(
        "gru",
        GRU,
        &[("input_bias: const fp32[4]", "`input_bias` has shape [4], but must have shape [12]")],
    );
}

#[test]
fn weights_are_constants_that_fit() {
    for (op, base, rows) in [("rnn", RNN, 4), ("gru", GRU, 12), ("lstm", LSTM, 16)] {
        refuses(&[
            (op, &with(base, "weight_ih", &format!("fp32[{rows},5]")), "`weight_ih` must be a constant"),
            (op, &with(base, "weight_hh", &format!("fp32[{rows},4]")), "`weight_hh` must be a constant"),
            (op, &with(base, "bias", &format!("fp32[{rows}]")), "`bias` must be a constant"),
            (
                op,
                &with(base, "weight_ih", &format!("const fp32[{rows},6]")),
                &format!("must have shape [{rows}, 5]"),
            ),
            (op, &with(base, "weight_ih", "const fp32[7,5]"), &format!("must have shape [{rows}, 5]")),
            (op, &with(base, "weight_hh", "const fp32[5,4]"), &format!("must have shape [{rows}, 4]")),
            (op, &with(base, "weight_hh", "const fp32[4]"), "`weight_hh` must have rank 2"),
            (op, &with(base, "weight_ih", "const fp32[20]"), "`weight_ih` has shape [20]"),
            (op, &with(base, "bias", "const fp32[2]"), &format!("must have shape [{rows}]")),
            (op, &with(base, "x", "fp32[3,2]"), "`x` must have rank 3, but has shape [3, 2]"),
            (
                op,
                &with(base, "initial_h", "fp32[3,4]"),
                "`initial_h` has shape [3, 4], but must have shape [2, 4]",
            ),
            (op, &with(base, "initial_h", "fp32[1,2,4]"), "must have shape [2, 4]"),
        ]);
    }
    refuses(&[("lstm", &with(LSTM, "initial_c", "fp32[2,8]"), "`initial_c` has shape [2, 8]")]);
    spoils(
        "lstm",
        LSTM,
        &[
            ("peephole: const fp32[16]", "`peephole` has shape [16], but must have shape [12]"),
            ("clip = -1.0", "`clip` is -1, but must be 0 or more"),
            ("clip = NaN", "`clip` is NaN"),
            ("clip = [0.5, 0.5]", "`clip` must be one number"),
            ("clip: fp32[]", "`clip` must be a constant"),
        ],
    );
}

#[test]
fn both_directions_need_weights_and_states_for_both() {
    refuses(&[
        ("lstm", BOTH, "`weight_ih_back` is missing, but `direction` \"bidirectional\""),
        ("lstm", &format!("{BOTH}; weight_ih_back: const fp32[16,5]"), "`weight_hh_back` is missing"),
        ("lstm", &format!("{}; {BACK}", with(BOTH, "initial_h", "fp32[2,4]")), "must have shape [2, 8]"),
        ("lstm", &format!("{}; {BACK}", with(BOTH, "initial_c", "fp32[2,4]")), "must have shape [2, 8]"),
    ]);
    spoils(
        "lstm",
        &format!("{BOTH}; {BACK}"),
        &[
            ("bias_back: const fp32[4]", "`bias_back` has shape [4], but must have shape [16]"),
            ("peephole_back: const fp32[4]", "`peephole_back` has shape [4], but must have shape [12]"),
        ],
    );
    for (op, base) in [("rnn", RNN), ("gru", GRU)] {
        spoils(
            op,
            base,
            &[
                ("direction = \"bidirectional\"", "must be one of: forward, reverse"),
                ("direction = \"backward\"", "is \"backward\", but must be one of: forward, reverse"),
            ],
        );
    }
}

#[test]
fn activations_go_by_either_of_apples_names() {
    for (name, _) in Nonlinearity::NAMES {
        for (op, base) in [("rnn", RNN), ("gru", GRU), ("lstm", LSTM)] {
            for param in activations(op) {
                for spelled in [name.to_string(), name.to_uppercase()] {
                    let call = format!("{base}; {param} = \"{spelled}\"");
                    assert!(infer(Opset::Ios18, op, &call).is_ok(), "{call}");
                }
            }
        }
    }
    let long = "é".repeat(300);
    for (op, base) in [("rnn", RNN), ("gru", GRU), ("lstm", LSTM)] {
        for param in activations(op) {
            for wrong in ["gelu", "", &long] {
                refuses(&[(
                    op,
                    &format!("{base}; {param} = \"{wrong}\""),
                    "must be one of: hard_sigmoid, linear",
                )]);
            }
        }
    }
}

/// The parameters of an op that name a nonlinearity.
fn activations(op: &str) -> Vec<&'static str> {
    let params = Op::named(op).unwrap().declaration().params.iter();
    let found: Vec<_> = params.filter(|param| param.name.ends_with("activation")).collect();
    assert!(found.iter().all(|param| matches!(param.default, DefaultValue::Str("sigmoid" | "tanh"))), "{op}");
    found.into_iter().map(|param| param.name).collect()
}

#[test]
fn sizes_beyond_memory_are_refused() {
    // The most elements that a shape may count, empty dimensions aside.
    let huge = isize::MAX as usize / 8;
    // More states than there can be, of weights that take no memory because they have no columns.
    let call = format!(
        "x: fp32[1,{huge},0]; initial_h: fp32[{huge},0]; weight_ih: const fp32[0,0]; weight_hh: const fp32[0,0]"
    );
    gives(&[("rnn", &call, &format!("fp32[1,{huge},0] fp32[{huge},0]"))]);
    let wide = format!("const fp32[0,{huge}]");
    for (op, base) in [("rnn", RNN), ("gru", GRU), ("lstm", LSTM)] {
        assert!(infer(Opset::Ios18, op, &with(base, "weight_hh", &wide)).is_err());
        assert!(infer(Opset::Ios18, op, &with(base, "weight_ih", &wide)).is_err());
    }
}
