//! Classifiers as back ends see them: a label and a dictionary cannot be tensors, the probabilities behind them can.

use mil::{Arg, Constant, Def, Function, Op, Operation, Type, Value, ValueId};
use std::collections::HashSet;

/// A classifier that was taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    /// The output that held the label, if it was one.
    pub label: Option<String>,
    /// The output that held the dictionary, if it was one.
    pub probabilities: Option<String>,
    /// The output, appended, that holds the probabilities in the order of `classes`.
    pub scores: String,
    /// The labels, strings or `int64`.
    pub classes: Constant,
}

/// Takes `classify` out of a function: its outputs go, the probabilities come as an output instead. Whoever runs the function
/// finds the label by the greatest of them (the first, if several are equal). Inside blocks, whose results cannot be outputs
/// of the function, `classify` stays.
pub fn classifiers_to_scores(source: &Function) -> (Function, Vec<Classifier>) {
    let mut function = source.clone();
    let is_classifier = |operation: &Operation| operation.op.name == "classify";
    let taken: Vec<Operation> =
        function.body.ops.extract_if(.., |operation| is_classifier(operation)).collect();
    let mut classifiers = Vec::with_capacity(taken.len());
    for operation in taken {
        let view = source.view(&operation);
        let (Some(scores), Some(classes)) = (view.value("probabilities"), view.constant("classes")) else {
            continue;
        };
        let named = |at: usize| {
            let id = operation.outputs.get(at).filter(|id| source.body.outputs.contains(id))?;
            source.value(*id).name.clone()
        };
        let (label, probabilities) = (named(0), named(1));
        function.body.outputs.retain(|id| !operation.outputs.contains(id));
        let wanted = probabilities.as_deref().or(label.as_deref()).unwrap_or("probabilities").to_string();
        let name = append(&mut function, scores, wanted);
        classifiers.push(Classifier { label, probabilities, scores: name, classes: classes.clone() });
    }
    // Values of a dictionary that nothing defines any more would make the function look dynamic.
    if !classifiers.is_empty() && function.body.ops.iter().all(|operation| operation.blocks.is_empty()) {
        function = crate::compact(&function);
    }
    (function, classifiers)
}

/// Appends a copy of a value to the outputs under a name that is free; returns the name.
fn append(function: &mut Function, id: ValueId, wanted: String) -> String {
    let outside = function.inputs.iter().chain(&function.body.outputs);
    let taken: HashSet<String> = outside.filter_map(|&id| function.value(id).name.clone()).collect();
    let mut numbered = (1..).map(|n| format!("{wanted}_{n}"));
    let name = if taken.contains(&wanted) { numbered.find(|name| !taken.contains(name)) } else { None };
    let name = name.unwrap_or(wanted);
    let ty = Type::Tensor(function.tensor(id).clone());
    let output = function.add_value(Value { name: Some(name.clone()), ty, def: Def::Op });
    if let Some(op) = Op::named("identity") {
        let mut identity = Operation::new(op, [Arg::One(id)].as_slice());
        identity.outputs.push(output);
        function.body.ops.push(identity);
    }
    function.body.outputs.push(output);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use mil::{BuildError, FunctionBuilder, Opset, Program, TensorType, verify};

    #[test]
    fn the_probabilities_take_the_place_of_label_and_dictionary() -> Result<(), BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios15);
        let x = f.input("x", TensorType::fp32([1, 2]))?;
        let p = f.op("softmax").arg("x", x).named("p").one()?;
        let classes = Constant::strings([2], vec!["cat".into(), "dog".into()])?;
        let results = f.op("classify").arg("probabilities", p).constant("classes", classes.clone()).many()?;
        f.name(results[0], "animal");
        f.name(results[1], "animals");
        let function = f.finish(&[results[0], results[1], p])?;
        let (scored, classifiers) = classifiers_to_scores(&function);
        assert!(scored.is_static());
        let names: Vec<_> = scored.body.outputs.iter().map(|&id| scored.display_name(id)).collect();
        assert_eq!(names, ["p", "animals"]);
        let expected = Classifier {
            label: Some("animal".into()),
            probabilities: Some("animals".into()),
            scores: "animals".into(),
            classes,
        };
        assert_eq!(classifiers, [expected]);
        verify(Program::single(scored)).unwrap();
        Ok(())
    }
}
