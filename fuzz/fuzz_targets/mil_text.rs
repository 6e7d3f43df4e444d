//! Any text: reading, checking and printing it never panics, and what is a program prints and parses to the same.
//!
//! `cargo +nightly fuzz run mil_text fuzz/corpus/mil_text crates/mil/tests/text/in -- -dict=fuzz/mil.dict -rss_limit_mb=2048`

#![no_main]

use libfuzzer_sys::fuzz_target;
use mil::text::{Dialect, canonical, parse, print};
use mil::verify;

fuzz_target!(|source: &str| {
    let program = match parse(source) {
        Ok(program) => program,
        Err(error) => {
            // The drawing of the place is code too.
            assert!(error.to_string().contains(&error.message));
            return;
        }
    };
    let Ok(program) = verify(program) else { return };
    let expected = canonical(&program);
    for dialect in Dialect::ALL {
        let text = print(&program, dialect);
        match parse(&text) {
            Ok(again) => assert_eq!(again, expected, "{text}"),
            Err(error) => panic!("{error}\nin\n{text}"),
        }
    }
});
