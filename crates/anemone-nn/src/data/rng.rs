//! Random numbers as a function of where they are used, not of when.
//!
//! Every number is Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3", SC 2011) of a key and a counter: the seed is the key, the upper half of the counter is a
//! stream, the lower half counts. So a resumed run draws what the uninterrupted one would have drawn,
//! and a tensor filled by eight threads holds what one thread writes.
//!
//! The normal distribution uses logarithm and cosine of our own, because those of the system libraries
//! differ in the last bit from one platform to the next.

use rayon::prelude::*;

/// The two multipliers of a Philox4x32 round.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What each round adds to the key: the golden ratio and sqrt(3) - 1 as fractions of 2^32.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Values filled by one task; fixed, so that it never shows in the result.
const FILL_CHUNK: usize = 1 << 14;

/// One block of Philox4x32-10: four random words for a 128-bit counter and a 64-bit key.
#[must_use]
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter;
    let mut key = key;
    for _ in 0..10 {
        let first = u64::from(words[0]) * u64::from(MULTIPLIERS[0]);
        let second = u64::from(words[2]) * u64::from(MULTIPLIERS[1]);
        words = [
            (second >> 32) as u32 ^ words[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ words[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    words
}

/// The block number `index` of the stream `stream` under `seed`.
fn block(seed: u64, stream: u64, index: u64) -> [u32; 4] {
    let counter = [index as u32, (index >> 32) as u32, stream as u32, (stream >> 32) as u32];
    philox4x32(counter, [seed as u32, (seed >> 32) as u32])
}

/// The stream a name stands for (FNV-1a), so that each use of randomness can be called by its name.
#[must_use]
pub const fn stream(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    hash
}

/// Two words as one well-mixed word (the finalizer of SplitMix64): derives streams from streams.
#[must_use]
pub const fn mix(first: u64, second: u64) -> u64 {
    let mut word = first ^ second.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A cursor over one stream of random words.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    stream: u64,
    next_block: u64,
    words: [u32; 4],
    /// Words of `words` already given out.
    used: usize,
}

impl Rng {
    /// The start of the stream `stream` under `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream, next_block: 0, words: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = block(self.seed, self.stream, self.next_block);
            self.next_block = self.next_block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | (u64::from(self.next_u32()) << 32)
    }

    /// A number in `[0, 1)`, a multiple of 2^-24.
    pub fn uniform(&mut self) -> f32 {
        unit(self.next_u32())
    }

    /// A number in `[low, high)`, up to rounding.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// A number of the standard normal distribution.
    pub fn normal(&mut self) -> f32 {
        let first = self.next_u32();
        let second = self.next_u32();
        box_muller(first, second).0
    }

    /// A whole number in `0..n`, without bias; 0 when `n` is 0.
    ///
    /// Lemire's method: the high half of a product, redrawn in the few cases that would favour some values.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// True with the probability `probability`.
    pub fn chance(&mut self, probability: f32) -> bool {
        self.uniform() < probability
    }

    /// One of `items`.
    ///
    /// # Panics
    /// When `items` is empty: that is a mistake of the caller's, never of its data.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Puts `items` into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// 32 bits as a number in `[0, 1)`.
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Fills `values` from the normal distribution; value `i` depends on `(seed, stream, i)` alone.
pub fn fill_normal(seed: u64, stream: u64, values: &mut [f32], mean: f32, deviation: f32) {
    fill(seed, stream, values, |words| {
        let (first, second) = box_muller(words[0], words[1]);
        let (third, fourth) = box_muller(words[2], words[3]);
        [first, second, third, fourth].map(|value| mean + deviation * value)
    });
}

/// Fills `values` uniformly from `[low, high)`; value `i` depends on `(seed, stream, i)` alone.
pub fn fill_uniform(seed: u64, stream: u64, values: &mut [f32], low: f32, high: f32) {
    fill(seed, stream, values, |words| words.map(|word| low + (high - low) * unit(word)));
}

/// Fills `values`, four from each block.
fn fill(seed: u64, stream: u64, values: &mut [f32], make: impl Fn([u32; 4]) -> [f32; 4] + Sync) {
    values.par_chunks_mut(FILL_CHUNK).enumerate().for_each(|(chunk, part)| {
        let first = (chunk * FILL_CHUNK / 4) as u64;
        for (index, four) in part.chunks_mut(4).enumerate() {
            let made = make(block(seed, stream, first + index as u64));
            four.copy_from_slice(&made[..four.len()]);
        }
    });
}

/// Two independent normal numbers from two words (Box and Muller, 1958).
fn box_muller(first: u32, second: u32) -> (f32, f32) {
    // Half a step away from 0, where the logarithm ends.
    let radius = (-2.0 * ln((f64::from(first) + 0.5) / 4_294_967_296.0)).sqrt();
    let (sine, cosine) = sine_cosine_of_turn(second);
    ((radius * cosine) as f32, (radius * sine) as f32)
}

/// The natural logarithm of a positive normal number, to about 1e-15.
///
/// `x = m 2^e` with `m` near 1, and `ln m = 2 artanh((m - 1) / (m + 1))`, whose series converges quickly.
fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut series = 0.0;
    for odd in (1..=21).rev().step_by(2) {
        series = series * square + 1.0 / f64::from(odd);
    }
    2.0 * ratio * series + f64::from(exponent) * std::f64::consts::LN_2
}

/// Sine and cosine of `turn / 2^32` of a full turn, to about 1e-15.
pub(crate) fn sine_cosine_of_turn(turn: u32) -> (f64, f64) {
    // Nearest quarter turn, and the signed rest of at most an eighth, where the series are short.
    let quarter = turn.wrapping_add(1 << 29) >> 30;
    let rest = turn.wrapping_sub(quarter << 30) as i32;
    let angle = f64::from(rest) * (std::f64::consts::TAU / 4_294_967_296.0);
    let square = angle * angle;
    let (mut sine, mut cosine) = (0.0, 0.0);
    for k in (0..9).rev() {
        let even = f64::from(2 * k);
        sine = 1.0 - square / ((even + 2.0) * (even + 3.0)) * if k == 8 { 1.0 } else { sine };
        cosine = 1.0 - square / ((even + 1.0) * (even + 2.0)) * if k == 8 { 1.0 } else { cosine };
    }
    let sine = sine * angle;
    match quarter & 3 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// A random order of `0..n` that needs no memory: any place of it can be asked for at once.
///
/// A balanced Feistel network permutes the next power of four; values outside `0..n` walk on along
/// their cycle until they are inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
#[derive(Clone, Debug)]
pub struct Permutation {
    n: u64,
    half_bits: u32,
    keys: [u64; 6],
}

impl Permutation {
    /// The order of `0..n` that belongs to `(seed, stream)`.
    #[must_use]
    pub fn new(seed: u64, stream: u64, n: u64) -> Self {
        let bits = 64 - n.saturating_sub(1).leading_zeros();
        let mut rng = Rng::new(seed, stream);
        let keys = std::array::from_fn(|_| rng.next_u64());
        Self { n, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// The value at place `index`, for `index` in `0..n`; places beyond are taken modulo `n`.
    #[must_use]
    pub fn get(&self, index: u64) -> u64 {
        if self.n < 2 {
            return 0;
        }
        let mut value = index % self.n;
        loop {
            value = self.encipher(value);
            if value < self.n {
                return value;
            }
        }
    }

    /// One pass through the network, a bijection of `0..4^half_bits`.
    fn encipher(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(key, right) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with Random123 (`kat_vectors`, philox 4x32 10).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox4x32([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(
            philox4x32(counter, [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn own_functions_agree_with_the_library() {
        let mut rng = Rng::new(1, 2);
        for _ in 0..10_000 {
            let x = (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
            assert!((ln(x) - x.ln()).abs() < 1e-14 * (1.0 + x.ln().abs()), "ln {x}");
            let turn = rng.next_u32();
            let angle = f64::from(turn) * (std::f64::consts::TAU / 4_294_967_296.0);
            let (sine, cosine) = sine_cosine_of_turn(turn);
            assert!((sine - angle.sin()).abs() < 2e-15 && (cosine - angle.cos()).abs() < 2e-15, "{turn}");
        }
        assert_eq!(sine_cosine_of_turn(0), (0.0, 1.0));
        assert_eq!(sine_cosine_of_turn(1 << 30), (1.0, -0.0));
    }

    #[test]
    fn normal_has_the_moments_of_the_normal_distribution() {
        let mut values = vec![0.0; 400_003];
        fill_normal(7, stream("moments"), &mut values, 0.0, 1.0);
        let count = values.len() as f64;
        let moment = |power: i32| values.iter().map(|&v| f64::from(v).powi(power)).sum::<f64>() / count;
        assert!(moment(1).abs() < 0.008);
        assert!((moment(2) - 1.0).abs() < 0.012);
        assert!(moment(3).abs() < 0.03);
        assert!((moment(4) - 3.0).abs() < 0.1);
        let outside = values.iter().filter(|v| v.abs() > 1.959_964).count() as f64 / count;
        assert!((outside - 0.05).abs() < 0.002, "{outside}");
    }

    #[test]
    fn a_fill_is_a_function_of_the_index() {
        let mut long = vec![0.0; 3 * FILL_CHUNK + 5];
        fill_normal(3, 4, &mut long, 1.0, 0.5);
        let mut short = vec![0.0; FILL_CHUNK + 7];
        fill_normal(3, 4, &mut short, 1.0, 0.5);
        assert_eq!(short, long[..short.len()]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let mut alone = vec![0.0; long.len()];
        pool.install(|| fill_normal(3, 4, &mut alone, 1.0, 0.5));
        assert_eq!(alone, long);
    }

    #[test]
    fn below_is_even_and_in_range() {
        let mut rng = Rng::new(5, 6);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (9_600..10_400).contains(&count)), "{counts:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert!((0..1000).all(|_| rng.below(u64::MAX) < u64::MAX));
    }

    #[test]
    fn permutations_hold_every_value_once() {
        for n in [0_u64, 1, 2, 3, 4, 5, 16, 17, 1000, 65_537] {
            let order = Permutation::new(11, n, n);
            let mut seen = vec![false; n as usize];
            for index in 0..n {
                let value = order.get(index) as usize;
                assert!(!std::mem::replace(&mut seen[value], true), "{value} twice in 0..{n}");
            }
        }
    }

    #[test]
    fn permutations_look_random() {
        let n = 10_000;
        let order = Permutation::new(1, 2, n);
        let other = Permutation::new(1, 3, n);
        let fixed = (0..n).filter(|&index| order.get(index) == index).count();
        let shared = (0..n).filter(|&index| order.get(index) == other.get(index)).count();
        let neighbours = (1..n).filter(|&i| order.get(i).abs_diff(order.get(i - 1)) == 1).count();
        assert!(fixed < 10 && shared < 10 && neighbours < 15, "{fixed} {shared} {neighbours}");
        // Two draws of the whole must not be correlated: the mean product of centred places is near 0.
        let centre = (n as f64 - 1.0) / 2.0;
        let sum: f64 = (0..n).map(|i| (i as f64 - centre) * (order.get(i) as f64 - centre)).sum();
        assert!((sum / (n as f64 * centre * centre)).abs() < 0.02);
    }

    #[test]
    fn drawn_numbers_never_change() {
        let mut rng = Rng::new(42, stream("known"));
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1000)).collect();
        let order: Vec<u64> = (0..8).map(|i| Permutation::new(42, 0, 8).get(i)).collect();
        let mut normals = [0.0; 3];
        fill_normal(42, 1, &mut normals, 0.0, 1.0);
        assert_eq!(drawn, [537, 675, 632, 901]);
        assert_eq!(order, [7, 6, 1, 0, 5, 2, 3, 4]);
        assert_eq!(normals.map(f32::to_bits), [1_074_277_399, 1_074_418_675, 3_201_370_336]);
    }
}
