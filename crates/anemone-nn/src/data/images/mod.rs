//! Sets of labelled images, and batches of them.

mod augment;

use std::path::{Path, PathBuf};

use super::rng::{Permutation, mix, stream};
use super::{DataError, IGNORED, cifar, idx};

pub use augment::Augment;

const ORDER_STREAM: u64 = stream("data.images.order");

/// A training set and the images kept back to judge what was learned.
#[derive(Clone, Debug)]
pub struct ImageSplits {
    /// What is trained on.
    pub train: ImageDataset,
    /// What is only evaluated on.
    pub held_out: ImageDataset,
}

/// Labelled 8-bit images of one size, held in memory.
#[derive(Clone, Debug)]
pub struct ImageDataset {
    images: Vec<u8>,
    labels: Vec<u8>,
    shape: [usize; 3],
    class_names: Vec<String>,
}

/// Mean and standard deviation of each channel, of pixels scaled to `0..1`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalization {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
}

/// Images and labels for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageBatch {
    /// Normalised pixels, `[B, C, H, W]`.
    pub images: Vec<f32>,
    /// Classes, `[B]`; [`IGNORED`] marks a row of padding, whose image is zero.
    pub labels: Vec<i32>,
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Rows that are no padding.
    pub valid: usize,
}

impl ImageDataset {
    /// A set of `labels.len()` images, `images` being `[N, C, H, W]` and `shape` being `[C, H, W]`.
    ///
    /// # Errors
    /// When sizes do not fit, the set is empty, or a label has no name in `class_names`.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let argument = |name, found: String, allowed| DataError::Argument { name, found, allowed };
        if class_names.is_empty() || class_names.len() > 256 {
            return Err(argument(
                "class_names",
                class_names.len().to_string(),
                "1 to 256 classes are allowed",
            ));
        }
        let pixels = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
        let wanted = pixels.and_then(|pixels| pixels.checked_mul(labels.len()));
        if wanted != Some(images.len()) || images.is_empty() {
            let found = format!("{} bytes for {} images of {shape:?}", images.len(), labels.len());
            return Err(argument("images", found, "it must hold N x C x H x W bytes, and N >= 1"));
        }
        if let Some(record) = labels.iter().position(|&label| usize::from(label) >= class_names.len()) {
            return Err(DataError::LabelOutOfRange {
                path: PathBuf::from("labels"),
                record,
                found: labels[record],
                classes: class_names.len(),
            });
        }
        Ok(Self { images, labels, shape, class_names })
    }

    /// Number of images, never 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Always false: an empty set cannot be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// `[C, H, W]` of every image.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// The name of each class.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// All pixels, `[N, C, H, W]`.
    #[must_use]
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[N]`.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The pixels of one image, `[C, H, W]`.
    fn image(&self, index: usize) -> &[u8] {
        let size = self.images.len() / self.labels.len();
        &self.images[index * size..(index + 1) * size]
    }

    /// Mean and standard deviation of each channel. Take them from the training set and use them for both
    /// sets.
    ///
    /// Sums are exact integers, so the order of adding cannot show. A channel without contrast gets a
    /// deviation of 1, which leaves it at zero.
    #[must_use]
    pub fn statistics(&self) -> Normalization {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let (mut mean, mut std) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let (mut sum, mut squares) = (0_u64, 0_u64);
            for image in self.images.chunks_exact(channels * plane) {
                for &pixel in &image[channel * plane..(channel + 1) * plane] {
                    sum += u64::from(pixel);
                    squares += u64::from(pixel) * u64::from(pixel);
                }
            }
            let count = (plane * self.len()) as f64;
            let average = sum as f64 / count;
            let variance = (squares as f64 / count - average * average).max(0.0);
            mean.push((average / 255.0) as f32);
            std.push(if variance < 1e-6 { 1.0 } else { (variance.sqrt() / 255.0) as f32 });
        }
        Normalization { mean, std }
    }

    /// The training batch of one step: a pure function of the arguments.
    ///
    /// Images come in an order that is new in every epoch and holds each image once per epoch; an epoch's
    /// last images share a batch with the first of the next, so every batch is full.
    ///
    /// # Errors
    /// When `batch_size` is 0 or `normalization` is for another number of channels.
    pub fn batch(
        &self,
        step: u64,
        batch_size: usize,
        seed: u64,
        normalization: &Normalization,
        augment: Augment,
    ) -> Result<ImageBatch, DataError> {
        let mut batch = self.blank(batch_size, normalization)?;
        let count = self.len() as u64;
        let mut order: Option<(u64, Permutation)> = None;
        for row in 0..batch_size {
            let drawn = step.wrapping_mul(batch_size as u64).wrapping_add(row as u64);
            let epoch = drawn / count;
            if order.as_ref().is_none_or(|(of, _)| *of != epoch) {
                order = Some((epoch, Permutation::new(seed, mix(ORDER_STREAM, epoch), count)));
            }
            let index = order.as_ref().map_or(0, |(_, order)| order.get(drawn % count)) as usize;
            let view = augment.view(seed, drawn);
            self.write_row(&mut batch, row, index, normalization, view);
        }
        Ok(batch)
    }

    /// How many batches hold the whole set, the last one padded.
    #[must_use]
    pub fn eval_batches(&self, batch_size: usize) -> usize {
        self.len().div_ceil(batch_size.max(1))
    }

    /// Batch number `index` of the set in its own order, without augmentation; always full size, rows past
    /// the end being padding.
    ///
    /// # Errors
    /// As for [`batch`](Self::batch).
    pub fn eval_batch(
        &self,
        index: usize,
        batch_size: usize,
        normalization: &Normalization,
    ) -> Result<ImageBatch, DataError> {
        let mut batch = self.blank(batch_size, normalization)?;
        let first = index.saturating_mul(batch_size);
        for row in 0..batch_size.min(self.len().saturating_sub(first)) {
            self.write_row(&mut batch, row, first + row, normalization, augment::View::PLAIN);
        }
        Ok(batch)
    }

    /// A batch of padding, once the arguments are known to be good.
    fn blank(&self, batch_size: usize, normalization: &Normalization) -> Result<ImageBatch, DataError> {
        let [channels, height, width] = self.shape;
        if normalization.mean.len() != channels || normalization.std.len() != channels {
            return Err(DataError::Argument {
                name: "normalization",
                found: format!("for {} channels", normalization.mean.len()),
                allowed: "it must have as many channels as the images; take it from ImageDataset::statistics",
            });
        }
        let size = (channels * height * width)
            .checked_mul(batch_size)
            .filter(|&size| size <= isize::MAX as usize / 4);
        let (Some(size), 1..) = (size, batch_size) else {
            return Err(DataError::Argument {
                name: "batch_size",
                found: batch_size.to_string(),
                allowed: "it must be at least 1 and a batch must fit into memory",
            });
        };
        Ok(ImageBatch {
            images: vec![0.0; size],
            labels: vec![IGNORED; batch_size],
            shape: [batch_size, channels, height, width],
            valid: 0,
        })
    }

    /// Writes one image, as seen through `view`, and its label. What lies beyond the edge is zero, as black
    /// was before normalisation in PyTorch's `RandomCrop`.
    fn write_row(
        &self,
        batch: &mut ImageBatch,
        row: usize,
        index: usize,
        normalization: &Normalization,
        view: augment::View,
    ) {
        let [channels, height, width] = self.shape;
        let image = self.image(index);
        let size = channels * height * width;
        let target = &mut batch.images[row * size..(row + 1) * size];
        for channel in 0..channels {
            let scale = 1.0 / (255.0 * normalization.std[channel]);
            let shift = -normalization.mean[channel] / normalization.std[channel];
            for y in 0..height {
                let line = &mut target[(channel * height + y) * width..][..width];
                let source = view.row(y, height).map(|y| &image[(channel * height + y) * width..][..width]);
                for (x, value) in line.iter_mut().enumerate() {
                    let pixel = source.and_then(|line| view.column(x, width).map(|x| line[x])).unwrap_or(0);
                    *value = f32::from(pixel) * scale + shift;
                }
            }
        }
        batch.labels[row] = i32::from(self.labels[index]);
        batch.valid += 1;
    }
}

/// Reads the image set in a folder, whichever of the known ones it is: CIFAR-10 in binary form, or MNIST or
/// Fashion-MNIST in IDX form (plain or gzip).
///
/// # Errors
/// When the folder holds neither, or when its files are damaged.
pub fn load(folder: &Path) -> Result<ImageSplits, DataError> {
    if cifar::looks_like(folder) {
        return cifar::load(folder);
    }
    if idx::looks_like(folder) {
        return idx::load(folder);
    }
    std::fs::read_dir(folder).map_err(|e| crate::file::io_error(folder, "read the folder", e))?;
    Err(DataError::MissingFiles {
        folder: folder.to_owned(),
        missing: vec!["data_batch_1.bin".to_owned(), "train-images-idx3-ubyte".to_owned()],
        layout: "a folder of images holds CIFAR-10 in its binary version (data_batch_1.bin to data_batch_5.bin and \
                 test_batch.bin) or MNIST or Fashion-MNIST (train-images-idx3-ubyte, train-labels-idx1-ubyte and the \
                 two t10k files, plain or .gz)",
    })
}
