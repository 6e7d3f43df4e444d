//! Small random changes of training images, each a pure function of the seed and of the draw.

use crate::data::rng::{Rng, mix, stream};

const AUGMENT_STREAM: u64 = stream("data.images.augment");

/// What is done to training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Augment {
    /// Nothing.
    #[default]
    None,
    /// The usual treatment of CIFAR-10: shifted by up to `padding` pixels each way over black, and mirrored
    /// left to right every second time.
    CropFlip {
        /// Pixels of black around the image before it is cropped back to its size.
        padding: usize,
    },
}

/// How one image is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Added to a row of the result to find the row of the image.
    down: isize,
    /// Added to a column of the result.
    right: isize,
    mirrored: bool,
}

impl Augment {
    /// Crop with padding 4 and mirror, as is usual for CIFAR-10.
    #[must_use]
    pub fn cifar() -> Self {
        Self::CropFlip { padding: 4 }
    }

    /// The view for the image drawn as number `drawn` since the start of training.
    pub(super) fn view(self, seed: u64, drawn: u64) -> View {
        let Self::CropFlip { padding } = self else { return View::PLAIN };
        let padding = padding.min(1 << 16);
        let mut rng = Rng::new(seed, mix(AUGMENT_STREAM, drawn));
        let mut shift = || rng.below(2 * padding as u64 + 1) as isize - padding as isize;
        let (down, right) = (shift(), shift());
        View { down, right, mirrored: rng.chance(0.5) }
    }
}

impl View {
    /// The image as it is.
    pub(super) const PLAIN: Self = Self { down: 0, right: 0, mirrored: false };

    /// The row of the image seen at row `y` of the result, if it is inside.
    pub(super) fn row(self, y: usize, height: usize) -> Option<usize> {
        y.checked_add_signed(self.down).filter(|&y| y < height)
    }

    /// The column of the image seen at column `x` of the result, if it is inside.
    pub(super) fn column(self, x: usize, width: usize) -> Option<usize> {
        let x = if self.mirrored { width - 1 - x } else { x };
        x.checked_add_signed(self.right).filter(|&x| x < width)
    }
}
