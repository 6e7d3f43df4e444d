//! The product against a naive one in f64, and against itself: other instruction sets, thread counts and ways
//! to hand over the operands must give the same bits.

use half::f16;
use proptest::prelude::*;

use super::drive::gemm_on;
use super::*;

/// A small generator of floats in -1..1 that fp16 represents.
fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f16::from_f32((state >> 40) as f32 / (1 << 23) as f32 - 1.0).to_f32()
    };
    (0..len).map(next).collect()
}

fn halves(floats: &[f32]) -> Vec<f16> {
    floats.iter().copied().map(f16::from_f32).collect()
}

/// How an operand lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Rows,
    Columns,
    Spread,
    SameRow,
    SameColumn,
}

impl Layout {
    fn strides(self, [rows, cols]: [usize; 2]) -> [usize; 2] {
        match self {
            Self::Rows => [cols + 3, 1],
            Self::Columns => [1, rows],
            Self::Spread => [3 * cols + 1, 3],
            Self::SameRow => [0, 1],
            Self::SameColumn => [2, 0],
        }
    }
}

#[derive(Debug, Clone)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    items: usize,
    layouts: [Layout; 3],
    half: [bool; 3],
    accumulate: bool,
    bias: u8,
    seed: u64,
}

/// How the operands are handed over.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hand {
    Strided,
    PackedA,
    PackedB,
    Custom,
}

/// An operand that packs itself, straight from the definition.
struct Columns<'a>(MatRef<'a>, [usize; 2]);

impl Pack for Columns<'_> {
    fn lines(&self) -> usize {
        self.0.cols
    }
    fn depth(&self) -> usize {
        self.0.rows
    }
    fn pack(
        &self,
        item: usize,
        lines: std::ops::Range<usize>,
        k: std::ops::Range<usize>,
        width: usize,
        dst: &mut [f32],
    ) {
        assert_eq!(dst.len(), lines.len().div_ceil(width) * width * k.len());
        dst.fill(f32::NAN);
        for line in 0..lines.len() {
            for i in 0..k.len() {
                let (row, col) = (k.start + i, lines.start + line);
                let at = item * self.1[0] + row * self.0.row_stride + col * self.0.col_stride;
                dst[(line / width * k.len() + i) * width + line % width] = match self.0.data {
                    Operand::F32(data) => data[at],
                    Operand::F16(data) => data[at].to_f32(),
                };
            }
        }
    }
}

fn reach([rows, cols]: [usize; 2], [row, col]: [usize; 2]) -> usize {
    (rows.max(1) - 1) * row + (cols.max(1) - 1) * col + 1
}

impl Case {
    fn shapes(&self) -> [[usize; 2]; 3] {
        [[self.m, self.k], [self.k, self.n], [self.m, self.n]]
    }

    fn strides(&self, which: usize) -> [usize; 2] {
        self.layouts[which].strides(self.shapes()[which])
    }

    /// The floats of operand `which`, all items, and the distance between items.
    fn data(&self, which: usize) -> (Vec<f32>, usize) {
        let item = reach(self.shapes()[which], self.strides(which)) + 1;
        (values(self.seed + which as u64, item * self.items), item)
    }

    fn bias(&self) -> Vec<f32> {
        values(self.seed + 9, self.m.max(self.n))
    }

    fn run(&self, isa: Isa, hand: Hand) -> Vec<f32> {
        let [(a, a_item), (b, b_item), (mut c, c_item)] = [0, 1, 2].map(|i| self.data(i));
        let (a_half, b_half, mut c_half) = (halves(&a), halves(&b), halves(&c));
        let [a_shape, b_shape, c_shape] = self.shapes();
        let a = if self.half[0] { Operand::F16(&a_half) } else { Operand::F32(&a) };
        let b = if self.half[1] { Operand::F16(&b_half) } else { Operand::F32(&b) };
        let (bias, bias_half) = (self.bias(), halves(&self.bias()));
        let batch = [BatchDim { count: self.items, a: a_item, b: b_item, c: c_item }];
        let options = GemmOptions {
            batch: if self.items == 1 { &[] } else { &batch },
            accumulate: self.accumulate,
            bias: match self.bias {
                0 => Bias::None,
                1 => Bias::PerRow(Operand::F32(&bias)),
                2 => Bias::PerColumn(Operand::F32(&bias)),
                3 => Bias::PerRow(Operand::F16(&bias_half)),
                _ => Bias::PerColumn(Operand::F16(&bias_half)),
            },
            ..GemmOptions::default()
        };
        let a = MatRef::new(a, a_shape, self.strides(0)).unwrap();
        let b = MatRef::new(b, b_shape, self.strides(1)).unwrap();
        let out = if self.half[2] { OperandMut::F16(&mut c_half) } else { OperandMut::F32(&mut c) };
        let out = MatMut::new(out, c_shape, self.strides(2)).unwrap();
        let packed_a = Packed::from_source(Source::Matrix(a), Side::A, isa);
        let packed_b = Packed::from_source(Source::Matrix(b), Side::B, isa);
        let columns = Columns(b, [b_item, 0]);
        let (a, b) = match hand {
            Hand::Strided => (Source::Matrix(a), Source::Matrix(b)),
            Hand::PackedA => (Source::Packed(&packed_a), Source::Matrix(b)),
            Hand::PackedB => (Source::Matrix(a), Source::Packed(&packed_b)),
            Hand::Custom => (Source::Matrix(a), Source::Custom(&columns)),
        };
        gemm_on(isa, a, b, out, &options).unwrap();
        if self.half[2] { c_half.iter().map(|x| x.to_f32()).collect() } else { c }
    }

    /// Compares every `step`-th row with f64, within the bound for the documented order of accumulation.
    fn check(&self, found: &[f32], step: usize) {
        let [(a, a_item), (b, b_item), (c, c_item)] = [0, 1, 2].map(|i| self.data(i));
        let [a_stride, b_stride, c_stride] = [0, 1, 2].map(|i| self.strides(i));
        let bias = self.bias();
        let mut untouched = vec![true; c.len()];
        for item in 0..self.items {
            for row in (0..self.m).step_by(step) {
                for col in 0..self.n {
                    let element = |k: usize| {
                        let x = a[item * a_item + row * a_stride[0] + k * a_stride[1]];
                        f64::from(x) * f64::from(b[item * b_item + k * b_stride[0] + col * b_stride[1]])
                    };
                    let at = item * c_item + row * c_stride[0] + col * c_stride[1];
                    untouched[at] = false;
                    let old = if self.accumulate { f64::from(c[at]) } else { 0.0 };
                    let bias = [0.0, bias[row.min(bias.len() - 1)], bias[col], bias[row], bias[col]]
                        [self.bias as usize];
                    let expected = (0..self.k).map(element).sum::<f64>() + old + f64::from(bias);
                    // One rounding per link of the chain and per block, each relative to at most the sum of
                    // magnitudes.
                    let roundings = (self.k.min(K_BLOCK) + self.k / K_BLOCK + 3) as f64;
                    let magnitude = (0..self.k).map(|k| element(k).abs()).sum::<f64>() + old.abs() + 1.0;
                    let last = if self.half[2] { 5e-4 * expected.abs() + 1e-7 } else { 0.0 };
                    let tolerance = roundings * magnitude * f64::from(f32::EPSILON) / 2.0 + last;
                    let error = (f64::from(found[at]) - expected).abs();
                    assert!(error <= tolerance, "{self:?} at {row}, {col}: {} is not {expected}", found[at]);
                }
            }
        }
        for (at, _) in untouched.iter().enumerate().filter(|(_, untouched)| step == 1 && **untouched) {
            assert_eq!(found[at], c[at], "{self:?} wrote between its elements, at {at}");
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![
        3 => Just(Layout::Rows),
        3 => Just(Layout::Columns),
        1 => Just(Layout::Spread),
        1 => Just(Layout::SameRow),
        1 => Just(Layout::SameColumn)
    ]
}

fn out_layout() -> impl Strategy<Value = Layout> {
    prop_oneof![3 => Just(Layout::Rows), 1 => Just(Layout::Columns), 1 => Just(Layout::Spread)]
}

fn side() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(1usize), 6 => 1usize..50, 1 => 50usize..120]
}

fn cases() -> impl Strategy<Value = Case> {
    let depth = prop_oneof![1 => Just(0usize), 5 => 1usize..70, 2 => 250usize..262, 1 => 500usize..800];
    let half = prop::array::uniform3(any::<bool>());
    (
        side(),
        side(),
        depth,
        1usize..4,
        (layout(), layout(), out_layout()),
        half,
        any::<bool>(),
        0u8..5,
        any::<u32>(),
    )
        .prop_map(|(m, n, k, items, (a, b, c), half, accumulate, bias, seed)| Case {
            m,
            n,
            k,
            items,
            layouts: [a, b, c],
            half,
            accumulate,
            bias,
            seed: seed.into(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_way_gives_the_naive_product_and_the_same_bits(case in cases()) {
        let reference = case.run(Isa::detect(), Hand::Strided);
        case.check(&reference, 1);
        for isa in Isa::available() {
            prop_assert_eq!(bits(&case.run(isa, Hand::Strided)), bits(&reference), "{:?}", isa);
        }
        prop_assert_eq!(bits(&case.run(Isa::detect(), Hand::Custom)), bits(&reference));
        // A packed operand is the same for all items.
        let case = Case { items: 1, ..case };
        let reference = case.run(Isa::detect(), Hand::Strided);
        for hand in [Hand::PackedA, Hand::PackedB] {
            prop_assert_eq!(bits(&case.run(Isa::detect(), hand)), bits(&reference), "{:?}", hand);
        }
    }
}

fn plain(m: usize, k: usize, n: usize) -> Case {
    let layouts = [Layout::Rows; 3];
    Case { m, n, k, items: 1, layouts, half: [false; 3], accumulate: false, bias: 0, seed: 5 }
}

fn in_pool<R: Send>(threads: usize, body: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(body)
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut cases = vec![
        plain(256, 300, 160),
        plain(300, 257, 33),
        plain(40, 2000, 700),
        plain(64, 1000, 27),
        plain(1, 768, 3000),
        plain(3000, 513, 1),
        Case { items: 12, ..plain(64, 48, 64) },
        Case { items: 3, ..plain(128, 64, 200) },
    ];
    for case in cases.clone() {
        cases.push(Case { layouts: [Layout::Columns, Layout::Columns, Layout::Rows], ..case.clone() });
        cases.push(Case { half: [true, true, true], accumulate: true, bias: 2, ..case });
    }
    for case in cases {
        for hand in [Hand::Strided, Hand::PackedB] {
            let [one, two, three] =
                [1, 2, 3].map(|threads| bits(&in_pool(threads, || case.run(Isa::detect(), hand))));
            assert!(one == two && one == three, "{case:?}");
        }
    }
}

#[test]
fn a_product_cut_into_chunks_is_right() {
    // More than the shared packing holds at once, along every side.
    for case in [
        plain(70, 9000, 40),
        plain(300, 4100, 270),
        Case { half: [false, false, true], ..plain(20, 9000, 150) },
    ] {
        let case = Case { accumulate: true, bias: 1, ..case };
        let found = in_pool(2, || case.run(Isa::detect(), Hand::Strided));
        case.check(&found, 37);
        let alone = in_pool(1, || case.run(Isa::detect(), Hand::Strided));
        assert_eq!(bits(&found), bits(&alone));
    }
}

#[test]
fn each_element_is_the_documented_chain() {
    let case = Case { accumulate: true, bias: 2, ..plain(37, 700, 41) };
    let found = case.run(Isa::detect(), Hand::Strided);
    let [(a, _), (b, _), (c, _)] = [0, 1, 2].map(|i| case.data(i));
    let bias = case.bias();
    for (row, col) in [(0, 0), (36, 40), (17, 5)] {
        let at = row * case.strides(2)[0] + col;
        let mut expected = c[at];
        for start in (0..case.k).step_by(K_BLOCK) {
            let mut chain = 0.0f32;
            for k in start..case.k.min(start + K_BLOCK) {
                chain = a[row * case.strides(0)[0] + k].mul_add(b[k * case.strides(1)[0] + col], chain);
            }
            expected += chain;
        }
        assert_eq!(found[at].to_bits(), (expected + bias[col]).to_bits());
    }
}

#[test]
fn a_row_alone_has_the_bits_it_has_among_others() {
    let case = plain(50, 600, 300);
    let all = case.run(Isa::detect(), Hand::Strided);
    let alone = Case { m: 1, ..case }.run(Isa::detect(), Hand::Strided);
    assert_eq!(bits(&all[..300]), bits(&alone[..300]));
}

#[test]
fn fp16_output_is_rounded_once_from_the_full_sum() {
    // 2048 + 513 * 1 would stall at 2048 if sums were kept in fp16, or were rounded after each block of k.
    let k = 1 + 513;
    let a: Vec<f16> = (0..k).map(|i| f16::from_f32(if i == 0 { 2048.0 } else { 1.0 })).collect();
    let b = vec![f16::ONE; k * 2];
    for rows in [1, 2] {
        let mut c = vec![f16::ZERO; rows * 2];
        let a = MatRef::new(&a[..], [rows, k], [0, 1]).unwrap();
        let b = MatRef::row_major(&b[..], [k, 2]).unwrap();
        gemm(a, b, MatMut::row_major(&mut c[..], [rows, 2]).unwrap(), &GemmOptions::default()).unwrap();
        // 2561 lies between 2560 and 2562, a tie that goes to the even one.
        assert!(c.iter().all(|x| x.to_f32() == 2560.0), "{c:?}");
    }
}

#[test]
fn conversions_agree_with_the_scalar_ones() {
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let floats: Vec<f32> = (0..200_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b1))).collect();
    for isa in Isa::available() {
        // One short, so that there is a remainder.
        let mut wide = vec![0.0; all.len() - 1];
        isa.widen(&all, &mut wide);
        let mut narrow = vec![f16::ZERO; floats.len() - 1];
        isa.narrow(&floats, &mut narrow);
        for (half, float) in all.iter().zip(&wide).filter(|(half, _)| !half.is_nan()) {
            assert_eq!(half.to_f32().to_bits(), float.to_bits(), "{isa:?}");
        }
        for (float, half) in floats.iter().zip(&narrow) {
            let expected = f16::from_f32(*float);
            assert!(
                half.to_bits() == expected.to_bits() || (half.is_nan() && float.is_nan()),
                "{isa:?} {float}"
            );
        }
    }
}

#[test]
fn tile_sides_suit_the_lanes() {
    for isa in Isa::available() {
        let lanes = isa.lanes();
        for width in isa.tile_sides() {
            assert!(width <= lanes || width.is_multiple_of(lanes), "{isa:?}");
        }
        assert!(isa.tile_sides()[1].is_multiple_of(lanes));
    }
}

#[test]
fn a_strided_output_takes_the_items_of_a_batch_apart() {
    // Heads of attention, merged without a transpose: [T, H, D] as H products into [T, D] views.
    let (t, h, d, k) = (5, 3, 4, 7);
    let (a, b) = (values(1, h * t * k), values(2, h * k * d));
    let mut merged = vec![0.0; t * h * d];
    let batch = [BatchDim { count: h, a: t * k, b: k * d, c: d }];
    let left = MatRef::row_major(&a[..], [t, k]).unwrap();
    let right = MatRef::row_major(&b[..], [k, d]).unwrap();
    let out = MatMut::new(&mut merged[..], [t, d], [h * d, 1]).unwrap();
    gemm(left, right, out, &GemmOptions { batch: &batch, ..Default::default() }).unwrap();
    for head in 0..h {
        let mut one = vec![0.0; t * d];
        let left = MatRef::row_major(&a[head * t * k..], [t, k]).unwrap();
        let right = MatRef::row_major(&b[head * k * d..], [k, d]).unwrap();
        gemm(left, right, MatMut::row_major(&mut one[..], [t, d]).unwrap(), &GemmOptions::default()).unwrap();
        for (i, x) in one.iter().enumerate() {
            assert_eq!(merged[i / d * h * d + head * d + i % d].to_bits(), x.to_bits());
        }
    }
}

#[test]
fn a_product_over_no_k_is_zero_or_the_old_values() {
    let nothing: [f32; 0] = [];
    let batch = [BatchDim { count: 2, a: 5, b: 7, c: 6 }];
    for (shape, accumulate) in [([2, 3], false), ([2, 3], true), ([1, 6], false), ([6, 1], true)] {
        let mut c = [7.0f32; 12];
        let left = MatRef::row_major(&nothing[..], [shape[0], 0]).unwrap();
        let right = MatRef::row_major(&nothing[..], [0, shape[1]]).unwrap();
        let out = MatMut::row_major(&mut c[..], shape).unwrap();
        gemm(
            left,
            right,
            out,
            &GemmOptions { batch: &batch, accumulate, bias: Bias::None, ..GemmOptions::default() },
        )
        .unwrap();
        assert_eq!(c, [if accumulate { 7.0 } else { 0.0 }; 12]);
    }
}

#[test]
fn wrong_requests_are_refused() {
    let a = [0.0f32; 12];
    let mut c = [0.0f32; 16];
    assert!(matches!(
        MatRef::row_major(&a[..], [4, 4]),
        Err(GemmError::OutOfBounds { last: 15, len: 12, .. })
    ));
    assert!(matches!(MatRef::new(&a[..], [2, 2], [usize::MAX, 1]), Err(GemmError::OutOfBounds { .. })));
    assert!(matches!(MatMut::new(&mut c[..], [4, 4], [1, 1]), Err(GemmError::OverlappingOutput)));
    assert!(matches!(MatMut::new(&mut c[..], [4, 4], [0, 1]), Err(GemmError::OverlappingOutput)));
    let left = MatRef::row_major(&a[..], [3, 4]).unwrap();
    let options = GemmOptions::default();
    let mut product = |left: Source<'_>, right: Source<'_>, shape, options: &GemmOptions<'_>| {
        gemm_on(Isa::detect(), left, right, MatMut::row_major(&mut c[..], shape).unwrap(), options)
    };
    let (left, right) = (Source::Matrix(left), Source::Matrix(left.transposed()));
    assert!(matches!(product(left, left, [3, 3], &options), Err(GemmError::Shape { what: "B", .. })));
    assert!(matches!(product(left, right, [3, 4], &options), Err(GemmError::Shape { what: "C", .. })));
    let short = GemmOptions { bias: Bias::PerRow(Operand::F32(&a[..2])), ..options };
    assert!(matches!(product(left, right, [3, 3], &short), Err(GemmError::OutOfBounds { .. })));
    let beyond = [BatchDim { count: 2, a: 1, b: 0, c: 0 }];
    assert!(product(left, right, [3, 3], &GemmOptions { batch: &beyond, ..options }).is_err());
    let overlapping = [BatchDim { count: 2, a: 0, b: 0, c: 1 }];
    let options = GemmOptions { batch: &overlapping, ..options };
    assert_eq!(product(left, right, [3, 3], &options), Err(GemmError::OverlappingOutput));
}
