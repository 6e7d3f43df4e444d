//! Blocks, lists and shapes that only running tells: built, verified, printed, parsed.

use mil::text::canonical;
use mil::{
    Arg, Block, BuildError, Constant, DataType, Def, Function, FunctionBuilder, MAX_DEPTH, Operation, Opset,
    Program, TensorType, Type, UNKNOWN, Value, ValueId, verify,
};

type Built = Result<Function, BuildError>;

/// What verifies must survive its text; returns the text.
fn round_trip(function: Function) -> String {
    let verified = verify(Program::single(function)).unwrap();
    let text = verified.to_string();
    let parsed: Program = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(parsed, canonical(&verified), "{text}");
    assert_eq!(parsed.to_string(), text);
    verify(parsed).unwrap();
    text
}

/// Sums 0, 1, …, n - 1 into every element of `x`.
fn counting() -> Built {
    let mut f = FunctionBuilder::new("main", Opset::Ios16);
    let n = f.input("n", TensorType::int32([]))?;
    let x = f.input("x", TensorType::fp32([2]))?;
    let zero = f.int(0);
    let vars = f.while_loop(
        &[zero, x],
        |f, vars| f.less(vars[0], n),
        |f, vars| {
            let number = f.cast(vars[0], DataType::Fp32)?;
            Ok(vec![f.add(vars[0], 1.0)?, f.add(vars[1], number)?])
        },
    )?;
    f.finish(&[vars[1]])
}

#[test]
fn loops_and_choices() -> Result<(), BuildError> {
    let function = counting()?;
    assert!(!function.is_static());
    assert!(matches!(function.require_static(), Err(BuildError::NotStatic { .. })));
    let text = round_trip(function);
    assert!(text.contains("= while_loop(loop_vars = (while_loop_0_loop_vars, x))"), "{text}");

    let mut f = FunctionBuilder::new("main", Opset::Ios15);
    let p = f.input("p", TensorType::bool([]))?;
    let x = f.input("x", TensorType::fp32([2, 3]))?;
    let results = f.cond(
        p,
        |f| Ok(vec![f.unary("relu", x)?]),
        |f| {
            // A loop inside, and a shape that differs from the other branch's.
            let three = f.int(3);
            let last =
                f.while_loop(&[three], |f, v| f.greater(v[0], 0.0), |f, v| Ok(vec![f.sub(v[0], 1.0)?]))?;
            let number = f.cast(last[0], DataType::Fp32)?;
            let row = f.reduce("reduce_sum", x, &[0], true)?;
            Ok(vec![f.add(row, number)?])
        },
    )?;
    assert_eq!(*f.ty(results[0]), Type::Tensor(TensorType::fp32([UNKNOWN, 3])));
    // What follows has an operand of unknown shape, so it says its own.
    let sum = f.op("reduce_sum").arg("x", results[0]).ints("axes", &[0, 1]);
    let error = sum.one().unwrap_err().to_string();
    assert!(error.contains("has shape [?, 3]") && error.contains("declare"), "{error}");
    let scalar = Type::Tensor(TensorType::fp32([]));
    let sum = f.op("reduce_sum").arg("x", results[0]).ints("axes", &[0, 1]).declared(&[scalar]).one()?;
    round_trip(f.finish(&[sum])?);
    Ok(())
}

#[test]
fn lists() -> Result<(), BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios15);
    let x = f.input("x", TensorType::fp32([4]))?;
    let [one, four] = [f.int(1), f.int(4)];
    let list = f.op("make_list").arg("init_length", one).args("elem_shape", &[four]).one()?;
    assert_eq!(f.ty(list).to_string(), "list<tensor<fp32, [4]>, ?>");
    let list = f.op("list_write").arg("ls", list).arg("index", one).arg("value", x).one()?;
    let length = f.op("list_length").arg("ls", list).one()?;
    let both = f.op("list_gather").arg("ls", list).ints("indices", &[0, 1]).one()?;
    let read = f.op("list_read").arg("ls", list).arg("index", one).one()?;
    let list = f.op("list_scatter").arg("ls", list).ints("indices", &[2, 0]).arg("value", both).one()?;
    let again = f.op("list_gather").arg("ls", list).ints("indices", &[2]).one()?;
    assert_eq!((f.shape(both), f.shape(read), f.shape(again)), (&[2, 4][..], &[4][..], &[1, 4][..]));

    let wrong = f.op("list_write").arg("ls", list).arg("index", one).arg("value", both).one().unwrap_err();
    assert!(
        wrong.to_string().contains("is tensor<fp32, [2, 4]>, but the list takes tensor<fp32, [4]>"),
        "{wrong}"
    );
    let wrong = f.unary("relu", list).unwrap_err();
    assert!(wrong.to_string().contains("must be a tensor, but is list<"), "{wrong}");
    let wrong = f.op("list_length").arg("ls", x).one().unwrap_err();
    assert!(wrong.to_string().contains("must be a list, but is tensor<"), "{wrong}");

    let name = f.constant(Constant::string("n"));
    let open = f.op("make_list").args("elem_shape", &[name, four]).string("dtype", "int32").one()?;
    assert_eq!(f.ty(open).to_string(), "list<tensor<int32, [?, 4]>, ?>");
    let fixed =
        f.op("make_list").arg("init_length", four).bool("dynamic_length", false).args("elem_shape", &[four]);
    let fixed = fixed.one()?;
    assert_eq!(f.ty(fixed).to_string(), "list<tensor<fp32, [4]>, 4>");
    round_trip(f.finish(&[length, both, read, again])?);
    Ok(())
}

#[test]
fn what_blocks_must_keep_to() {
    let refused = |change: &dyn Fn(&mut Function), message: &str| {
        let mut function = counting().unwrap();
        change(&mut function);
        let faults = verify(Program::single(function)).unwrap_err();
        assert!(faults.iter().any(|fault| fault.to_string().contains(message)), "{message}\n{faults:#?}");
    };
    let loop_at = |f: &Function| f.body.ops.iter().position(|op| op.op.name == "while_loop").unwrap();
    refused(
        &|f| {
            let at = loop_at(f);
            f.body.ops[at].blocks.pop();
        },
        "`blocks` must be 2, but are 1",
    );
    refused(
        &|f| {
            let at = loop_at(f);
            let inside = f.body.ops[at].blocks[1].outputs[0];
            f.body.outputs = vec![inside];
        },
        "outside the block that defines it",
    );
    refused(
        &|f| {
            let at = loop_at(f);
            f.body.ops[at].blocks[1].outputs.reverse();
        },
        "as inputs of the next turn",
    );
    refused(
        &|f| {
            let at = loop_at(f);
            let number = f.body.ops[at].blocks[0].inputs[0];
            f.body.ops[at].blocks[0].outputs = vec![number];
        },
        "one bool scalar",
    );
    refused(
        &|f| {
            let at = loop_at(f);
            let body = f.body.ops[at].blocks[1].clone();
            f.body.ops[at].blocks[0] = body;
        },
        "is defined twice",
    );
    refused(&|f| f.body.inputs = f.inputs.clone(), "has a body with inputs");
}

/// A tower of `cond`s.
fn nested(depth: usize) -> Function {
    let mut function = Function {
        name: "main".into(),
        opset: Opset::Ios15,
        inputs: vec![],
        body: Block::default(),
        values: vec![],
    };
    let p = Value { name: Some("p".into()), ty: Type::Tensor(TensorType::bool([])), def: Def::Input };
    let p = function.add_value(p);
    function.inputs.push(p);
    let op = mil::Op::named("cond").unwrap();
    let mut inner = Block { inputs: vec![], ops: vec![], outputs: vec![p] };
    for _ in 0..depth {
        let other = Block { inputs: vec![], ops: vec![], outputs: vec![p] };
        let mut operation = Operation::new(op, [Arg::One(p)].as_slice());
        operation.blocks = vec![inner, other];
        let ty = Type::Tensor(TensorType::bool([]));
        let result = function.add_value(Value { name: None, ty, def: Def::Op });
        operation.outputs.push(result);
        inner = Block { inputs: vec![], ops: vec![operation], outputs: vec![result] };
    }
    let result: ValueId = inner.outputs[0];
    function.values[result.index()].name = Some("y".into());
    function.body = inner;
    function
}

#[test]
fn depth_is_bounded() {
    round_trip(nested(MAX_DEPTH));
    let faults = verify(Program::single(nested(MAX_DEPTH + 1))).unwrap_err();
    assert!(faults[0].to_string().contains("nested more than 32 deep"), "{}", faults[0]);
    let head = "program(1.0)\n{ func main<ios15>(tensor<bool, []> p) {\n";
    let deep = "tensor<bool, []> y = cond(pred = p) () {\n".repeat(100_000);
    let error = format!("{head}{deep}").parse::<Program>().unwrap_err().to_string();
    assert!(error.contains("nested more than 32 deep"), "{error}");
}

#[test]
fn names_of_a_block_are_free_after_it() {
    let text = "program(1.0)
{ func main<ios15>(tensor<bool, []> p, tensor<fp32, [2]> x) {
    tensor<fp32, [2]> y = cond(pred = p)[name = tensor<string, []>(\"choice\")]
        () { tensor<fp32, [2]> a = relu(x = x); } -> (a)
        () { tensor<fp32, [2]> a = tanh(x = x); } -> (a);
    tensor<fp32, [2]> a = abs(x = y);
} -> (a); }";
    let program: Program = text.parse().unwrap();
    assert_eq!(program.functions[0].body.ops[0].name.as_deref(), Some("choice"));
    round_trip(program.functions[0].clone());
    let outside = text.replace("abs(x = y)", "abs(x = a)");
    let error = outside.parse::<Program>().unwrap_err().to_string();
    assert!(error.contains("`a` is not defined above"), "{error}");
}

#[test]
fn shapes_that_only_running_tells() -> Result<(), BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios17);
    let x = f.input("x", TensorType::fp32([UNKNOWN, 4]))?;
    let unknown = Type::Tensor(TensorType::fp32([UNKNOWN, 4]));
    let y = f.op("relu").arg("x", x).declared(std::slice::from_ref(&unknown)).one()?;
    let where_ =
        f.op("non_zero").arg("x", y).declared(&[Type::Tensor(TensorType::int32([UNKNOWN, 2]))]).one()?;
    let shape = f.op("shape").arg("x", y).declared(&[Type::Tensor(TensorType::int32([2]))]).one()?;
    let filled = f.op("fill").arg("shape", shape).float("value", 1.0).declared(&[unknown]).one()?;
    // Real faults are told, whatever is unknown.
    let wrong = f.op("relu").arg("x", shape).one().unwrap_err().to_string();
    assert!(wrong.contains("has element type int32"), "{wrong}");
    let text = round_trip(f.finish(&[where_, filled])?);
    assert!(text.contains("func main<ios17>(tensor<fp32, [?, 4]> x)"), "{text}");
    Ok(())
}

#[test]
fn classes() -> Result<(), BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios15);
    let x = f.input("x", TensorType::fp32([1, 2]))?;
    let labels =
        |names: &[&str]| Constant::strings([names.len()], names.iter().map(|s| s.to_string()).collect());
    let results =
        f.op("classify").arg("probabilities", x).constant("classes", labels(&["cat", "dog"])?).named("c");
    let results = results.many()?;
    assert_eq!(f.ty(results[1]).to_string(), "dict<string, fp64>");
    let wrong = f.op("classify").arg("probabilities", x).constant("classes", labels(&["cat"])?).many();
    assert!(wrong.unwrap_err().to_string().contains("one label for each element"));
    let wrong = f.unary("identity", results[1]).unwrap_err();
    assert!(wrong.to_string().contains("must be a tensor, but is dict<"), "{wrong}");
    round_trip(f.finish(&results)?);
    let ids = Constant::new([2], vec![1_i64, 1 << 40])?;
    assert_eq!(ids.to_i64().as_deref(), Some(&[1, 1 << 40][..]));
    Ok(())
}
