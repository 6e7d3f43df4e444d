//! Against the model's text, one product after another, on every instruction set.

use crate::gemm::drive::gemm_on;
use crate::gemm::{Arithmetic, BatchDim, Bias, GemmOptions, Isa, MatMut, MatRef, Packed, Side, Source};
use half::f16;

/// What the engine's units read: a full exponent field is one like any other.
fn value(x: f16) -> f64 {
    let size = x.to_bits() & 0x7fff;
    if size < 0x7c00 {
        return x.to_f64();
    }
    // Reading a NaN makes it quiet.
    let mantissa = if x.is_nan() { size & 0x3ff | 0x200 } else { 0 };
    let value = (1.0 + f64::from(mantissa) / 1024.0) * 65536.0;
    if x.is_sign_negative() { -value } else { value }
}

fn exponent(x: f64) -> i32 {
    let mut exponent = -14;
    while exponent < 17 && x.abs() >= 2f64.powi(exponent + 1) {
        exponent += 1;
    }
    exponent
}

fn product(x: f16, w: f16) -> i128 {
    let (x, w) = (value(x), value(w));
    if exponent(x) + exponent(w) < -16 {
        return 0;
    }
    let scaled = x * w * 65536.0;
    (scaled.abs() + 0.5).floor().copysign(scaled) as i128
}

fn rounded(sum: i128) -> f16 {
    let value = sum as f64 / 65536.0;
    if sum.abs() >= 1 << 31 {
        return f16::from_f64(f64::INFINITY.copysign(value));
    }
    if value == 0.0 {
        return f16::ZERO;
    }
    let unit = 2f64.powi(exponent(value) - 10);
    f16::from_f64(((value.abs() / unit + 0.5).floor() * unit).copysign(value))
}

/// Numbers of one kind.
struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn take(&mut self, kind: usize, count: usize) -> Vec<f16> {
        let mut one = || {
            let unit = self.bits() as f32 / u32::MAX as f32 * 2.0 - 1.0;
            match kind {
                // Near the flushing threshold, the usual sizes, large ones, anything finite, anything at all.
                0 => f16::from_f32(unit / 256.0),
                1 => f16::from_f32(unit * 3.0),
                2 => f16::from_f32(unit * 1500.0),
                3 => f16::from_bits((self.bits() % 0x7c00) as u16 | (self.bits() & 0x8000) as u16),
                _ => f16::from_bits(self.bits() as u16),
            }
        };
        (0..count).map(|_| one()).collect()
    }
}

const SHAPES: &[[usize; 3]] = &[
    [1, 1, 1],
    [1, 300, 70],
    [70, 300, 1],
    [3, 5, 9],
    [14, 256, 32],
    [15, 257, 33],
    [29, 600, 47],
    [5, 0, 7],
];

fn want(a: &[f16], b: &[f16], [m, k, n]: [usize; 3], bias: impl Fn(usize, usize) -> i128) -> Vec<u16> {
    let mut out = Vec::new();
    for (row, col) in (0..m).flat_map(|row| (0..n).map(move |col| (row, col))) {
        let sum: i128 = (0..k).map(|i| product(a[row * k + i], b[col * k + i])).sum();
        out.push(rounded(sum + bias(row, col)).to_bits());
    }
    out
}

#[test]
fn products_are_those_of_the_model() {
    let mut numbers = Numbers(1);
    for &[m, k, n] in SHAPES {
        for kinds in [[0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [3, 3], [4, 4], [0, 4]] {
            let (a, b) = (numbers.take(kinds[0], m * k), numbers.take(kinds[1], n * k));
            let bias = numbers.take(1, m.max(n));
            let per_row = numbers.bits().is_multiple_of(2);
            let want =
                want(&a, &b, [m, k, n], |row, col| product(bias[if per_row { row } else { col }], f16::ONE));
            for isa in Isa::available() {
                let matrix = MatRef::row_major(&a[..], [m, k]).unwrap();
                let columns = MatRef::row_major(&b[..], [n, k]).unwrap().transposed();
                let packed = Packed::from_source(Source::Matrix(columns), Side::B, isa);
                let wide: Vec<f32> = a.iter().map(|x| x.to_f32()).collect();
                let wide = MatRef::row_major(&wide[..], [m, k]).unwrap();
                let bias = if per_row {
                    Bias::PerRow((&bias[..]).into())
                } else {
                    Bias::PerColumn((&bias[..]).into())
                };
                let options = GemmOptions { bias, arithmetic: Arithmetic::Fixed, ..GemmOptions::default() };
                let forms: [(Source<'_>, Source<'_>); 3] = [
                    (matrix.into(), columns.into()),
                    (matrix.into(), (&packed).into()),
                    (wide.into(), columns.into()),
                ];
                for (form, (a, b)) in forms.into_iter().enumerate() {
                    let mut got = vec![f16::ONE; m * n];
                    let c = MatMut::row_major(&mut got[..], [m, n]).unwrap();
                    gemm_on(isa, a, b, c, &options).unwrap();
                    let got: Vec<u16> = got.iter().map(|x| x.to_bits()).collect();
                    assert_eq!(got, want, "{} {m} {k} {n} {kinds:?} {form}", isa.name());
                }
            }
        }
    }
}

#[test]
fn threads_batches_and_strides_do_not_show() {
    let mut numbers = Numbers(2);
    let [m, k, n] = [130, 90, 210];
    let (a, b) = (numbers.take(0, 3 * m * k), numbers.take(1, n * k));
    let want: Vec<u16> = (0..3).flat_map(|item| want(&a[item * m * k..], &b, [m, k, n], |_, _| 0)).collect();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let matrix = MatRef::row_major(&a[..], [m, k]).unwrap();
        let columns = MatRef::row_major(&b[..], [n, k]).unwrap().transposed();
        let batch = [BatchDim { count: 3, a: m * k, b: 0, c: m * n }];
        let options = GemmOptions { batch: &batch, arithmetic: Arithmetic::Fixed, ..GemmOptions::default() };
        // Neighbouring rows: `C` is stored transposed.
        for strides in [[n, 1], [1, m]] {
            let mut got = vec![f16::ONE; 3 * m * n];
            let c = MatMut::new(&mut got[..], [m, n], strides).unwrap();
            pool.install(|| gemm_on(Isa::detect(), matrix.into(), columns.into(), c, &options)).unwrap();
            let at = |i: usize| {
                let (item, row, col) = (i / (m * n), i / n % m, i % n);
                got[item * m * n + row * strides[0] + col * strides[1]].to_bits()
            };
            assert!((0..want.len()).all(|i| at(i) == want[i]), "{threads} threads, strides {strides:?}");
        }
    }
}

#[test]
fn infinite_from_two_to_the_fifteen() {
    let product = |x: f32, y: f32, z: f32| {
        let (a, b) = ([x, z].map(f16::from_f32), [y, 1.0].map(f16::from_f32));
        let mut got = [f16::ZERO];
        let options = GemmOptions { arithmetic: Arithmetic::Fixed, ..GemmOptions::default() };
        let (a, b) = (MatRef::row_major(&a[..], [1, 2]).unwrap(), MatRef::row_major(&b[..], [2, 1]).unwrap());
        gemm_on(
            Isa::detect(),
            a.into(),
            b.into(),
            MatMut::row_major(&mut got[..], [1, 1]).unwrap(),
            &options,
        )
        .unwrap();
        got[0].to_f32()
    };
    assert_eq!(product(32752.0, 1.0, 0.0), 32752.0);
    assert_eq!(product(128.0, 256.0, 0.0), f32::INFINITY);
    assert_eq!(product(-128.0, 256.0, 0.0), f32::NEG_INFINITY);
    assert_eq!(product(128.0, 256.0, -16.0), 32752.0);
}
