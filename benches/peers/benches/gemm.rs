//! GFLOP/s of the matrix product beside the `gemm` and `matrixmultiply` crates, for the shapes that training
//! and generation use: `cargo bench --manifest-path benches/peers/Cargo.toml --bench gemm [-- FILTER]`.
//!
//! Every figure is the best and the median of rounds that visit the libraries in turn, so that other load on
//! the machine hits them alike. `matrixmultiply` uses its own threads, set by `MATMUL_NUM_THREADS` when the
//! process starts, so it is shown on one thread only.

use std::time::{Duration, Instant};

use anemone_cpu::gemm::{BatchDim, GemmOptions, MatMut, MatRef, Packed, Side, gemm as ours};
use half::f16;

/// A product: `B` is stored `[N, K]` if `transposed`, `A` is stored `[K, M]` if `tall` (weight gradients).
struct Shape {
    name: &'static str,
    items: usize,
    m: usize,
    k: usize,
    n: usize,
    transposed: bool,
    tall: bool,
}

const fn shape(name: &'static str, [m, k, n]: [usize; 3]) -> Shape {
    Shape { name, items: 1, m, k, n, transposed: false, tall: false }
}

const SHAPES: &[Shape] = &[
    shape("1024^3", [1024, 1024, 1024]),
    Shape { transposed: true, ..shape("1024^3 T", [1024, 1024, 1024]) },
    Shape { transposed: true, ..shape("256x288x288 T", [256, 288, 288]) },
    Shape { transposed: true, ..shape("256x288x768 T", [256, 288, 768]) },
    Shape { transposed: true, ..shape("256x768x768 T", [256, 768, 768]) },
    Shape { transposed: true, ..shape("256x768x2048 T", [256, 768, 2048]) },
    Shape { transposed: true, ..shape("256x288x32000 T", [256, 288, 32000]) },
    shape("256x32000x288 (dX)", [256, 32000, 288]),
    Shape { tall: true, ..shape("32000x256x288 (dW)", [32000, 256, 288]) },
    Shape { tall: true, ..shape("288x256x768 (dW)", [288, 256, 768]) },
    shape("1x768x32000", [1, 768, 32000]),
    Shape { transposed: true, ..shape("1x768x32000 T", [1, 768, 32000]) },
    Shape { transposed: true, ..shape("1x288x288 T", [1, 288, 288]) },
    Shape { transposed: true, ..shape("4x768x2048 T", [4, 768, 2048]) },
    shape("64x64x32", [64, 32, 64]),
    Shape { items: 12, transposed: true, ..shape("12 x 256x64x256 T", [256, 64, 256]) },
    Shape { items: 12, ..shape("12 x 256x256x64", [256, 256, 64]) },
    Shape { items: 6, transposed: true, ..shape("6 x 256x48x256 T", [256, 48, 256]) },
    Shape { items: 6, ..shape("6 x 256x256x48", [256, 256, 48]) },
    shape("64x27x131072", [64, 27, 131_072]),
    Shape { transposed: true, ..shape("64x131072x27 T (dW)", [64, 131_072, 27]) },
];

/// The operands of a shape, in fp32 and fp16.
struct Data {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    a_half: Vec<f16>,
    b_half: Vec<f16>,
    c_half: Vec<f16>,
}

impl Data {
    fn new(shape: &Shape) -> Self {
        let fill = |len: usize| (0..len).map(|i| (i * 7919 % 1009) as f32 / 1009.0 - 0.5).collect::<Vec<_>>();
        let halves = |floats: &[f32]| floats.iter().copied().map(f16::from_f32).collect::<Vec<_>>();
        let Shape { items, m, k, n, .. } = *shape;
        let (a, b, c) = (fill(items * m * k), fill(items * k * n), fill(items * m * n));
        let (a_half, b_half, c_half) = (halves(&a), halves(&b), halves(&c));
        Self { a, b, c, a_half, b_half, c_half }
    }
}

impl Shape {
    /// Row and column strides of `A` and `B`.
    fn strides(&self) -> [[usize; 2]; 2] {
        let a = if self.tall { [1, self.m] } else { [self.k, 1] };
        let b = if self.transposed { [1, self.k] } else { [self.n, 1] };
        [a, b]
    }

    fn run(&self, library: Library, data: &mut Data, packed: &Packed) {
        let Self { items, m, k, n, .. } = *self;
        let [a_strides, b_strides] = self.strides();
        let batch = [BatchDim { count: items, a: m * k, b: k * n, c: m * n }];
        let options = GemmOptions { batch: &batch, ..Default::default() };
        let fits = "the vectors have the sizes of the shape";
        match library {
            Library::Ours => {
                let a = MatRef::new(&data.a[..], [m, k], a_strides).expect(fits);
                let b = MatRef::new(&data.b[..], [k, n], b_strides).expect(fits);
                ours(a, b, MatMut::row_major(&mut data.c[..], [m, n]).expect(fits), &options).expect(fits);
            }
            Library::OursPacked => {
                let a = MatRef::new(&data.a[..], [m, k], a_strides).expect(fits);
                ours(a, packed, MatMut::row_major(&mut data.c[..], [m, n]).expect(fits), &options)
                    .expect(fits);
            }
            Library::OursHalf => {
                let a = MatRef::new(&data.a_half[..], [m, k], a_strides).expect(fits);
                let b = MatRef::new(&data.b_half[..], [k, n], b_strides).expect(fits);
                ours(a, b, MatMut::row_major(&mut data.c_half[..], [m, n]).expect(fits), &options)
                    .expect(fits);
            }
            Library::Gemm => {
                let threads = rayon::current_num_threads();
                let parallelism =
                    if threads == 1 { gemm::Parallelism::None } else { gemm::Parallelism::Rayon(threads) };
                for item in 0..items {
                    let (a, b) = (data.a[item * m * k..].as_ptr(), data.b[item * k * n..].as_ptr());
                    let c = data.c[item * m * n..].as_mut_ptr();
                    let ([a_row, a_col], [b_row, b_col]) =
                        (a_strides.map(|s| s as isize), b_strides.map(|s| s as isize));
                    // SAFETY: the vectors have the sizes of the shape.
                    unsafe {
                        gemm::gemm(
                            m,
                            n,
                            k,
                            c,
                            1,
                            n as isize,
                            false,
                            a,
                            a_col,
                            a_row,
                            b,
                            b_col,
                            b_row,
                            0.0f32,
                            1.0f32,
                            false,
                            false,
                            false,
                            parallelism,
                        );
                    }
                }
            }
            Library::MatrixMultiply => {
                for item in 0..items {
                    let (a, b) = (data.a[item * m * k..].as_ptr(), data.b[item * k * n..].as_ptr());
                    let c = data.c[item * m * n..].as_mut_ptr();
                    let ([a_row, a_col], [b_row, b_col]) =
                        (a_strides.map(|s| s as isize), b_strides.map(|s| s as isize));
                    // SAFETY: the vectors have the sizes of the shape.
                    unsafe {
                        matrixmultiply::sgemm(
                            m, k, n, 1.0, a, a_row, a_col, b, b_row, b_col, 0.0, c, n as isize, 1,
                        );
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Library {
    Ours,
    OursPacked,
    OursHalf,
    Gemm,
    MatrixMultiply,
}

const LIBRARIES: [(Library, &str); 5] = [
    (Library::Ours, "ours"),
    (Library::OursPacked, "ours, B packed"),
    (Library::OursHalf, "ours fp16"),
    (Library::Gemm, "gemm x86-v4"),
    (Library::MatrixMultiply, "matrixmultiply"),
];

const ROUNDS: usize = 9;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for threads in [1, 2] {
        println!(
            "\n{threads} thread(s), GFLOP/s, best / median; instruction set {:?}",
            anemone_cpu::gemm::Isa::detect()
        );
        print!("{:22}", "shape (M x K x N)");
        LIBRARIES.iter().for_each(|(_, name)| print!("{name:>18}"));
        println!("{:>12}", "ours/gemm");
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        for shape in SHAPES.iter().filter(|shape| shape.name.contains(&filter)) {
            pool.install(|| measure(shape, threads));
        }
    }
}

fn measure(shape: &Shape, threads: usize) {
    let Shape { items, m, k, n, .. } = *shape;
    let mut data = Data::new(shape);
    let flops = 2.0 * (items * m * k * n) as f64;
    let [_, b_strides] = shape.strides();
    let packed = MatRef::new(&data.b[..], [k, n], b_strides).expect("B has the size of the shape");
    let packed = Packed::new(packed, Side::B);
    let runs = |library: Library| match library {
        Library::MatrixMultiply => threads == 1,
        Library::OursPacked => items == 1,
        _ => true,
    };
    let mut figures = vec![Vec::new(); LIBRARIES.len()];
    for _ in 0..ROUNDS {
        for ((library, _), figures) in
            LIBRARIES.iter().zip(&mut figures).filter(|((library, _), _)| runs(*library))
        {
            shape.run(*library, &mut data, &packed);
            let (start, mut count) = (Instant::now(), 0u32);
            while count < 2 || start.elapsed() < Duration::from_millis(25) {
                shape.run(*library, &mut data, &packed);
                count += 1;
            }
            figures.push(flops * f64::from(count) / start.elapsed().as_secs_f64() / 1e9);
        }
    }
    print!("{:22}", shape.name);
    for figures in &mut figures {
        figures.sort_by(f64::total_cmp);
        match figures.last() {
            Some(best) => print!("{:>18}", format!("{best:.1} / {:.1}", figures[figures.len() / 2])),
            None => print!("{:>18}", "-"),
        }
    }
    let best = |i: usize| figures[i].last().copied().unwrap_or(f64::NAN);
    println!("{:>12.2}", best(0) / best(3));
}
