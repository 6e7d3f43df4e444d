//! The engine's fixed-point products beside our own in `fp32`: `cargo bench -p anemone-cpu --bench fixed`.
//!
//! The best of some runs, on all threads and on one. The last column is the speed of the simulation as a part of that of `fp32`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use anemone_cpu::gemm::{Arithmetic, GemmOptions, Isa, MatMut, MatRef, gemm};
use half::f16;
use std::time::Instant;

/// Numbers in -1..1 (or as wide as `scale` makes them), of which many products are flushed and many are not.
fn numbers(count: usize, seed: u64, scale: f32) -> Vec<f16> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            f16::from_f32(((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * scale)
        })
        .collect()
}

fn best(runs: usize, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(time).fold(f64::INFINITY, f64::min)
}

fn main() {
    println!("instruction set: {}", Isa::detect().name());
    println!(
        "{:>18} {:>8} {:>8} | {:>10} {:>10} | {:>6}",
        "M K N", "operands", "threads", "fp32 GF/s", "fixed GF/s", "ratio"
    );
    let cases = [
        ([2048, 2048, 2048], 1.0),
        ([2048, 2048, 2048], 8.0),
        ([2048, 2048, 2048], 100.0),
        ([2048, 2048, 2048], 1000.0),
        ([512, 64, 512], 1.0),
        ([197, 768, 3072], 1.0),
        ([1, 4096, 4096], 1.0),
    ];
    for threads in [0, 1] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        for ([m, k, n], scale) in cases {
            let (a, b) = (numbers(m * k, 1, scale), numbers(k * n, 2, scale));
            let wide: [Vec<f32>; 2] = [&a, &b].map(|data| data.iter().map(|x| x.to_f32()).collect());
            let work = 2.0 * (m * k * n) as f64;
            let runs = (3e10 / work).clamp(3.0, 300.0) as usize;
            let mut out = vec![0.0f32; m * n];
            let float = pool.install(|| {
                best(runs, || {
                    let a = MatRef::row_major(&wide[0][..], [m, k]).expect("a matrix");
                    let b = MatRef::row_major(&wide[1][..], [k, n]).expect("a matrix");
                    let c = MatMut::row_major(&mut out[..], [m, n]).expect("a matrix");
                    gemm(a, b, c, &GemmOptions::default()).expect("shapes that fit");
                })
            });
            let mut out = vec![f16::ZERO; m * n];
            let fixed = pool.install(|| {
                best(runs, || {
                    let a = MatRef::row_major(&a[..], [m, k]).expect("a matrix");
                    let b = MatRef::row_major(&b[..], [k, n]).expect("a matrix");
                    let c = MatMut::row_major(&mut out[..], [m, n]).expect("a matrix");
                    let options = GemmOptions { arithmetic: Arithmetic::Fixed, ..GemmOptions::default() };
                    gemm(a, b, c, &options).expect("shapes that fit");
                })
            });
            println!(
                "{:>18} {:>8} {:>8} | {:>10.1} {:>10.1} | {:>5.1}%",
                format!("{m} {k} {n}"),
                format!("±{scale}"),
                pool.current_num_threads(),
                work / float / 1e9,
                work / fixed / 1e9,
                100.0 * float / fixed
            );
        }
    }
}
