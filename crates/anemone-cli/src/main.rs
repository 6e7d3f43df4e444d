//! The `anemone` command.

fn main() {}
