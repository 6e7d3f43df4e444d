//! `shapes`: balanced, the same everywhere, and out of reach of a linear classifier.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_nn::data::rng::Rng;
use anemone_nn::data::{Augment, ImageDataset, images, shapes};
use tempfile::TempDir;

/// FNV-1a, to recognise data that must never change.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn classes_are_balanced_and_shuffled() {
    let set = shapes::splits(5, 1000, 100).unwrap();
    for class in 0..10 {
        assert_eq!(set.train.labels().iter().filter(|&&label| label == class).count(), 100);
        assert_eq!(set.held_out.labels().iter().filter(|&&label| label == class).count(), 10);
    }
    let tens: std::collections::BTreeSet<&[u8]> = set.train.labels().chunks(10).collect();
    assert!(tens.len() > 95, "{} orders", tens.len());
}

#[test]
fn files_and_memory_hold_the_same_pictures() {
    let folder = TempDir::new().unwrap();
    shapes::write_cifar10(folder.path(), 8, 23, 11).unwrap();
    let read = images::load(folder.path()).unwrap();
    let made = shapes::splits(8, 23, 11).unwrap();
    assert_eq!(read.train.images(), made.train.images());
    assert_eq!(read.train.labels(), made.train.labels());
    assert_eq!(read.held_out.images(), made.held_out.images());
    assert_eq!(read.train.class_names(), made.train.class_names());
    let sizes: Vec<u64> = (1..=5)
        .map(|n| folder.path().join(format!("data_batch_{n}.bin")).metadata().unwrap().len() / 3073)
        .collect();
    assert_eq!(sizes, [4, 5, 4, 5, 5]);
}

#[test]
fn pictures_never_change() {
    let set = shapes::splits(42, 50, 10).unwrap();
    assert_eq!(set.train.labels()[..10], [2, 7, 3, 0, 8, 6, 4, 1, 9, 5]);
    assert_eq!(hash(set.train.images()), 17_722_859_836_776_024_374);
    assert_ne!(set.train.images()[..3072], shapes::splits(43, 1, 1).unwrap().train.images()[..]);
}

#[test]
fn impossible_counts_are_explained() {
    let folder = TempDir::new().unwrap();
    let message = |train, test| shapes::write_cifar10(folder.path(), 1, train, test).unwrap_err().to_string();
    assert!(message(4, 1).contains("training pictures is 4, but 5 to 262144"));
    assert!(message(5, 0).contains("test pictures is 0, but 1 to 262144"));
    assert!(shapes::splits(1, 1 << 20, 1).unwrap_err().to_string().contains("1048576"));
}

/// Share of `set` that the weights `[10, 3073]` classify rightly.
fn accuracy(set: &ImageDataset, scale: &anemone_nn::data::Normalization, weights: &[f32]) -> f32 {
    let batch = set.eval_batch(0, set.len(), scale).unwrap();
    let right = batch.images.chunks(3072).zip(&batch.labels).filter(|(image, label)| {
        let scores = scores(weights, image);
        (0..10).max_by(|&a, &b| scores[a].total_cmp(&scores[b])) == Some(**label as usize)
    });
    right.count() as f32 / set.len() as f32
}

/// `W x + b`.
fn scores(weights: &[f32], image: &[f32]) -> [f32; 10] {
    std::array::from_fn(|class| {
        let row = &weights[class * 3073..(class + 1) * 3073];
        row[3072] + row.iter().zip(image).map(|(w, x)| w * x).sum::<f32>()
    })
}

/// Softmax regression on all pixels, trained until it knows its own training set far better than the held-out
/// set, stays far below what a small convolutional network reaches (over 90 %).
#[test]
fn a_linear_classifier_fails() {
    let set = shapes::splits(1, 4000, 1000).unwrap();
    let scale = set.train.statistics();
    let mut weights = vec![0.0_f32; 10 * 3073];
    let mut rng = Rng::new(0, 0);
    weights.iter_mut().for_each(|weight| *weight = 0.001 * rng.normal());
    let steps = 400;
    for step in 0..steps {
        let batch = set.train.batch(step, 50, 2, &scale, Augment::None).unwrap();
        let rate = 0.003 * (1.0 - step as f32 / steps as f32);
        let mut change = vec![0.0_f32; weights.len()];
        for (image, &label) in batch.images.chunks(3072).zip(&batch.labels) {
            let scores = scores(&weights, image);
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            let powers = scores.map(|score| (score - most).exp());
            let total: f32 = powers.iter().sum();
            for class in 0..10 {
                let error = powers[class] / total - f32::from(u8::from(class == label as usize));
                let row = &mut change[class * 3073..(class + 1) * 3073];
                row.iter_mut().zip(image).for_each(|(slot, x)| *slot += error * x);
                row[3072] += error;
            }
        }
        weights.iter_mut().zip(&change).for_each(|(weight, change)| *weight -= rate * change);
    }
    let (train, held_out) =
        (accuracy(&set.train, &scale, &weights), accuracy(&set.held_out, &scale, &weights));
    println!("softmax regression: {train} on its training set, {held_out} held out");
    assert!(train > held_out + 0.1, "it was trained: {train} against {held_out}");
    assert!(held_out < 0.3, "{held_out}");
}
