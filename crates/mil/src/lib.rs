//! Apple's Model Intermediate Language (MIL): the one language of Anemone.
//!
//! A [`Program`] holds named [`Function`]s, each written for an [`Opset`]. A function owns its
//! [`Value`]s in one arena and a [`Block`] of [`Operation`]s in static single assignment form:
//! every value is defined once (as an input, a constant or an operation's output) and before it is used.
//!
//! * **Values** carry a [`Type`]: a tensor (data type and static shape) or a state that holds one.
//!   Constants are values too, with shared, possibly memory-mapped storage ([`Constant`]); copying a
//!   program never copies weights.
//! * **Operations** are instances of a declaration ([`OpDecl`], table in [`ops`]). One declaration per op
//!   gives parameter names, data types, defaults and the type-inference function; the builder, the
//!   verifier, the text form and the documentation read that one table.
//! * **Arguments** stand in the order of the declaration's parameters, one [`Arg`] each; an absent
//!   optional argument is [`Arg::None`] and means the declared default. [`OpView`] reads arguments by name.
//! * **States** are function inputs of type [`Type::State`]. `read_state` gives the value held at that
//!   point of the program order; `coreml_update_state` stores a new one and returns it.
//! * **Verified is a type**: [`verify()`] collects every fault and returns [`Verified`]; passes and back ends
//!   take that, so nothing unchecked is lowered and nothing may panic after it.
//!
//! ```
//! use mil::{FunctionBuilder, Opset, Program, TensorType, verify};
//!
//! let mut f = FunctionBuilder::new("main", Opset::Ios18);
//! let x = f.input("x", TensorType::fp32([2, 3]))?;
//! let y = f.mul(x, 2.0)?;
//! let y = f.op("relu").arg("x", y).named("y").one()?;
//! let program = Program::single(f.finish(&[y])?);
//! let verified = verify(program).map_err(|faults| faults.into_iter().next().unwrap())?;
//! assert_eq!(verified.functions[0].ty(y).to_string(), "tensor<fp32, [2, 3]>");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod constant;
mod dtype;
mod error;
pub mod ops;
mod packed;
mod program;
pub mod shape;
pub mod text;
mod types;
mod verify;
mod view;

pub use builder::{FunctionBuilder, OpBuilder, Operand};
pub use constant::{Constant, Element};
pub use dtype::{DataType, DataTypeSet};
pub use error::{BuildError, ConstantError, InferError};
pub use ops::{DefaultValue, Effect, Family, Op, OpDecl, Opset, Param, ParamKind};
pub use packed::PackedReader;
pub use program::{Arg, Block, Def, Function, Operation, Program, Value, ValueId};
pub use shape::{Shape, UNKNOWN};
pub use types::{ListType, TensorType, Type};
pub use verify::{MAX_DEPTH, Verified, VerifyError, infer_operation, verify};
pub use view::OpView;
