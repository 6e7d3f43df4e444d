//! Image sets: what good files give, and what each bad one is told.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::Path;

use anemone_nn::data::{
    Augment, DataError, IGNORED, ImageDataset, Normalization, cifar, idx, images, shapes,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

/// An IDX file: its dimensions, then its values.
fn idx_bytes(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    dimensions.iter().for_each(|side| bytes.extend(side.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder of 7 training and 3 test images of 2 x 3.
fn mnist_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (stem, count) in [("train", 7_u8), ("t10k", 3)] {
        let pixels: Vec<u8> = (0..count * 6).collect();
        let labels: Vec<u8> = (0..count).collect();
        let write = |name: String, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
        write(format!("{stem}-images-idx3-ubyte"), idx_bytes(&[count.into(), 2, 3], &pixels));
        write(format!("{stem}-labels-idx1-ubyte.gz"), gzip(&idx_bytes(&[count.into()], &labels)));
    }
    folder
}

fn cifar_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    shapes::write_cifar10(folder.path(), 3, 20, 10).unwrap();
    folder
}

/// The message of a failure, which must hold every one of `parts`.
fn expect_error<T>(case: &str, result: Result<T, DataError>, parts: &[&str]) {
    let Err(error) = result else { panic!("{case}: no error") };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{case}: {message:?} lacks {part:?}");
    }
    assert!(!message.contains('\n') && message.len() < 600, "{case}: {message}");
}

#[test]
fn mnist_files_are_read_plain_and_packed() {
    let folder = mnist_folder();
    let splits = images::load(folder.path()).unwrap();
    assert_eq!((splits.train.len(), splits.held_out.len()), (7, 3));
    assert_eq!((splits.train.shape(), splits.train.classes()), ([1, 2, 3], 10));
    assert_eq!(splits.train.images()[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(splits.held_out.labels(), [0, 1, 2]);
}

#[test]
fn cifar_files_are_read_also_from_a_nested_folder() {
    let folder = cifar_folder();
    let direct = images::load(folder.path()).unwrap();
    let outer = TempDir::new().unwrap();
    fs::rename(folder.path(), outer.path().join("cifar-10-batches-bin")).unwrap();
    let nested = images::load(outer.path()).unwrap();
    assert_eq!(direct.train.images(), nested.train.images());
    assert_eq!((direct.train.len(), direct.held_out.len()), (20, 10));
    assert_eq!(direct.train.class_names(), shapes::CLASS_NAMES);

    fs::remove_file(outer.path().join("cifar-10-batches-bin/batches.meta.txt")).unwrap();
    assert_eq!(cifar::load(outer.path()).unwrap().train.class_names(), cifar::CLASS_NAMES);
}

#[test]
fn malformed_cifar_folders_are_explained() {
    type Spoil = fn(&Path);
    let cases: &[(&str, Spoil, &[&str])] = &[
        (
            "one file missing",
            |f| fs::remove_file(f.join("data_batch_3.bin")).unwrap(),
            &["missing data_batch_3.bin", "toronto.edu"],
        ),
        (
            "two files missing",
            |f| {
                fs::remove_file(f.join("data_batch_1.bin")).unwrap();
                fs::remove_file(f.join("test_batch.bin")).unwrap();
            },
            &["missing data_batch_1.bin, test_batch.bin"],
        ),
        (
            "empty file",
            |f| fs::write(f.join("data_batch_2.bin"), []).unwrap(),
            &["data_batch_2.bin", "empty", "3073"],
        ),
        (
            "cut short",
            |f| fs::write(f.join("data_batch_5.bin"), vec![0; 3073 * 2 - 1]).unwrap(),
            &["data_batch_5.bin", "6145 bytes", "1 records and 3072 bytes over"],
        ),
        ("smaller than a record", |f| fs::write(f.join("test_batch.bin"), [1; 10]).unwrap(), &["10 bytes"]),
        (
            "bad label",
            |f| {
                let mut bytes = vec![0; 3073 * 3];
                bytes[3073 * 2] = 10;
                fs::write(f.join("data_batch_4.bin"), bytes).unwrap();
            },
            &["data_batch_4.bin", "record 2 is 10", "0 to 9"],
        ),
        ("an archive", |f| fs::write(f.join("data_batch_1.bin"), gzip(&[0; 9999])).unwrap(), &["unpacked"]),
        (
            "a folder for a file",
            |f| {
                fs::remove_file(f.join("test_batch.bin")).unwrap();
                fs::create_dir(f.join("test_batch.bin")).unwrap();
            },
            &["test_batch.bin", "a folder", "plain file"],
        ),
        (
            "nine class names",
            |f| fs::write(f.join("batches.meta.txt"), "a\n".repeat(9)).unwrap(),
            &["is 9", "10"],
        ),
        (
            "names that are no text",
            |f| fs::write(f.join("batches.meta.txt"), [b'a', 0xff]).unwrap(),
            &["UTF-8", "byte 1", "0xff"],
        ),
        (
            "endless class names",
            |f| fs::write(f.join("batches.meta.txt"), vec![b'a'; 70_000]).unwrap(),
            &["70000 bytes"],
        ),
    ];
    for (case, spoil, parts) in cases {
        let folder = cifar_folder();
        spoil(folder.path());
        expect_error(case, cifar::load(folder.path()), parts);
    }
    let folder = cifar_folder();
    expect_error(
        "a file",
        cifar::load(&folder.path().join("test_batch.bin")),
        &["a file", "unpack the archive"],
    );
    expect_error("nothing there", cifar::load(&folder.path().join("none")), &["none", "find the folder"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_does_not_block() {
    let folder = cifar_folder();
    let path = folder.path().join("test_batch.bin");
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    expect_error("a pipe", cifar::load(folder.path()), &["pipe", "plain file"]);
}

#[test]
fn malformed_idx_files_are_explained() {
    let good = idx_bytes(&[7, 2, 3], &[1; 42]);
    let mut damaged = gzip(&good);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let mut wrong_sum = gzip(&good);
    let end = wrong_sum.len();
    wrong_sum[end - 6] ^= 1;
    let packed = gzip(&good);
    let bomb = gzip(&idx_bytes(&[7, 2, 3], &vec![0; 50_000_000]));
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty", vec![], &["is empty"]),
        ("one byte", vec![0], &["magic number", "[00]"]),
        ("labels for images", idx_bytes(&[7], &[0; 7]), &["magic number", "00, 00, 08, 01", "swapped"]),
        ("text", b"hello world".to_vec(), &["magic number"]),
        ("floats", vec![0, 0, 13, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0], &["magic number", "0d"]),
        ("header cut short", good[..10].to_vec(), &["10 bytes", "16"]),
        ("values cut short", good[..30].to_vec(), &["30 bytes", "promises 58", "7 x 2 x 3"]),
        ("values too long", [good.clone(), vec![0]].concat(), &["59 bytes", "58", "goes on"]),
        ("no images", idx_bytes(&[0, 28, 28], &[]), &["0 x 28 x 28", "1 to"]),
        ("no pixels", idx_bytes(&[7, 0, 3], &[]), &["7 x 0 x 3"]),
        ("too many", idx_bytes(&[u32::MAX, 28, 28], &[0; 9]), &["4294967295 x 28 x 28", "1073741824"]),
        ("overflow", idx_bytes(&[u32::MAX; 3], &[0; 9]), &["dimensions"]),
        ("large but short", idx_bytes(&[60_000, 28, 28], &[0; 9]), &["47040016"]),
        (
            "packed, large but short",
            gzip(&idx_bytes(&[1_000_000, 28, 28], &[0; 9])),
            &["784000016", "unpacking"],
        ),
        ("packed, cut short", packed[..packed.len() - 12].to_vec(), &["gzip data is damaged"]),
        ("packed, damaged", damaged, &["gzip"]),
        ("packed, wrong checksum", wrong_sum, &["gzip data is damaged"]),
        ("packed, of nothing", gzip(&[]), &["magic number"]),
        ("packed, too long", bomb, &["59 bytes", "goes on"]),
        ("gzip magic alone", vec![0x1f, 0x8b], &["gzip data is damaged"]),
    ];
    for (case, bytes, parts) in cases {
        let folder = mnist_folder();
        let path = folder.path().join("train-images-idx3-ubyte");
        fs::write(&path, bytes).unwrap();
        expect_error(case, idx::load(folder.path()), parts);
    }
}

#[test]
fn idx_files_that_do_not_fit_are_explained() {
    let replace = |name: &str, bytes: &[u8]| {
        let folder = mnist_folder();
        fs::write(folder.path().join(name), bytes).unwrap();
        folder
    };
    let folder = replace("train-images-idx3-ubyte", &idx_bytes(&[6, 2, 3], &[0; 36]));
    expect_error("counts", idx::load(folder.path()), &["6 images", "7 labels", "same data set"]);
    let folder = replace("t10k-images-idx3-ubyte", &idx_bytes(&[3, 3, 3], &[0; 27]));
    expect_error("sizes", idx::load(folder.path()), &["2 x 3", "3 x 3"]);
    let folder = replace("t10k-labels-idx1-ubyte", &idx_bytes(&[3], &[1, 2, 10]));
    expect_error("label", idx::load(folder.path()), &["record 2 is 10"]);
    let folder = mnist_folder();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    expect_error("missing", images::load(folder.path()), &["missing t10k-labels-idx1-ubyte"]);
    let empty = TempDir::new().unwrap();
    expect_error("empty folder", images::load(empty.path()), &["data_batch_1.bin", "train-images"]);
    expect_error("no folder", images::load(&empty.path().join("x")), &["read the folder"]);
}

/// 23 images of 2 x 4 x 4, each pixel telling which image it is of.
fn numbered() -> ImageDataset {
    let images = (0..23_u8).flat_map(|image| (0..32).map(move |pixel| image * 11 + pixel % 3)).collect();
    let labels = (0..23).map(|image| image % 5).collect();
    ImageDataset::new(images, labels, [2, 4, 4], (0..5).map(|c| c.to_string()).collect()).unwrap()
}

#[test]
fn an_epoch_holds_every_image_once() {
    let set = numbered();
    let plain = Normalization { mean: vec![0.0; 2], std: vec![1.0 / 255.0; 2] };
    let mut orders = Vec::new();
    let drawn: Vec<i32> = (0..10)
        .flat_map(|step| {
            let batch = set.batch(step, 23, 9, &plain, Augment::None).unwrap();
            let rows: Vec<i32> = batch.images.chunks(32).map(|image| image[0] as i32 / 11).collect();
            let labels: Vec<i32> = rows.iter().map(|image| image % 5).collect();
            assert_eq!((batch.labels, batch.valid, batch.shape), (labels, 23, [23, 2, 4, 4]));
            orders.push(rows.clone());
            rows
        })
        .collect();
    for epoch in &orders {
        let mut sorted = epoch.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..23).collect::<Vec<_>>());
    }
    orders.dedup();
    assert_eq!(orders.len(), 10, "every epoch has its own order");
    // The same row of images, cut into batches of another size.
    let again: Vec<i32> = (0..46)
        .flat_map(|step| set.batch(step, 5, 9, &plain, Augment::None).unwrap().images)
        .collect::<Vec<f32>>()
        .chunks(32)
        .map(|image| image[0] as i32 / 11)
        .collect();
    assert_eq!(drawn, again);
}

#[test]
fn batches_are_pure_and_augmentation_only_moves_pixels() {
    let set = shapes::splits(1, 40, 10).unwrap().train;
    let scale = set.statistics();
    let one = set.batch(7, 16, 5, &scale, Augment::cifar()).unwrap();
    assert_eq!(one, set.batch(7, 16, 5, &scale, Augment::cifar()).unwrap());
    assert_ne!(one, set.batch(7, 16, 6, &scale, Augment::cifar()).unwrap());
    let plain = set.batch(7, 16, 5, &scale, Augment::None).unwrap();
    assert_eq!(one.labels, plain.labels);
    let mut seen = [0, 0];
    for (moved, original) in one.images.chunks(3072).zip(plain.images.chunks(3072)) {
        let found = (0..162).find(|view| {
            let (down, right, mirrored) = (view % 9 - 4, view / 9 % 9 - 4, view / 81 == 1);
            (0..3072).all(|place| {
                let (channel, y, x) = (place / 1024, place / 32 % 32, place % 32);
                let (y, x) = (y as i32 + down, if mirrored { 31 - x } else { x } as i32 + right);
                let inside = (0..32).contains(&y) && (0..32).contains(&x);
                let black =
                    0.0 * (1.0 / (255.0 * scale.std[channel])) - scale.mean[channel] / scale.std[channel];
                let value = if inside { original[channel * 1024 + (y * 32 + x) as usize] } else { black };
                value == moved[place]
            })
        });
        seen[found.expect("a shift of at most 4 pixels, mirrored or not") as usize / 81] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "some are mirrored, some are not");
}

#[test]
fn normalised_images_have_mean_0_and_deviation_1() {
    let set = shapes::splits(1, 200, 10).unwrap().train;
    let batch = set.eval_batch(0, 200, &set.statistics()).unwrap();
    for channel in 0..3 {
        let values: Vec<f64> = batch
            .images
            .chunks(1024)
            .skip(channel)
            .step_by(3)
            .flat_map(|plane| plane.iter().map(|&v| f64::from(v)))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "{mean} {variance}");
    }
}

#[test]
fn evaluation_goes_through_the_set_in_order_and_pads() {
    let set = numbered();
    let plain = Normalization { mean: vec![0.0; 2], std: vec![1.0 / 255.0; 2] };
    assert_eq!(set.eval_batches(10), 3);
    let last = set.eval_batch(2, 10, &plain).unwrap();
    assert_eq!((last.valid, last.shape), (3, [10, 2, 4, 4]));
    assert_eq!(last.labels[..4], [0, 1, 2, IGNORED]);
    assert_eq!(last.images[0] as i32, 220);
    assert!(last.images[3 * 32..].iter().all(|&pixel| pixel == 0.0));
    assert_eq!(set.eval_batch(usize::MAX, 10, &plain).unwrap().valid, 0);
}

#[test]
fn bad_arguments_are_explained() {
    let set = numbered();
    let plain = Normalization { mean: vec![0.0; 2], std: vec![1.0; 2] };
    let gray = Normalization { mean: vec![0.0], std: vec![1.0] };
    expect_error(
        "batch of none",
        set.batch(0, 0, 1, &plain, Augment::None),
        &["batch_size is 0", "at least 1"],
    );
    expect_error("batch of all", set.eval_batch(0, usize::MAX, &plain), &["batch_size"]);
    expect_error("channels", set.batch(0, 1, 1, &gray, Augment::None), &["1 channels", "statistics"]);
    let names = || vec!["a".to_owned()];
    expect_error("sizes", ImageDataset::new(vec![0; 5], vec![0], [1, 2, 2], names()), &["5 bytes"]);
    expect_error("empty", ImageDataset::new(vec![], vec![], [1, 2, 2], names()), &["N >= 1"]);
    expect_error("label", ImageDataset::new(vec![0; 4], vec![1], [1, 2, 2], names()), &["is 1"]);
    expect_error("names", ImageDataset::new(vec![0; 4], vec![0], [1, 2, 2], vec![]), &["class_names is 0"]);
    expect_error(
        "overflow",
        ImageDataset::new(vec![0; 4], vec![0], [usize::MAX, 2, 2], names()),
        &["images"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any bytes in place of a file: an error or a set, never a panic.
    #[test]
    fn random_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        header in proptest::bool::ANY,
        pack in proptest::bool::ANY,
    ) {
        let mut content = if header { vec![0, 0, 8, 3, 0, 0, 0] } else { vec![] };
        content.extend(&bytes);
        let content = if pack { gzip(&content) } else { content };
        let folder = mnist_folder();
        for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
            fs::write(folder.path().join(name), &content).unwrap();
            let _ = idx::load(folder.path());
        }
        let folder = TempDir::new().unwrap();
        for name in cifar::TRAIN_FILES.iter().chain([&cifar::TEST_FILE, &"batches.meta.txt"]) {
            fs::write(folder.path().join(name), &content).unwrap();
        }
        prop_assert!(cifar::load(folder.path()).is_err());
    }

    #[test]
    fn any_step_gives_a_full_batch(step in any::<u64>(), size in 1_usize..9, seed in any::<u64>()) {
        let set = numbered();
        let batch = set.batch(step, size, seed, &set.statistics(), Augment::cifar()).unwrap();
        prop_assert_eq!(batch.valid, size);
        prop_assert!(batch.labels.iter().all(|label| (0..5).contains(label)));
    }
}
