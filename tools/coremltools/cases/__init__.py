"""The cases, one module per MIL op family; the names are those of `crates/mil/src/ops`."""
