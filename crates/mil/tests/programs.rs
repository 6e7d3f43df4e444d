//! The builder and the verifier: what they refuse, and in which words.

#![allow(clippy::unwrap_used, reason = "test code")]

use mil::{
    Arg, BuildError, Constant, DataType, Def, Function, FunctionBuilder, Opset, Program, TensorType, Type,
    Value, ValueId, verify,
};

/// `y = relu(x + w)`, in `main`.
fn sample() -> Function {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([2, 3])).unwrap();
    let w = f.constant(Constant::new([3], vec![1f32, 2.0, 3.0]).unwrap());
    let sum = f.add(x, w).unwrap();
    let y = f.op("relu").arg("x", sum).named("y").one().unwrap();
    f.finish(&[y]).unwrap()
}

/// Verifies the sample after a change; gives all faults.
fn faults(change: impl FnOnce(&mut Function)) -> String {
    let mut function = sample();
    change(&mut function);
    match verify(Program::single(function)) {
        Ok(_) => String::new(),
        Err(faults) => faults.iter().map(|fault| fault.to_string()).collect::<Vec<_>>().join("\n"),
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Function), expected: &str) {
    let found = faults(change);
    assert!(found.contains(expected), "found: {found}\nexpected: {expected}");
}

#[test]
fn a_built_program_verifies() {
    assert_eq!(faults(|_| {}), "");
    let verified = verify(Program::single(sample())).unwrap();
    assert_eq!(
        verified.function("main").unwrap().shape(verified.functions[0].body.outputs[0]).to_string(),
        "[2, 3]"
    );
}

#[test]
fn broken_definitions() {
    refused(|f| f.body.ops.swap(0, 1), "is used by op `relu` (value `y`) before it is defined");
    refused(|f| f.body.ops.push(f.body.ops[0].clone()), "is defined twice");
    refused(|f| f.inputs.push(f.inputs[0]), "is defined twice");
    refused(|f| f.inputs.push(f.body.outputs[0]), "is defined in another way than its value records");
    refused(|f| f.inputs.push(ValueId::from_index(99)), "the function has no such value");
    refused(
        |f| f.body.ops[0].args[0] = Arg::One(ValueId::from_index(99)),
        "uses %99, but the function has no such",
    );
    refused(|f| f.body.outputs.push(ValueId::from_index(99)), "output uses %99");
    refused(|f| f.body.inputs.push(f.inputs[0]), "has a body with inputs");
    refused(|f| f.body.outputs.clear(), "has no outputs and writes no state");
}

#[test]
fn broken_operations() {
    refused(
        |f| f.values[2].ty = Type::Tensor(TensorType::fp32([3, 2])),
        "records output type tensor<fp32, [3, 2]>",
    );
    refused(
        |f| f.values[1].ty = Type::Tensor(TensorType::fp32([4])),
        "but its constant is tensor<fp32, [3]>",
    );
    refused(|f| f.body.ops[0].args[1] = Arg::None, "parameter `y` is missing");
    refused(|f| f.body.ops[0].args[1] = Arg::Many(vec![]), "takes one value, but a tuple was given");
    refused(|f| drop(f.body.ops[0].args.pop()), "must be 2, but are 1");
    refused(|f| f.body.ops[1].outputs.clear(), "has 0 outputs, but must have 1");
    refused(|f| f.body.ops[0].blocks.push(mil::Block::default()), "`blocks` must be 0, but are 1");
    refused(
        |f| f.values[0].ty = Type::Tensor(TensorType::fp32([usize::MAX - 1, 3])),
        "has more elements than memory can hold",
    );
}

#[test]
fn names() {
    refused(|f| f.values[0].name = None, "inputs need names");
    refused(|f| f.values[3].name = Some("1y".into()), "use a letter or _ first");
    refused(|f| f.name = "a b".into(), "is not a name in MIL");
    refused(
        |f| f.values[3].name = Some("x".into()),
        "an output has the name of another value, the input `x`",
    );
    assert_eq!(faults(|f| f.body.outputs = vec![f.inputs[0]]), "", "a value that is both has one name");
    let mut function = sample();
    let twin = function.add_value(Value {
        name: Some("x".into()),
        ty: Type::Tensor(TensorType::fp32([1])),
        def: Def::Input,
    });
    function.inputs.push(twin);
    let faults = verify(Program::single(function)).unwrap_err();
    assert_eq!(faults[0].to_string(), "function `main`: two inputs are named `x`");
}

#[test]
fn programs() {
    let faults = verify(Program::default()).unwrap_err();
    assert!(faults[0].message.contains("at least one function"));
    let program = Program { functions: vec![sample(), sample()], build_info: Vec::new() };
    assert!(verify(program).unwrap_err()[0].message.contains("another function has the same name"));
}

#[test]
fn every_fault_is_found() {
    let found = faults(|f| {
        f.values[0].name = None;
        f.values[2].ty = Type::Tensor(TensorType::fp16([2, 3]));
        f.body.ops[1].args[0] = Arg::None;
    });
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn states() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let state = f.state("held", TensorType::fp16([2])).unwrap();
    let value = f.read_state(state).unwrap();
    f.update_state(state, value).unwrap();
    let error = f.unary("relu", state).unwrap_err().to_string();
    assert!(
        error.contains("must be a tensor, but is state<tensor<fp16, [2]>>; use `read_state` first"),
        "{error}"
    );
    let error = f.read_state(value).unwrap_err().to_string();
    assert!(error.contains("must be a state"), "{error}");
    let wide = f.cast(value, DataType::Fp32).unwrap();
    let error = f.update_state(state, wide).unwrap_err().to_string();
    assert!(error.contains("is tensor<fp32, [2]>, but the state holds tensor<fp16, [2]>"), "{error}");
    // No outputs, but it writes a state.
    let function = f.finish(&[]).unwrap();
    verify(Program::single(function.clone())).unwrap();

    let mut early = function;
    early.opset = Opset::Ios17;
    let faults = verify(Program::single(early)).unwrap_err();
    assert!(faults[0].to_string().contains("is a state, which needs ios18"), "{faults:?}");
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let words = f.state("words", TensorType::new(DataType::String, [2])).unwrap();
    let error = f.read_state(words).unwrap_err().to_string();
    assert!(error.contains("holds tensor<string, [2]>, but states hold one of fp16"), "{error}");
    let mut f = FunctionBuilder::new("main", Opset::Ios17);
    assert!(matches!(f.state("held", TensorType::fp16([2])), Err(BuildError::Opset { .. })));
}

#[test]
fn a_state_is_no_output() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let state = f.state("held", TensorType::fp16([2])).unwrap();
    let error = f.finish(&[state]).unwrap_err().to_string();
    assert!(error.contains("use `read_state` first"), "{error}");
}

#[test]
fn outputs_get_names_of_their_own() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([2])).unwrap();
    let w = f.float(DataType::Fp32, 1.0);
    let a = f.add(x, w).unwrap();
    let b = f.op("relu").arg("x", a).named("output").one().unwrap();
    let function = f.finish(&[a, b, x, w, a]).unwrap();
    let names: Vec<_> = function.body.outputs.iter().map(|&id| function.display_name(id)).collect();
    assert_eq!(names, ["output_1", "output", "output_2", "output_3", "output_4"]);
    verify(Program::single(function)).unwrap();
}

#[test]
fn wrong_outputs_are_refused() {
    let build = |name: &str, twice: bool| {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp32([2])).unwrap();
        let a = f.op("relu").arg("x", x).named(name).one().unwrap();
        let b = f.op("relu").arg("x", x).named(if twice { name } else { "b" }).one().unwrap();
        f.finish(&[a, b]).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(build("a", false), Ok(()));
    assert!(build("a-b", false).unwrap_err().contains("`a-b` is not a name in MIL"));
    assert!(build("a", true).unwrap_err().contains("two outputs named `a`"));
    assert!(build("x", false).unwrap_err().contains("an input and an output, named `x`"));
    let f = FunctionBuilder::new("main", Opset::Ios18);
    assert!(matches!(f.finish(&[ValueId::from_index(7)]), Err(BuildError::UnknownValue { value: 7, .. })));
}

#[test]
fn numbers_take_the_type_of_the_other_operand() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let h = f.input("h", TensorType::fp16([2])).unwrap();
    let i = f.input("i", TensorType::int32([2])).unwrap();
    let (a, b) = (f.mul(2.0, h).unwrap(), f.sub(i, -3.0).unwrap());
    assert_eq!((f.dtype(a), f.dtype(b)), (DataType::Fp16, DataType::Int32));
    let error = f.mul(i, 0.5).unwrap_err().to_string();
    assert!(error.contains("`y` is fp32, but must have the element type of `x`, int32"), "{error}");
    let leaky = f.op("leaky_relu").arg("x", h).float("alpha", 0.1).one().unwrap();
    assert_eq!(f.dtype(leaky), DataType::Fp16);
}

#[test]
fn builder_errors_name_the_op_and_the_value() {
    let mut f = FunctionBuilder::new("main", Opset::Ios15);
    let x = f.input("x", TensorType::fp32([2])).unwrap();
    let message = |result: Result<ValueId, BuildError>| result.unwrap_err().to_string();
    assert_eq!(message(f.op("reluu").arg("x", x).one()), "there is no op `reluu`; did you mean `relu`?");
    assert_eq!(message(f.op("relu").arg("y", x).one()), "op `relu` has no parameter `y`; it has: x");
    assert_eq!(
        message(f.op("elu").arg("x", x).named("e").one()),
        "op `elu` (value `e`): required parameter `alpha` is missing"
    );
    assert_eq!(
        message(f.op("fill_like").arg("ref_tensor", x).one()),
        "op `fill_like` needs opset ios16, but the function is written for ios15"
    );
    assert_eq!(
        message(f.op("split").arg("x", x).int("num_splits", 2).int("axis", 0).one()),
        "op `split` has 2 outputs here, but 1 were asked for"
    );
    assert!(matches!(f.input("x", TensorType::fp32([2])), Err(BuildError::Duplicate { .. })));
    assert!(matches!(f.input("a b", TensorType::fp32([2])), Err(BuildError::Name { .. })));
    assert!(matches!(f.input("y", TensorType::fp32([usize::MAX - 1, 2])), Err(BuildError::TooLarge { .. })));
    let foreign = ValueId::from_index(1000);
    assert!(matches!(f.unary("relu", foreign), Err(BuildError::UnknownValue { value: 1000, .. })));
    assert!(matches!(f.cast(foreign, DataType::Fp16), Err(BuildError::UnknownValue { .. })));
    assert!(matches!(f.reshape(foreign, &[2]), Err(BuildError::UnknownValue { .. })));
    assert!(matches!(f.add(foreign, 1.0), Err(BuildError::UnknownValue { .. })));
}
