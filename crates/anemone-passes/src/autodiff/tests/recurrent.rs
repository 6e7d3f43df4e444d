//! What back-propagation through time adds to a program.

use super::*;

/// Operations that the gradient of one recurrent operation by everything adds.
fn added(op: &str, steps: usize, options: &[&str]) -> usize {
    let mut f = builder();
    let gates = match op {
        "rnn" => 1,
        "gru" => 3,
        _ => 4,
    };
    let both = if options.contains(&"bidirectional") { 2 } else { 1 };
    let mut wrt = vec![f.input("x", TensorType::fp32([steps, 2, 5])).unwrap()];
    wrt.push(f.input("h", TensorType::fp32([2, both * 3])).unwrap());
    let constant = |f: &mut FunctionBuilder, shape: &[usize]| {
        f.constant(Constant::splat(&TensorType::fp32(shape), 0.5).unwrap())
    };
    let (input, recurrent) = (constant(&mut f, &[gates * 3, 5]), constant(&mut f, &[gates * 3, 3]));
    wrt.extend([input, recurrent]);
    let cell = if op == "lstm" { Some(f.input("c", TensorType::fp32([2, both * 3])).unwrap()) } else { None };
    wrt.extend(cell);
    let peephole = constant(&mut f, &[9]);
    let mut builder = f.op(op).arg("x", wrt[0]).arg("initial_h", wrt[1]).maybe("initial_c", cell);
    builder = builder.arg("weight_ih", input).arg("weight_hh", recurrent);
    builder = builder.bool("output_sequence", !options.contains(&"last"));
    for &option in options {
        builder = match option {
            "linear" => builder.string("activation", "linear"),
            "reset_after" => builder.bool("reset_after", true),
            "clip" => builder.float("clip", 0.5),
            "peephole" => builder.arg("peephole", peephole),
            "bidirectional" => builder
                .string("direction", option)
                .arg("weight_ih_back", input)
                .arg("weight_hh_back", recurrent),
            _ => builder,
        };
    }
    let y = builder.many().unwrap()[0];
    let loss = total(&mut f, y);
    let before = f.function().body.ops.len();
    let grads = gradients(&mut f, loss, &wrt).unwrap();
    let after = f.function().body.ops.len();
    check(f, &grads);
    after - before
}

#[test]
fn steps_cost_what_the_module_says() {
    let cases: &[(&str, &[&str], usize)] = &[
        ("rnn", &[], 3),
        ("rnn", &["linear"], 2),
        ("rnn", &["last"], 2),
        ("gru", &[], 10),
        ("gru", &["reset_after"], 6),
        ("gru", &["last"], 9),
        ("lstm", &[], 9),
        ("lstm", &["last"], 8),
        ("lstm", &["clip"], 11),
        ("lstm", &["peephole"], 15),
        ("lstm", &["clip", "peephole"], 17),
        ("lstm", &["bidirectional"], 18),
    ];
    for &(op, options, each) in cases {
        let few = added(op, 10, options);
        assert_eq!(added(op, 110, options) - few, 100 * each, "{op} {options:?}");
        // What does not grow with the sequence.
        let directions = if options.contains(&"bidirectional") { 2 } else { 1 };
        assert!(few < 10 * each + 80 * directions, "{op} {options:?}: {few} operations for ten steps");
    }
}

#[test]
fn a_sequence_of_one_step_has_gradients() {
    for (op, options) in
        [("rnn", &[][..]), ("gru", &["reset_after"]), ("lstm", &["bidirectional"]), ("lstm", &["last"])]
    {
        assert!(added(op, 1, options) > 0, "{op} {options:?}");
    }
}
