//! From a position in pixels to the four pixels that make a sample.

use mil::ops::image_resizing::Padding;

/// A sample: pixels of a plane and their weights, and what padding adds. Kept as words, so that scratch memory can
/// hold it: four indices, four weights, the padding's part.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pixels: [u32; 4],
    weights: [f32; 4],
    padding: f32,
}

/// A [`Sample`] in memory.
pub(super) type Words = [u32; 9];

impl Sample {
    /// Padding only.
    fn outside(padding: f32) -> Sample {
        Sample { pixels: [0; 4], weights: [0.0; 4], padding }
    }

    /// One pixel.
    fn pixel(index: usize) -> Sample {
        Sample { pixels: [index as u32, 0, 0, 0], weights: [1.0, 0.0, 0.0, 0.0], padding: 0.0 }
    }

    pub(super) fn to_words(self) -> Words {
        let [a, b, c, d] = self.pixels;
        let [e, f, g, h] = self.weights.map(f32::to_bits);
        [a, b, c, d, e, f, g, h, self.padding.to_bits()]
    }

    /// The value in `plane`.
    #[inline(always)]
    pub(super) fn read(words: &Words, plane: &[impl super::super::Float]) -> f32 {
        let mut value = f32::from_bits(words[8]);
        for i in 0..4 {
            let weight = f32::from_bits(words[4 + i]);
            // Not a product with 0: a pixel that has no share may be infinite.
            if weight != 0.0 {
                value += weight * plane[words[i] as usize].to_f32();
            }
        }
        value
    }
}

/// How positions are read: the size of a plane (height and width), and what stands around it.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    pub(super) size: [usize; 2],
    pub(super) padding: Padding,
    pub(super) value: f32,
}

impl Plane {
    /// The sample at `[y, x]`, interpolated between four pixels. Padding that is constant counts pixel by pixel.
    pub(super) fn bilinear(&self, position: [f32; 2]) -> Sample {
        let [y, x] = [self.inside(position[0], 0), self.inside(position[1], 1)];
        let near = |p: f32, size: usize| p > -1.0 && p < size as f32;
        if !(near(y, self.size[0]) && near(x, self.size[1])) {
            return Sample::outside(self.value);
        }
        let (top, left) = (y.floor(), x.floor());
        let (down, right) = (y - top, x - left);
        let weights =
            [(1.0 - down) * (1.0 - right), (1.0 - down) * right, down * (1.0 - right), down * right];
        let mut sample = Sample { pixels: [0; 4], weights, padding: 0.0 };
        for (corner, weight) in weights.into_iter().enumerate() {
            let row = top as i64 + (corner / 2) as i64;
            let column = left as i64 + (corner % 2) as i64;
            match self.index(row, column) {
                Some(index) => sample.pixels[corner] = index as u32,
                None => {
                    // A neighbour beyond a position on the last pixel has no share.
                    if weight != 0.0 {
                        sample.padding += weight * self.value;
                    }
                    sample.weights[corner] = 0.0;
                }
            }
        }
        sample
    }

    /// The pixel nearest to `[y, x]`; halves go to the even one.
    pub(super) fn nearest(&self, position: [f32; 2]) -> Sample {
        let [y, x] = [self.inside(position[0], 0), self.inside(position[1], 1)];
        if y.is_nan() || x.is_nan() {
            return Sample::outside(self.value);
        }
        match self.index(y.round_ties_even() as i64, x.round_ties_even() as i64) {
            Some(index) => Sample::pixel(index),
            None => Sample::outside(self.value),
        }
    }

    /// The sample at `[y, x]`, or nothing but padding when that lies outside.
    pub(super) fn crop(&self, position: [f32; 2]) -> Sample {
        let inside = |i: usize| position[i] >= 0.0 && position[i] <= (self.size[i] - 1) as f32;
        if inside(0) && inside(1) { self.bilinear(position) } else { Sample::outside(self.value) }
    }

    fn index(&self, row: i64, column: i64) -> Option<usize> {
        let place = |at: i64, size: usize| usize::try_from(at).ok().filter(|&at| at < size);
        Some(place(row, self.size[0])? * self.size[1] + place(column, self.size[1])?)
    }

    /// A position along dimension `i`, moved to where padding takes its value from. (What is no number becomes 0, unless
    /// padding is constant: then it is outside.)
    fn inside(&self, position: f32, i: usize) -> f32 {
        let size = self.size[i] as f32;
        let last = (self.size[i] - 1) as f32;
        let mirrored = match self.padding {
            Padding::Constant => return position,
            Padding::Border => position,
            Padding::Reflection => mirror(position, 0.0, last),
            Padding::Symmetric => mirror(position, -0.5, size),
        };
        mirrored.max(0.0).min(last)
    }
}

/// The position between `low` and `low + span` to which mirrors at both ends bring it.
fn mirror(position: f32, low: f32, span: f32) -> f32 {
    if span == 0.0 {
        return low;
    }
    let distance = (position - low).abs();
    let (turns, rest) = ((distance / span).floor(), distance % span);
    if turns % 2.0 == 0.0 { low + rest } else { low + (span - rest) }
}
