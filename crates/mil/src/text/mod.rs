//! The text form of programs, in both of Apple's dialects.
//!
//! ```
//! let text = r#"program(1.3)
//! [buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
//! {
//!     func main<ios18>(tensor<fp16, [1, 4]> x) {
//!             fp16 two = const()[name = string("two"), val = fp16(0x1p+1)];
//!             tensor<fp16, [1, 4]> y = mul(x = x, y = two)[name = string("y")];
//!         } -> (y);
//! }
//! "#;
//! let program: mil::Program = text.parse()?;
//! assert_eq!(program.to_string(), text);
//! # Ok::<(), mil::text::ParseError>(())
//! ```
//!
//! **Printing** ([`print()`], [`write_to`], `Display` of a program) takes the [`Dialect`], or chooses the one that
//! coremlc writes for the program's opset. Constants become `const()` statements before the first statement that
//! uses them; every argument is a name, because that is all that the engine's compiler accepts. Only `constexpr_…`
//! operations have their constants in place, as coremlc writes them: among the arguments, or, in the generation of ios16,
//! as attributes (`constexpr_affine_dequantize()[axis = int32(0), …]`). Arguments and attributes are sorted by name, as coremlc's are. Floats are written in hexadecimal, so that no bit
//! is lost. Function inputs and outputs keep their names; other names are made valid and unique (`relu`, `relu_1`, …),
//! and values without a name get one from their op (`relu_0`) or from where they are used (`y_strides`). A program without `buildInfo` prints with [`DEFAULT_BUILD_INFO`], which some compilers
//! insist on. Constants that nothing uses are left out. The same program always gives the same text.
//!
//! **Parsing** ([`parse`], `FromStr` of a program) accepts both dialects, mixed as well, and gives a [`Program`] whose
//! statements have passed type inference; [`crate::verify()`] is the caller's next step. Beyond what is
//! printed it accepts: `//` comments; constants written in place (`axis = int32(1)`); flat and nested element lists;
//! decimal and hexadecimal floats, `inf` and `nan`; arguments written as attributes (`constexpr_…()[axis = …]`);
//! one value where a tuple is declared; more attributes on `const`, which are dropped, its `name` too: the variable is the
//! name (operations keep theirs, [`crate::Operation::name`]); attributes of functions, which are dropped: they tell
//! what shapes may be bound, which is the business of the package around the text; and the serialized form of a
//! state update, `write_state(input = s, data = x)`, a statement without outputs that becomes `coreml_update_state`.
//! Not accepted, with an error that says so: argument literals without a type (`axis = -1`).
//!
//! **Blocks** follow their operation, each with its inputs, statements and outputs:
//! `… = cond(pred = p)[name = …] () { … } -> (a) () { … } -> (b);`. So Core ML's loader reads them, as the author of the crate
//! `mlmodelc-export` (MIT OR Apache-2.0) found on macOS; no text of Apple's own compiler with blocks is public. Whether attributes stand
//! before the blocks, as printed here, or after them, is not known: both are read. A dimension that is not known is `?`.
//!
//! **Weights** can live beside the text in a blob file ([`blob`]): with a [`WeightSink`], constants of ten elements and
//! more go there, and the text holds `BLOBFILE(path, offset)`; with a [`WeightSource`] they are found again, without
//! being copied.
//!
//! **The round trip** is exact: `parse(&print(&p, dialect))` equals [`canonical`]`(&p)`, which is `p` with its values
//! renumbered in print order under their printed names, and one nameless constant for each that is written in place. So
//! printing what was parsed gives the same text again.

pub mod blob;
mod error;
mod layout;
mod lex;
mod literal;
mod parse;
mod print;
mod values;

pub use blob::{BlobError, BlobFile, BlobWriter, WeightLocation, WeightSink, WeightSource};
pub use error::{ParseError, PrintError};
pub use layout::canonical;
pub use parse::{parse, parse_with_weights};
pub use print::{print, print_with_weights, write_to};

use crate::{Opset, Program, Verified};
use std::fmt;
use std::str::FromStr;

/// How scalars and the header are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// `program(1.0)`, scalars wrapped: `tensor<int32, []>(1)`. Compilers of every generation read it.
    Ios16,
    /// `program(1.3)`, bare scalars: `int32(1)`. What coremlc writes for `ios18`.
    Ios18,
}

impl Dialect {
    /// Both dialects, older first.
    pub const ALL: [Dialect; 2] = [Dialect::Ios16, Dialect::Ios18];

    /// The dialect that coremlc writes for the program's opset: bare scalars when any function needs `ios18`.
    pub fn of(program: &Program) -> Dialect {
        let newest = program.functions.iter().map(|function| function.opset).max();
        if newest >= Some(Opset::Ios18) { Dialect::Ios18 } else { Dialect::Ios16 }
    }

    /// `ios16` or `ios18`.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Ios16 => "ios16",
            Dialect::Ios18 => "ios18",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `buildInfo` of programs that have none: compilers of the `ios16` dialect want the key and do not read the values.
pub const DEFAULT_BUILD_INFO: [(&str, &str); 2] =
    [("coremlc-component-MIL", "3510.2.1"), ("coremlc-version", "3505.4.1")];

impl fmt::Display for Program {
    /// The text form, in the dialect of [`Dialect::of`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print(self, Dialect::of(self)))
    }
}

impl fmt::Display for Verified {
    /// The text form, in the dialect of [`Dialect::of`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl FromStr for Program {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Program, ParseError> {
        parse(source)
    }
}
