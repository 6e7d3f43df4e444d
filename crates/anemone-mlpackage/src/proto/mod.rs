//! Core ML's protobuf messages: field numbers and the wire format.
//!
//! Messages are read in place with a small reader of our own (`wire`) and Apple's field numbers ([`schema`]), not with
//! generated types. What was weighed:
//!
//! * **`coreml-proto` 0.1** (MIT, prost 0.14; one release). Complete, and 400 KB of generated Rust of which ML Programs
//!   need a tenth; its maps are `HashMap`s, so the same model gives other bytes in every run.
//! * **prost types of our own.** prost drops unknown fields without a word, which a lossless rewrite forbids, so a second
//!   description of the schema would have to walk the bytes before prost does. And it decodes a whole tree: 2-byte
//!   messages become structs of 100 bytes and more, so a damaged file of 10 MB could ask for a gigabyte, and opening a package
//!   would cost what its program costs.
//! * **Reading in place**, chosen: an unknown field is an error because no `match` has an arm for it; nothing is allocated
//!   before it is known to be needed; a package opens without looking at its program; bytes are written in one fixed order.
//!   The price is the wire format itself, two hundred lines that have not changed since 2008.

pub mod schema;
pub(crate) mod wire;
