//! What the Apple Neural Engine would do with a program, without an engine.
//!
//! Facts about the engine are tables here, every figure with its source and its grade. Nothing in this crate has been run
//! on a device by us.
//!
//! ```
//! use anemone_ane::chips::Chip;
//! use anemone_ane::legalize::legalize;
//! use anemone_ane::rules::{Verdict, check};
//! use mil::{FunctionBuilder, Opset, Program, TensorType, verify};
//!
//! let mut f = FunctionBuilder::new("main", Opset::Ios18);
//! let x = f.input("x", TensorType::fp16([1, 64]))?;
//! let y = f.unary("softplus", x)?;
//! let program = verify(Program::single(f.finish(&[y])?)).map_err(|faults| faults[0].clone())?;
//!
//! let m5 = Chip::named("M5")?;
//! let report = check(&program, None, m5)?;
//! assert_eq!(report.findings[0].rule, "softplus-overflow");
//! let (legal, changes) = legalize(&program, m5)?;
//! assert_eq!(changes.len(), 1);
//! assert_eq!(check(&legal, None, m5)?.verdict, Verdict::Runs);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod chips;
pub mod cost;
pub mod facts;
pub mod legalize;
pub mod placement;
pub mod rules;
