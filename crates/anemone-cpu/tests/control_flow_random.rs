//! Random programs of choices, loops and lists, and the same written out as one operation after another: both must have
//! the same values and the same gradients, and lowered to `fp16` nearly the same.

#![allow(clippy::unwrap_used, reason = "test helpers")]

use anemone_cpu::CpuBackend;
use anemone_passes::autodiff::gradients;
use anemone_passes::{PrecisionOptions, to_fp16};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use mil::{BuildError, Constant, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};
use proptest::prelude::*;

/// Elements of a tensor, and of a list.
const SIZE: usize = 2;
const LENGTH: usize = 3;

/// A list's element: one of the first, or the one that the innermost loop has come to.
#[derive(Clone, Copy, Debug)]
enum Place {
    At(usize),
    Counter,
}

/// A step of a block. Numbers name values seen there, counted back from the newest, and around.
#[derive(Clone, Debug)]
enum Step {
    Mean(usize, usize),
    Product(usize, usize),
    Read(usize, Place),
    Write(usize, Place, usize),
    Choice { taken: bool, yes: Block, no: Block },
    Loop { turns: usize, tensors: [usize; 2], list: usize, body: Block },
}

/// Steps, and the two tensors and the list that come out.
#[derive(Clone, Debug)]
struct Block {
    steps: Vec<Step>,
    tensors: [usize; 2],
    list: usize,
}

fn block(depth: u32) -> BoxedStrategy<Block> {
    // Mostly what was made last.
    let index = || prop_oneof![3 => 0..3usize, 1 => 0..100usize];
    let place = || prop_oneof![(0..LENGTH).prop_map(Place::At), Just(Place::Counter)];
    let plain = prop_oneof![
        (index(), index()).prop_map(|(a, b)| Step::Mean(a, b)),
        (index(), index()).prop_map(|(a, b)| Step::Product(a, b)),
        (index(), place()).prop_map(|(list, at)| Step::Read(list, at)),
        (index(), place(), index()).prop_map(|(list, at, value)| Step::Write(list, at, value)),
    ];
    let step = if depth == 0 {
        plain.boxed()
    } else {
        let choice = (any::<bool>(), block(depth - 1), block(depth - 1));
        let choice = choice.prop_map(|(taken, yes, no)| Step::Choice { taken, yes, no });
        let repeated = (0..=LENGTH, [index(), index()], index(), block(depth - 1));
        let repeated =
            repeated.prop_map(|(turns, tensors, list, body)| Step::Loop { turns, tensors, list, body });
        prop_oneof![4 => plain, 1 => choice, 1 => repeated].boxed()
    };
    (prop::collection::vec(step, 1..6), [index(), index()], index())
        .prop_map(|(steps, tensors, list)| Block { steps, tensors, list })
        .boxed()
}

/// A list under construction: a value, or its elements one by one.
#[derive(Clone)]
enum List {
    Value(ValueId),
    Elements(Vec<ValueId>),
}

/// What a block sees.
#[derive(Clone)]
struct Scope {
    tensors: Vec<ValueId>,
    lists: Vec<List>,
    /// The innermost loop's counter as a value, and as the number that it is when everything is written out.
    counter: (ValueId, usize),
    structured: bool,
    yes: ValueId,
    no: ValueId,
}

type Built<T> = Result<T, BuildError>;

impl Scope {
    fn tensor(&self, index: usize) -> ValueId {
        self.tensors[self.tensors.len() - 1 - index % self.tensors.len()]
    }

    fn list(&self, index: usize) -> List {
        self.lists[self.lists.len() - 1 - index % self.lists.len()].clone()
    }

    /// Adds a block's steps and returns what comes out of it.
    fn run(mut self, f: &mut FunctionBuilder, block: &Block) -> Built<([ValueId; 2], List)> {
        for step in &block.steps {
            self.step(f, step)?;
        }
        Ok((block.tensors.map(|index| self.tensor(index)), self.list(block.list)))
    }

    fn step(&mut self, f: &mut FunctionBuilder, step: &Step) -> Built<()> {
        match step {
            Step::Mean(a, b) => {
                let sum = f.add(self.tensor(*a), self.tensor(*b))?;
                self.tensors.push(f.mul(sum, 0.5)?);
            }
            Step::Product(a, b) => {
                let product = f.mul(self.tensor(*a), self.tensor(*b))?;
                self.tensors.push(f.unary("sin", product)?);
            }
            Step::Read(list, place) => {
                let element = match self.list(*list) {
                    List::Elements(elements) => elements[self.place(*place)],
                    List::Value(list) => {
                        let at = self.index(f, *place);
                        f.op("list_read").arg("ls", list).arg("index", at).one()?
                    }
                };
                self.tensors.push(element);
            }
            Step::Write(list, place, value) => {
                let value = self.tensor(*value);
                let written = match self.list(*list) {
                    List::Elements(mut elements) => {
                        elements[self.place(*place)] = value;
                        List::Elements(elements)
                    }
                    List::Value(list) => {
                        let at = self.index(f, *place);
                        let write = f.op("list_write").arg("ls", list).arg("index", at);
                        List::Value(write.arg("value", value).one()?)
                    }
                };
                self.lists.push(written);
            }
            Step::Choice { taken, yes, no } => self.choice(f, *taken, yes, no)?,
            Step::Loop { turns, tensors, list, body } => self.repeat(f, *turns, *tensors, *list, body)?,
        }
        Ok(())
    }

    fn place(&self, place: Place) -> usize {
        match place {
            Place::At(at) => at,
            Place::Counter => self.counter.1,
        }
    }

    fn index(&self, f: &mut FunctionBuilder, place: Place) -> ValueId {
        match place {
            Place::At(at) => f.int(at as i32),
            Place::Counter => self.counter.0,
        }
    }

    fn choice(&mut self, f: &mut FunctionBuilder, taken: bool, yes: &Block, no: &Block) -> Built<()> {
        if !self.structured {
            let (tensors, list) = self.clone().run(f, if taken { yes } else { no })?;
            self.tensors.extend(tensors);
            self.lists.push(list);
            return Ok(());
        }
        let pred = if taken { self.yes } else { self.no };
        let [yes, no] = [yes, no].map(|block| |f: &mut FunctionBuilder| self.clone().run(f, block).map(flat));
        let results = f.cond(pred, yes, no)?;
        self.take(&results);
        Ok(())
    }

    fn repeat(
        &mut self,
        f: &mut FunctionBuilder,
        turns: usize,
        tensors: [usize; 2],
        list: usize,
        body: &Block,
    ) -> Built<()> {
        let (mut tensors, mut list) = (tensors.map(|index| self.tensor(index)), self.list(list));
        if !self.structured {
            for turn in 0..turns {
                let mut inner = self.clone();
                inner.counter.1 = turn;
                inner.tensors.extend(tensors);
                inner.lists.push(list);
                (tensors, list) = inner.run(f, body)?;
            }
            self.tensors.extend(tensors);
            self.lists.push(list);
            return Ok(());
        }
        let (zero, end) = (f.int(0), f.int(turns as i32));
        let start = [vec![zero], flat((tensors, list))].concat();
        let results = f.while_loop(
            &start,
            |f, vars| f.less(vars[0], end),
            |f, vars| {
                let mut inner = self.clone();
                inner.counter.0 = vars[0];
                inner.take(&vars[1..]);
                let results = flat(inner.run(f, body)?);
                Ok([vec![f.add(vars[0], 1.0)?], results].concat())
            },
        )?;
        self.take(&results[1..]);
        Ok(())
    }

    /// Two tensors and a list, as [`flat`] made them.
    fn take(&mut self, values: &[ValueId]) {
        self.tensors.extend(&values[..2]);
        self.lists.push(List::Value(values[2]));
    }
}

fn flat((tensors, list): ([ValueId; 2], List)) -> Vec<ValueId> {
    let mut values = tensors.to_vec();
    if let List::Value(list) = list {
        values.push(list);
    }
    values
}

/// The loss and its gradients by three inputs.
fn results(block: &Block, structured: bool, half: bool) -> Built<Vec<Vec<f32>>> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let inputs: Vec<ValueId> = ["a", "b", "c"]
        .into_iter()
        .map(|name| f.input(name, TensorType::fp32([SIZE])))
        .collect::<Built<_>>()?;
    let [yes, no] = ["yes", "no"].map(|name| f.input(name, TensorType::bool([])));
    let list = if structured {
        let size = f.int(SIZE as i32);
        let make = f.op("make_list").int("init_length", LENGTH as i32).bool("dynamic_length", false);
        List::Value(make.args("elem_shape", &[size]).one()?)
    } else {
        let zeros = Constant::splat(&TensorType::fp32([SIZE]), 0.0).unwrap();
        let zeros = f.constant(zeros);
        List::Elements(vec![zeros; LENGTH])
    };
    let counter = (f.int(0), 0);
    let scope = Scope { tensors: inputs.clone(), lists: vec![list], counter, structured, yes: yes?, no: no? };
    let (tensors, list) = scope.run(&mut f, block)?;
    let mut terms = tensors.to_vec();
    match list {
        List::Elements(elements) => terms.extend(elements),
        List::Value(list) => {
            for at in 0..LENGTH as i32 {
                terms.push(f.op("list_read").arg("ls", list).int("index", at).one()?);
            }
        }
    }
    let mut loss = f.float(mil::DataType::Fp32, 0.0);
    for (at, term) in terms.into_iter().enumerate() {
        let weighted = f.mul(term, 1.0 + at as f32)?;
        let square = f.mul(weighted, term)?;
        let sum = f.reduce("reduce_sum", square, &[0], false)?;
        loss = f.add(loss, sum)?;
    }
    let grads = gradients(&mut f, loss, &inputs).unwrap_or_else(|error| panic!("{error}"));
    let mut function = f.finish(&[vec![loss], grads].concat())?;
    if half {
        function = to_fp16(&function, &PrecisionOptions::default())?;
    }
    let program = verify(Program::single(function)).unwrap_or_else(|faults| panic!("{faults:?}"));
    let backend = CpuBackend::with_threads(1).unwrap();
    let mut executable = backend.compile(&program, &CompileOptions::default()).unwrap();
    let tensor = |values: [f32; SIZE]| Tensor::new([SIZE], &values).unwrap();
    let given = [
        tensor([0.5, -0.25]),
        tensor([1.25, 0.75]),
        tensor([-0.875, 0.375]),
        Tensor::from_constant(&Constant::bool(true)).unwrap(),
        Tensor::from_constant(&Constant::bool(false)).unwrap(),
    ];
    let found = executable.call(&given.iter().collect::<Vec<_>>()).unwrap();
    Ok(found.iter().map(|tensor| tensor.to_f32().unwrap().to_vec()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(800) })]

    #[test]
    fn structured_programs_have_the_gradients_of_what_they_do(block in block(2)) {
        let wanted = results(&block, false, false).unwrap();
        for (half, tolerance) in [(false, 1e-4), (true, 2e-2)] {
            let found = results(&block, true, half).unwrap();
            for (found, wanted) in found.iter().flatten().zip(wanted.iter().flatten()) {
                prop_assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{found} for {wanted}, {half}");
            }
        }
    }
}
