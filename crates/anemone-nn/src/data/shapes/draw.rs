//! One picture: background, distractors, the shape, noise.

use super::figure;
use crate::data::cifar::IMAGE_BYTES;
use crate::data::rng::{Rng, mix, sine_cosine_of_turn, stream};

const DRAW_STREAM: u64 = stream("data.shapes.draw");
const SIDE: usize = 32;
/// Points tried along each side of a pixel to find how much of it is covered: smooth edges.
const SAMPLES: usize = 3;
/// How far the colour of the shape is at least from those of the background, of at most 441.
const CONTRAST: f32 = 130.0;

type Colour = [f32; 3];

/// Colours of 32 x 32 pixels, each 0 to 255.
struct Canvas {
    pixels: [Colour; SIDE * SIDE],
}

/// A colour that changes from one corner of the picture to another.
struct Gradient {
    from: Colour,
    to: Colour,
    /// What one pixel to the right, and one down, is on the way from `from` to `to`.
    along: (f32, f32),
}

/// Where the shape lies.
struct Pose {
    x: f32,
    y: f32,
    radius: f32,
    sine: f32,
    cosine: f32,
}

/// Draws picture `index`, of the shape `class`, as `[3, 32, 32]`.
pub(super) fn picture(seed: u64, index: u64, class: u8) -> [u8; IMAGE_BYTES] {
    let mut rng = Rng::new(seed, mix(DRAW_STREAM, index));
    let background = Gradient::random(&mut rng, 60.0, None);
    let mut canvas = Canvas { pixels: [[0.0; 3]; SIDE * SIDE] };
    canvas.paint((0.0, 0.0, SIDE as f32), &background, |_, _| true);
    for _ in 0..1 + rng.below(3) {
        distractor(&mut canvas, &mut rng);
    }
    let pose = Pose::random(&mut rng);
    let colour = Gradient::random(&mut rng, 40.0, Some(&background));
    canvas.paint((pose.x, pose.y, pose.radius), &colour, |x, y| {
        let (x, y) = ((x - pose.x) / pose.radius, (y - pose.y) / pose.radius);
        figure::contains(class, x * pose.cosine + y * pose.sine, y * pose.cosine - x * pose.sine)
    });
    canvas.finish(&mut rng)
}

/// A speck or a short line of any colour: too small to be one of the shapes.
fn distractor(canvas: &mut Canvas, rng: &mut Rng) {
    let colour = Gradient::random(rng, 0.0, None);
    let (x, y) = (rng.range(1.0, 31.0), rng.range(1.0, 31.0));
    let (sine, cosine) = turn(rng);
    let (length, width) =
        if rng.chance(0.5) { (rng.range(2.5, 4.5), 0.6) } else { (1.2, rng.range(0.8, 1.5)) };
    canvas.paint((x, y, length + width), &colour, |px, py| {
        let (dx, dy) = (px - x, py - y);
        (dx * cosine + dy * sine).abs() < length && (dy * cosine - dx * sine).abs() < width
    });
}

/// Sine and cosine of a random angle.
fn turn(rng: &mut Rng) -> (f32, f32) {
    let (sine, cosine) = sine_cosine_of_turn(rng.next_u32());
    (sine as f32, cosine as f32)
}

impl Pose {
    fn random(rng: &mut Rng) -> Self {
        let radius = rng.range(9.0, 14.0);
        let reach = 0.92 * radius;
        let mut place = || rng.range(reach, SIDE as f32 - reach);
        let (x, y) = (place(), place());
        let (sine, cosine) = turn(rng);
        Self { x, y, radius, sine, cosine }
    }
}

impl Gradient {
    /// A colour that changes by up to `change` a channel, and stands out from `behind` at both its ends.
    fn random(rng: &mut Rng, change: f32, behind: Option<&Self>) -> Self {
        let (sine, cosine) = turn(rng);
        let along = (cosine / SIDE as f32, sine / SIDE as f32);
        loop {
            let from: Colour = std::array::from_fn(|_| rng.range(10.0, 245.0));
            let to: Colour =
                std::array::from_fn(|channel| (from[channel] + rng.range(-change, change)).clamp(0.0, 255.0));
            let stands_out = behind.is_none_or(|behind| {
                let ends = [behind.from, behind.to];
                ends.iter().all(|end| distance(end, &from) > CONTRAST && distance(end, &to) > CONTRAST)
            });
            if stands_out {
                return Self { from, to, along };
            }
        }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let middle = SIDE as f32 / 2.0;
        let way = (0.5 + (x - middle) * self.along.0 + (y - middle) * self.along.1).clamp(0.0, 1.0);
        std::array::from_fn(|channel| self.from[channel] + (self.to[channel] - self.from[channel]) * way)
    }
}

fn distance(first: &Colour, second: &Colour) -> f32 {
    first.iter().zip(second).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

impl Canvas {
    /// Paints the points that are `inside`, all of them within `(x, y, reach)`.
    fn paint(
        &mut self,
        (x, y, reach): (f32, f32, f32),
        colour: &Gradient,
        inside: impl Fn(f32, f32) -> bool,
    ) {
        let span = |middle: f32| {
            let first = (middle - reach - 1.0).max(0.0) as usize;
            first..((middle + reach + 2.0).max(0.0) as usize).min(SIDE)
        };
        for row in span(y) {
            for column in span(x) {
                let mut covered = 0;
                for sample in 0..SAMPLES * SAMPLES {
                    let offset = |part: usize| (part as f32 + 0.5) / SAMPLES as f32;
                    let (dx, dy) = (offset(sample % SAMPLES), offset(sample / SAMPLES));
                    covered += u8::from(inside(column as f32 + dx, row as f32 + dy));
                }
                let share = f32::from(covered) / (SAMPLES * SAMPLES) as f32;
                let over = colour.at(column as f32 + 0.5, row as f32 + 0.5);
                for (value, over) in self.pixels[row * SIDE + column].iter_mut().zip(over) {
                    *value += (over - *value) * share;
                }
            }
        }
    }

    /// Adds noise and rounds; `[3, 32, 32]`.
    fn finish(&self, rng: &mut Rng) -> [u8; IMAGE_BYTES] {
        let noise = rng.range(2.0, 8.0);
        let mut bytes = [0; IMAGE_BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let value = self.pixels[place % (SIDE * SIDE)][place / (SIDE * SIDE)];
            // Nearly normal and much cheaper: the sum of four bytes, of variance 4 (256^2 - 1) / 12.
            let sum: u16 = rng.next_u32().to_le_bytes().iter().map(|&b| u16::from(b)).sum();
            let deviate = (f32::from(sum) - 510.0) / 147.8;
            *byte = (value + noise * deviate).round().clamp(0.0, 255.0) as u8;
        }
        bytes
    }
}
