//! What the published errors were measured against: products and convolutions in `f64`.

use rayon::prelude::*;

/// Rows and columns that are summed beside each other.
const ROWS: usize = 4;
const COLUMNS: usize = 4;
/// Terms after which other rows take their turn, so that they stay in the cache.
const DEPTH: usize = 512;

/// `x [m, k] · wᵀ [k, n]`.
pub(crate) fn product(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    let (m, n) = (x.len() / k, w.len() / k);
    let mut out = vec![0.0; m * n];
    // Transposed blocks of `w` next to each other: columns of a block are lanes.
    out.par_chunks_mut(n * 64).zip(x.par_chunks(k * 64)).for_each(|(out, x)| {
        let mut panel = vec![0.0; DEPTH * COLUMNS];
        for start in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - start);
            for column in (0..n).step_by(COLUMNS) {
                let columns = COLUMNS.min(n - column);
                for i in 0..depth {
                    for c in 0..columns {
                        panel[i * COLUMNS + c] = w[(column + c) * k + start + i];
                    }
                }
                for (x, out) in x.chunks(k * ROWS).zip(out.chunks_mut(n * ROWS)) {
                    let rows = x.len() / k;
                    let row: [&[f64]; ROWS] =
                        std::array::from_fn(|r| &x[r.min(rows - 1) * k + start..][..depth]);
                    let sums = block(row, &panel[..depth * COLUMNS]);
                    for (r, sums) in sums.iter().enumerate().take(rows) {
                        for (c, sum) in sums.iter().enumerate().take(columns) {
                            out[r * n + column + c] += sum;
                        }
                    }
                }
            }
        }
    });
    out
}

fn block(rows: [&[f64]; ROWS], panel: &[f64]) -> [[f64; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (i, w) in panel.chunks_exact(COLUMNS).enumerate() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = row[i];
            for (sum, w) in sums.iter_mut().zip(w) {
                *sum += x * w;
            }
        }
    }
    sums
}

/// A 3x3 convolution of stride 1 with one element of padding: `x [c, h, w]`, `w [o, c, 3, 3]`.
pub(crate) fn convolution(x: &[f32], weight: &[f64], [channels, height, width]: [usize; 3]) -> Vec<f64> {
    let depth = channels * 9;
    let columns: Vec<f64> = (0..height * width)
        .into_par_iter()
        .flat_map_iter(|at| {
            let (y, z) = (at / width, at % width);
            (0..depth).map(move |i| {
                let (c, dy, dz) = (i / 9, i / 3 % 3, i % 3);
                let (y, z) = ((y + dy).wrapping_sub(1), (z + dz).wrapping_sub(1));
                let inside = y < height && z < width;
                if inside { f64::from(x[(c * height + y) * width + z]) } else { 0.0 }
            })
        })
        .collect();
    product(weight, &columns, depth)
}

/// The error that was published: `|got - want| / |want|`.
pub(crate) fn error(got: impl Iterator<Item = f64>, want: &[f64]) -> f64 {
    let square = |sum: f64, x: f64| sum + x * x;
    let difference = got.zip(want).map(|(got, want)| got - want).fold(0.0, square);
    (difference / want.iter().copied().fold(0.0, square)).sqrt()
}
