//! Writing scales into a program.

use super::scale::{Choice, power, scaled};
use super::walk::scalar;
use mil::{
    Arg, Constant, Def, Function, Op, OpView, Operation, Program, Type, Value, ValueId, Verified, verify,
};

/// The program with these scales, and where each inverse went; `None` where it does not verify (which would be a fault of ours).
pub(super) fn rewritten(
    program: &Verified,
    source: &Function,
    choices: &[Choice],
) -> Option<(Verified, Vec<&'static str>)> {
    let mut rewrite = Rewrite { function: source.clone(), ops: Vec::new() };
    let mut inverses = Vec::new();
    // Values that stand scaled: the value, what has it times 2 to this power.
    let mut pending: Vec<(ValueId, ValueId, i32)> = Vec::new();
    for (at, operation) in source.body.ops.iter().enumerate() {
        let mut operation = operation.clone();
        let choice = choices.iter().find(|choice| choice.at == at);
        let view = source.view(&source.body.ops[at]);
        let taken = rewrite.take_inverse(&view, &mut operation, choice, &pending)?;
        if let Some(choice) = choice {
            rewrite.scale(&view, &mut operation, choice, taken)?;
            let folded = folds(source, choice, choices);
            let output = operation.outputs[0];
            let product = rewrite.product_of(output);
            operation.outputs[0] = product;
            rewrite.ops.push(operation);
            if folded {
                pending.push((output, product, choice.exponent));
            } else {
                rewrite.inverse(product, output, choice.exponent);
            }
            inverses.push(if folded { "folded" } else { "mul" });
        } else {
            rewrite.ops.push(operation);
        }
    }
    let mut function = rewrite.function;
    function.body.ops = rewrite.ops;
    let mut program: Program = Program::clone(program);
    let own = program.functions.iter_mut().find(|own| own.name == function.name)?;
    *own = anemone_passes::compact(&function);
    Some((verify(program).ok()?, inverses))
}

/// Whether everything that uses a scaled product can take the inverse.
fn folds(source: &Function, choice: &Choice, choices: &[Choice]) -> bool {
    let output = source.body.ops[choice.at].outputs[0];
    let mut users = source
        .body
        .ops
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.uses().any(|id| id == output))
        .peekable();
    users.peek().is_some()
        && !source.body.outputs.contains(&output)
        && users.all(|(at, operation)| takes(source, at, operation, output, choice.exponent, choices))
}

fn takes(
    source: &Function,
    at: usize,
    operation: &Operation,
    value: ValueId,
    exponent: i32,
    choices: &[Choice],
) -> bool {
    if operation.uses().filter(|&id| id == value).count() != 1 {
        return false;
    }
    let view = source.view(operation);
    match view.name() {
        "mul" => other_constant(&view, value).is_some_and(|constant| scaled(constant, -exponent).is_some()),
        "matmul" | "linear" | "conv" | "conv_transpose" => {
            let own = choices.iter().find(|choice| choice.at == at);
            own.is_some_and(|own| {
                let constant = view.constant(own.param);
                own.exponent >= exponent
                    && view.value("x") == Some(value)
                    && own.param != "x"
                    && constant.is_some_and(|constant| scaled(constant, own.exponent - exponent).is_some())
            })
        }
        _ => false,
    }
}

/// The other factor of a `mul`, if it is a constant.
fn other_constant<'f>(view: &OpView<'f>, value: ValueId) -> Option<&'f Constant> {
    let other = if view.value("x") == Some(value) { "y" } else { "x" };
    view.constant(other)
}

struct Rewrite {
    function: Function,
    ops: Vec<Operation>,
}

impl Rewrite {
    fn constant(&mut self, constant: Constant) -> ValueId {
        let ty = Type::Tensor(constant.ty().clone());
        self.function.add_value(Value { name: None, ty, def: Def::Const(constant) })
    }

    /// Replaces the argument of a parameter.
    fn set(operation: &mut Operation, param: &str, value: ValueId) -> Option<()> {
        let at = operation.op.params.iter().position(|own| own.name == param)?;
        operation.args[at] = Arg::One(value);
        Some(())
    }

    /// Lets an operation that uses a scaled value take it as it is. Returns the power that its own scale has already.
    fn take_inverse(
        &mut self,
        view: &OpView<'_>,
        operation: &mut Operation,
        choice: Option<&Choice>,
        pending: &[(ValueId, ValueId, i32)],
    ) -> Option<i32> {
        let found = pending.iter().find(|(value, ..)| view.operation.uses().any(|id| id == *value));
        let Some(&(value, product, exponent)) = found else { return Some(0) };
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            if *id == value {
                *id = product;
            }
        }
        if choice.is_some() {
            return Some(exponent);
        }
        let constant = scaled(other_constant(view, value)?, -exponent)?;
        let constant = self.constant(constant);
        let other = if view.value("x") == Some(value) { "y" } else { "x" };
        Rewrite::set(operation, other, constant)?;
        Some(0)
    }

    /// Scales an operation's factor and bias, of which `taken` comes with its input.
    fn scale(
        &mut self,
        view: &OpView<'_>,
        operation: &mut Operation,
        choice: &Choice,
        taken: i32,
    ) -> Option<()> {
        let exponent = choice.exponent - taken;
        match view.constant(choice.param) {
            Some(constant) => {
                let constant = self.constant(scaled(constant, exponent)?);
                Rewrite::set(operation, choice.param, constant)?;
            }
            None => {
                let factor = view.value(choice.param)?;
                let ty = self.function.ty(factor).clone();
                let name = format!("{}_scaled", self.function.display_name(view.operation.outputs[0]));
                let value = self.function.add_value(Value { name: Some(name), ty, def: Def::Op });
                self.multiply(factor, value, exponent);
                Rewrite::set(operation, choice.param, value)?;
            }
        }
        if let Some(bias) = view.constant("bias").filter(|_| view.name() != "matmul") {
            let bias = self.constant(scaled(bias, choice.exponent)?);
            Rewrite::set(operation, "bias", bias)?;
        }
        Some(())
    }

    /// A value for what stood in `output`, times the scale.
    fn product_of(&mut self, output: ValueId) -> ValueId {
        let Value { name, ty, .. } = self.function.value(output).clone();
        let name = name.map(|name| format!("{name}_product"));
        self.function.add_value(Value { name, ty, def: Def::Op })
    }

    fn inverse(&mut self, product: ValueId, output: ValueId, exponent: i32) {
        self.multiply(product, output, -exponent);
    }

    /// `to = from * 2^exponent`.
    fn multiply(&mut self, from: ValueId, to: ValueId, exponent: i32) {
        let factor = self.constant(scalar(power(exponent)));
        let Some(mul) = Op::named("mul") else { return };
        let args: Vec<Arg> = mul
            .params
            .iter()
            .map(|param| match param.name {
                "x" => Arg::One(from),
                "y" => Arg::One(factor),
                _ => Arg::None,
            })
            .collect();
        let mut operation = Operation::new(mul, args);
        operation.outputs.push(to);
        self.ops.push(operation);
    }
}
