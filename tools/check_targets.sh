#!/usr/bin/env bash
# Checks the targets that the machine at hand is not: lints the whole workspace for macOS on Apple silicon, and runs the CPU
# engine's NEON kernels under an emulator.
#
#     tools/check_targets.sh            both, the second in its quick form
#     tools/check_targets.sh darwin     the lints only
#     tools/check_targets.sh neon       the quick NEON tests only: results bit by bit, golden files, states
#     tools/check_targets.sh full       everything, the engine's unit tests and random programs too (slow: emulated)
#
# Needs root on Debian for x86-64, or the packages below installed. rustup has no standard library for other targets without
# its servers, so the standard library is built from Debian's sources by Debian's compiler of the same version; the default
# toolchain and the default target directory are not touched.
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=(rustc-web cargo-web rust-web-src rust-web-clippy)
emulator=(qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)

fail() {
    echo "check_targets: $*" >&2
    exit 1
}

# step NAME COMMAND...: runs a command and says how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "-- $name"
    "$@" || fail "failed: $name"
    echo "-- $name: $((SECONDS - start)) s"
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

version() {
    dpkg-query -W -f '${Version}' "$1"
}

# install PACKAGE...: those that are missing, all in one transaction, removing nothing.
install() {
    local missing=()
    local package
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" -eq 0 ] || fail "these Debian packages are missing and only root can install them: ${missing[*]}"
    apt-get update -qq || fail "apt-get update failed: Debian's archive is needed for: ${missing[*]}"
    for package in "${missing[@]}"; do
        apt-cache policy "$package" | grep -q 'Candidate: [0-9]' ||
            fail "Debian's archive, as configured here, has no package $package (bookworm with its security pocket has)"
    done
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >/dev/null ||
        fail "apt-get could not install: ${missing[*]}"
}

# The compiler must be the one that the sources belong to, and new enough for the workspace.
check_compiler() {
    local package wanted found needed
    wanted=$(version rustc-web)
    for package in "${compiler[@]}"; do
        found=$(version "$package")
        [ "$found" = "$wanted" ] ||
            fail "rustc-web is $wanted but $package is $found; bring them together: apt-get install ${compiler[*]}"
    done
    needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    dpkg --compare-versions "$wanted" ge "$needed" ||
        fail "Debian's rustc-web is $wanted but the workspace needs Rust $needed (is the security pocket enabled?)"
    echo "rustc-web $wanted"
}

# The tools by full path: names alone may be rustup's.
debian_cargo() {
    CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTUP_TOOLCHAIN='' PATH="/usr/bin:/bin:$PATH" \
        CARGO_TARGET_DIR="${CHECK_TARGETS_DIR:-target/targets}" CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0 "$@"
}

darwin() {
    debian_cargo /usr/bin/cargo-clippy clippy --quiet -Z build-std --workspace --all-targets \
        --target aarch64-apple-darwin -- -D warnings
}

# neon_test CPU ARGUMENT...: `cargo test` of the engine on an emulated CPU.
neon_test() {
    local cpu=$1
    shift
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu $cpu" \
        debian_cargo /usr/bin/cargo test --quiet -Z build-std -p anemone-cpu --target aarch64-unknown-linux-gnu "$@"
}

# same_bits CPU ISA: the committed digests, and proof that they were computed with that instruction set.
same_bits() {
    local printed
    printed=$(ANEMONE_ISA=$2 neon_test "$1" --test same_bits -- --nocapture) || {
        echo "$printed"
        return 1
    }
    grep "committed bits with $2" <<<"$printed" || fail "the test did not run with $2: $printed"
}

# One CPU with the fp16 extension, one without.
neon() {
    local quick=(--test same_bits --test golden_ops --test golden_gradients --test states)
    step "NEON: build" neon_test max --no-run "${quick[@]}"
    step "NEON: the same bits as on x86-64, CPU with fp16" same_bits max neon
    step "NEON: the same bits as on x86-64, CPU without fp16" same_bits cortex-a72 neon
    step "portable kernels on AArch64: the same bits" same_bits max portable
    step "NEON: golden files and states" neon_test max "${quick[@]:2}"
}

everything_of_neon() {
    step "NEON: build of all tests" neon_test max --no-run --lib --tests
    step "NEON: all tests, CPU with fp16" neon_test max --lib --tests
    step "NEON: unit tests, CPU without fp16" neon_test cortex-a72 --lib
}

mode=${1:-quick}
case $mode in quick | darwin | neon | full) ;; *) fail "\`$mode\` is unknown; say darwin, neon, full or nothing" ;; esac
if ! { command -v dpkg-query && command -v apt-get; } >/dev/null; then
    fail "this needs Debian's packages of the Rust compiler and its sources, and here is no dpkg and apt-get"
fi
[ "$(dpkg --print-architecture)" = amd64 ] ||
    fail "this is for x86-64; on AArch64 \`cargo test -p anemone-cpu\` runs the NEON kernels as they are"

packages=("${compiler[@]}")
[ "$mode" = darwin ] || packages+=("${emulator[@]}")
step "packages" install "${packages[@]}"
step "versions" check_compiler
case $mode in quick | darwin | full) step "macOS on Apple silicon: clippy" darwin ;; esac
case $mode in quick | neon | full) neon ;; esac
case $mode in full) everything_of_neon ;; esac
echo "check_targets: all right after $SECONDS s"
