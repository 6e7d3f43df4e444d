//! The same bits on any instruction set and any machine: digests of the results of fixed programs.
//!
//! `digests.txt` has one line per result. Whoever runs this test (x86-64 with AVX-512, AVX2 or neither, AArch64 with its NEON
//! kernels or the portable ones) must find these very lines, in strict mode on one thread and in fused mode on two. The
//! instruction set is that of `ANEMONE_ISA`; without it the fastest, and on x86-64 the others too, in processes of their own
//! because the choice is made once per process. `tools/check_targets.sh` runs it on AArch64.
//!
//! A change that is meant to change results renews the file: `ANEMONE_BLESS=1 cargo test -p anemone-cpu --test same_bits`.
//! These digests say nothing about whether results are right; the golden tests do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod networks;
mod ops;
mod set;

use anemone_cpu::gemm::Isa;
use std::fmt::Write;
use std::path::PathBuf;

/// One line per result of every program.
fn digests() -> String {
    let mut text = String::new();
    for set in ops::sets().chain(networks::sets()) {
        for (name, digest) in set.digests() {
            writeln!(text, "{name} {digest:016x}").unwrap();
        }
    }
    text
}

#[test]
fn results_have_the_committed_bits() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/same_bits/digests.txt");
    let found = digests();
    if std::env::var_os("ANEMONE_BLESS").is_some() {
        return std::fs::write(&path, found).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    let wanted: Vec<&str> = wanted.lines().collect();
    let found: Vec<&str> = found.lines().collect();
    let names = |lines: &[&str]| -> Vec<String> {
        lines.iter().map(|line| line.split(' ').next().unwrap().to_string()).collect()
    };
    assert_eq!(names(&found), names(&wanted), "the programs have changed; renew {}", path.display());
    let differing: Vec<&str> =
        found.iter().zip(&wanted).filter(|(a, b)| a != b).map(|(found, _)| *found).collect();
    assert!(
        differing.is_empty(),
        "with {:?}, {} of {} results have other bits than in {}:\n{}",
        Isa::detect(),
        differing.len(),
        found.len(),
        path.display(),
        differing.join("\n")
    );
    println!("{} results have the committed bits with {:?}", found.len(), Isa::detect());
}

/// Runs the test above in a process that uses another instruction set. Only on x86-64: elsewhere this may be an emulator,
/// under which a program cannot start itself.
#[cfg(target_arch = "x86_64")]
#[test]
fn every_instruction_set_of_this_cpu_gives_them() {
    for isa in Isa::available() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "results_have_the_committed_bits", "--nocapture"])
            .env(Isa::VARIABLE, isa.name())
            .env_remove("ANEMONE_BLESS")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&child.stdout);
        let errors = String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{isa:?}:\n{printed}\n{errors}");
        // The child must really have used it.
        assert!(printed.contains(&format!("committed bits with {isa:?}")), "{isa:?}:\n{printed}");
    }
}

#[test]
fn an_instruction_set_that_is_not_there_is_refused() {
    let error = Isa::named("mmx").unwrap_err();
    assert!(error.to_string().contains("`mmx`") && error.available.ends_with("portable"), "{error}");
    for isa in Isa::available() {
        assert_eq!(Isa::named(isa.name()).unwrap().name(), isa.name());
    }
}
