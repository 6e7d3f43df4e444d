//! Golden cases of single ops: inputs, parameters, outputs and gradients that PyTorch computed in double precision.
//! The files and the scripts that made them stand in `tests/golden` and `tools/golden` of the repository.

#![allow(dead_code, reason = "each test that includes this module reads its own part of a case")]

use flate2::read::GzDecoder;
use mil::{
    BuildError, Constant, DataType, FunctionBuilder, Op, Opset, Param, ParamKind, TensorType, ValueId,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// One case.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) op: String,
    opset: String,
    pub(crate) inputs: Vec<Operand>,
    consts: BTreeMap<String, Operand>,
    pub(crate) outputs: Vec<Operand>,
    pub(crate) cotangents: Vec<Option<Vec<Value>>>,
    pub(crate) grads: BTreeMap<String, Vec<Value>>,
    tolerance: Option<Tolerance>,
    grad_tolerance: Option<Tolerance>,
}

/// A tensor of a case.
#[derive(Deserialize)]
pub(crate) struct Operand {
    #[serde(default)]
    pub(crate) param: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<Value>,
    #[serde(default)]
    pub(crate) grad: bool,
}

/// `|found - wanted| <= atol + rtol |wanted|`.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Tolerance {
    pub(crate) rtol: f64,
    pub(crate) atol: f64,
}

impl Tolerance {
    /// Whether a number is near enough; NaN meets NaN and an infinity itself.
    pub(crate) fn accepts(self, found: f32, wanted: f32) -> bool {
        let (found, wanted) = (f64::from(found), f64::from(wanted));
        found == wanted
            || (found.is_nan() && wanted.is_nan())
            || (found - wanted).abs() <= self.atol + self.rtol * wanted.abs()
    }
}

/// The cases of a family.
pub(crate) fn cases(family: &str) -> Vec<Case> {
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/golden/ops/{family}.json.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: Golden = serde_json::from_reader(BufReader::new(GzDecoder::new(file))).unwrap();
    golden.cases
}

/// A number of the file: infinities and NaN are written as strings.
pub(crate) fn number(value: &Value) -> f32 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        value => value.as_f64().unwrap() as f32,
    }
}

/// Numbers of the file.
pub(crate) fn numbers(values: &[Value]) -> Vec<f32> {
    values.iter().map(number).collect()
}

impl Operand {
    /// The element type.
    pub(crate) fn ty(&self) -> TensorType {
        TensorType::new(DataType::from_name(&self.dtype).unwrap(), self.shape.clone())
    }

    /// The tensor as a constant; integers in the type that the parameter takes.
    pub(crate) fn constant(&self, dtype: DataType) -> Constant {
        let shape = self.shape.clone();
        let ints = || self.data.iter().map(|value| value.as_i64().unwrap());
        match dtype {
            DataType::Fp32 => Constant::new(shape, numbers(&self.data)),
            DataType::Int32 => Constant::new(shape, ints().map(|value| value as i32).collect()),
            DataType::Uint32 => Constant::new(shape, ints().map(|value| value as u32).collect()),
            DataType::Bool => {
                let data: Vec<bool> = self.data.iter().map(|value| value.as_bool().unwrap()).collect();
                Constant::bools(shape, &data)
            }
            _ => Constant::strings(
                shape,
                self.data.iter().map(|value| value.as_str().unwrap().to_string()).collect(),
            ),
        }
        .unwrap()
    }
}

/// A case as a function in the making.
pub(crate) struct Built {
    pub(crate) f: FunctionBuilder,
    pub(crate) outputs: Vec<ValueId>,
    /// The value of each of the case's inputs; constants where the op takes nothing else.
    pub(crate) operands: Vec<ValueId>,
}

impl Case {
    /// What an output may differ by.
    pub(crate) fn tolerance(&self) -> Tolerance {
        self.tolerance.unwrap_or(Tolerance { rtol: 1e-5, atol: 1e-6 })
    }

    /// What a gradient may differ by.
    pub(crate) fn grad_tolerance(&self) -> Tolerance {
        self.grad_tolerance.or(self.tolerance).unwrap_or(Tolerance { rtol: 2e-5, atol: 2e-6 })
    }

    /// The key in [`Case::grads`] of input `index`.
    pub(crate) fn grad_key(&self, index: usize) -> String {
        let param = &self.inputs[index].param;
        if self.param(param).kind != ParamKind::Tuple {
            return param.clone();
        }
        let place = self.inputs[..index].iter().filter(|other| other.param == *param).count();
        format!("{param}.{place}")
    }

    fn param(&self, name: &str) -> &'static Param {
        let op = Op::named(&self.op).unwrap().declaration();
        op.params.iter().find(|param| param.name == name).unwrap()
    }

    /// The operation on inputs named `input0`, `input1`, …
    pub(crate) fn build(&self) -> Result<Built, BuildError> {
        let opset = Opset::from_name(&self.opset).unwrap();
        let mut f = FunctionBuilder::new("main", opset);
        let mut operands = Vec::new();
        let mut args: BTreeMap<&str, Vec<ValueId>> = BTreeMap::new();
        for (index, input) in self.inputs.iter().enumerate() {
            let value = if self.param(&input.param).must_be_constant(opset) {
                f.constant(input.constant(input.ty().dtype))
            } else {
                f.input(format!("input{index}"), input.ty())?
            };
            operands.push(value);
            args.entry(&input.param).or_default().push(value);
        }
        for (name, value) in &self.consts {
            let (dtypes, _) = self.param(name).constraint(opset);
            let dtype = if dtypes.contains(DataType::Uint32) { DataType::Uint32 } else { value.ty().dtype };
            args.entry(name).or_default().push(f.constant(value.constant(dtype)));
        }
        let mut op = f.op(&self.op);
        for (name, values) in args {
            let tuple = self.param(name).kind == ParamKind::Tuple;
            op = if tuple { op.args(name, &values) } else { op.arg(name, values[0]) };
        }
        let outputs = op.many()?;
        Ok(Built { f, outputs, operands })
    }
}
