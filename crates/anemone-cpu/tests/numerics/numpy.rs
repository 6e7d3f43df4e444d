//! NumPy's `default_rng(seed).standard_normal`, bit for bit: `SeedSequence`, PCG64 (XSL-RR), and the ziggurat whose tables stand
//! in `tests/golden/numerics/numpy_normal.json`.

use serde::Deserialize;
use std::sync::OnceLock;

const GOLDEN: &str = include_str!("../../../../tests/golden/numerics/numpy_normal.json");

#[derive(Deserialize)]
struct Golden {
    tables: TablesInHex,
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct TablesInHex {
    fi: Vec<String>,
    wi: Vec<String>,
    ki: Vec<String>,
}

#[derive(Deserialize)]
struct Check {
    seed: u32,
    first: Vec<String>,
    largest: Largest,
    count: usize,
    sum: String,
}

#[derive(Deserialize)]
struct Largest {
    at: usize,
    bits: String,
}

struct Tables {
    fi: Vec<f64>,
    wi: Vec<f64>,
    ki: Vec<u64>,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).expect("the golden file is the script's")
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("hexadecimal digits")
}

fn tables() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| {
        let TablesInHex { fi, wi, ki } = golden().tables;
        let floats = |values: Vec<String>| values.iter().map(|v| f64::from_bits(hex(v))).collect();
        Tables { fi: floats(fi), wi: floats(wi), ki: ki.iter().map(|v| hex(v)).collect() }
    })
}

/// `numpy.random.default_rng(seed)`.
pub(crate) struct Rng {
    state: u128,
    increment: u128,
    tables: &'static Tables,
}

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

impl Rng {
    pub(crate) fn new(seed: u32) -> Rng {
        let words = seed_sequence(seed);
        let pair = |i: usize| (u128::from(words[i]) << 64) | u128::from(words[i + 1]);
        let mut rng = Rng { state: 0, increment: (pair(2) << 1) | 1, tables: tables() };
        rng.step();
        rng.state = rng.state.wrapping_add(pair(0));
        rng.step();
        rng
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn next(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    pub(crate) fn normal(&mut self) -> f64 {
        const EDGE: f64 = 3.654_152_885_361_009;
        const INVERSE: f64 = 0.273_661_237_329_758_3;
        loop {
            let bits = self.next();
            let (at, negative, size) =
                ((bits & 0xff) as usize, bits & 0x100 != 0, (bits >> 9) & ((1 << 52) - 1));
            let x = size as f64 * self.tables.wi[at];
            let x = if negative { -x } else { x };
            if size < self.tables.ki[at] {
                return x;
            }
            if at > 0 {
                let [above, below] = [self.tables.fi[at - 1], self.tables.fi[at]];
                if (above - below) * self.uniform() + below < libm::exp(-0.5 * x * x) {
                    return x;
                }
                continue;
            }
            loop {
                let beyond = -INVERSE * libm::log1p(-self.uniform());
                let height = -libm::log1p(-self.uniform());
                if height + height > beyond * beyond {
                    let x = EDGE + beyond;
                    return if (size >> 8) & 1 == 1 { -x } else { x };
                }
            }
        }
    }

    pub(crate) fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }

    /// `standard_normal(count).astype(float32)`.
    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.normal() as f32).collect()
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_sequence(seed: u32) -> [u64; 4] {
    let mut constant = 0x43b0_d7e5u32;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ (value >> 16)
    };
    let mut pool = [seed, 0, 0, 0].map(&mut hash);
    for from in 0..4 {
        for to in (0..4).filter(|&to| to != from) {
            let mixed =
                pool[to].wrapping_mul(0xca01_f9dd).wrapping_sub(hash(pool[from]).wrapping_mul(0x4973_f715));
            pool[to] = mixed ^ (mixed >> 16);
        }
    }
    let mut constant = 0x8b51_f9ddu32;
    let mut word = |i: usize| {
        let value = pool[i % 4] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ (value >> 16))
    };
    std::array::from_fn(|i| word(2 * i) | (word(2 * i + 1) << 32))
}

#[test]
fn the_numbers_are_numpys() {
    for Check { seed, first, largest, count, sum } in golden().checks {
        let numbers = Rng::new(seed).normals(count);
        for (number, want) in numbers.iter().zip(&first) {
            assert_eq!(number.to_bits(), hex(want), "seed {seed}");
        }
        assert_eq!(numbers[largest.at].to_bits(), hex(&largest.bits), "seed {seed}");
        let bits = numbers.iter().fold(0u64, |sum, number| sum.wrapping_add(number.to_bits()));
        assert_eq!(bits, hex(&sum), "seed {seed}");
    }
}
