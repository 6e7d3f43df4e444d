//! Models from files, run by the names of their features; arrays in files.

#![allow(clippy::unwrap_used, reason = "test code")]

use anemone::arrays::{Array, NamedArray, Npz, read_npy, write_npy, write_npz};
use anemone::cpu::CpuBackend;
use anemone::mil::{DataType, TensorType, UNKNOWN};
use anemone::runtime::Tensor;
use anemone::{Label, Model, Output, Session, SessionOptions};
use half::f16;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn package(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/packages").join(name)
}

fn session(name: &str, options: &SessionOptions) -> Session {
    let backend = CpuBackend::with_threads(1).unwrap();
    Model::open(package(name)).unwrap().session(&backend, options).unwrap()
}

fn ramp(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    Tensor::new(shape, &(0..count).map(|i| i as f32 / 10.0 - 1.0).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_classifier_answers_with_label_and_probabilities() {
    let mut session = session("classifier.mlpackage", &SessionOptions::default());
    let inputs = BTreeMap::from([("image".to_string(), ramp(&[1, 3, 4, 4]))]);
    let outputs: BTreeMap<String, Output> = session.predict(&inputs).unwrap().into_iter().collect();
    let Output::Probabilities(probabilities) = &outputs["label_probs"] else { panic!("{outputs:?}") };
    let labels: Vec<String> = probabilities.iter().map(|(label, _)| label.to_string()).collect();
    assert_eq!(labels, ["cat", "dog", "écureuil"]);
    let total: f64 = probabilities.iter().map(|(_, p)| p).sum();
    assert!((total - 1.0).abs() < 1e-6, "{total}");
    let best = probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(outputs["label"], Output::Label(best.0.clone()));
    assert!(matches!(best.0, Label::String(_)));
}

#[test]
fn states_carry_over_and_inputs_are_checked() {
    let mut stateful = session("stateful.mlpackage", &SessionOptions::default());
    let x = Tensor::new([1, 4], &[f16::ONE; 4]).unwrap();
    let inputs = BTreeMap::from([("x".to_string(), x)]);
    let [first, second] = [(); 2].map(|()| stateful.predict(&inputs).unwrap());
    assert_ne!(first, second);
    let missing = stateful.predict(&BTreeMap::new()).unwrap_err().to_string();
    assert_eq!(missing, "input `x` is missing; it is tensor<fp16, [1, 4]>");
    let unknown = BTreeMap::from([("z".to_string(), ramp(&[1, 4]))]);
    let unknown = stateful.predict(&unknown).unwrap_err().to_string();
    assert_eq!(unknown, "input `z` is not one of the model's; they are: x");
    let wrong = BTreeMap::from([("x".to_string(), ramp(&[1, 4]))]);
    let wrong = stateful.predict(&wrong).unwrap_err().to_string();
    assert!(wrong.contains("must be tensor<fp16, [1, 4]>, but is tensor<fp32, [1, 4]>"), "{wrong}");
}

#[test]
fn flexible_inputs_give_the_same_bound_and_open() {
    let shapes = BTreeMap::from([("x".to_string(), [1, 5, 4].into())]);
    let mut bound = session("ranges.mlpackage", &SessionOptions { shapes, ..SessionOptions::default() });
    let mut open = session("ranges.mlpackage", &SessionOptions::default());
    assert_eq!(*open.inputs()[0].ty.shape, [1, UNKNOWN, 4]);
    let inputs = BTreeMap::from([("x".to_string(), ramp(&[1, 5, 4]))]);
    assert_eq!(bound.predict(&inputs).unwrap(), open.predict(&inputs).unwrap());
    let longer = BTreeMap::from([("x".to_string(), ramp(&[1, 6, 4]))]);
    assert!(open.predict(&longer).is_ok());
    assert!(bound.predict(&longer).is_err());
}

#[test]
fn every_golden_package_opens_or_is_declined() {
    for entry in std::fs::read_dir(package("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match (Model::open(&path), name.ends_with(".mlpackage")) {
            (Ok(model), true) => assert!(model.function(None).is_ok(), "{name}"),
            (Err(error), false) => {
                assert!(name.ends_with(".json") || error.to_string().contains("not supported"), "{error}")
            }
            (opened, _) => panic!("{name}: {:?}", opened.map(|_| ())),
        }
    }
    let nothing = Model::open(package("nothing.mlpackage")).unwrap_err().to_string();
    assert!(nothing.contains("nothing.mlpackage"), "{nothing}");
}

/// An `.npy` of the given header and data.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8], wanted: &TensorType) -> Result<Tensor, String> {
    read_npy(bytes, "x", wanted).map_err(|error| error.to_string())
}

#[test]
fn arrays_of_numpy_are_read_as_what_is_wanted() {
    let fp32 = TensorType::fp32([2, 3]);
    // Column-major, big-endian.
    let data: Vec<u8> = [0.0_f32, 3.0, 1.0, 4.0, 2.0, 5.0].iter().flat_map(|v| v.to_be_bytes()).collect();
    let bytes = npy("{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }", &data);
    assert_eq!(read(&bytes, &fp32).unwrap().to_f32().unwrap().as_ref(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let data: Vec<u8> = [1.5_f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = npy("{\"descr\": \"<f8\", \"fortran_order\": False, \"shape\": (2,)}", &data);
    let half = read(&bytes, &TensorType::fp16([UNKNOWN])).unwrap();
    assert_eq!(half.as_slice::<f16>().unwrap(), &[f16::from_f32(1.5), f16::from_f32(-2.0)]);
    let error = read(&bytes, &TensorType::int32([2])).unwrap_err();
    assert!(
        error.contains("an array of <f8 with shape [2], but tensor<int32, [2]> is wanted; round it"),
        "{error}"
    );
    let data: Vec<u8> = [5_i64, -7].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", &data);
    assert_eq!(read(&bytes, &TensorType::int32([2])).unwrap().as_slice::<i32>().unwrap(), &[5, -7]);
    assert_eq!(read(&bytes, &TensorType::fp32([2])).unwrap().to_f32().unwrap().as_ref(), [5.0, -7.0]);
    let error = read(&bytes, &TensorType::new(DataType::Uint8, [2])).unwrap_err();
    assert!(error.contains("it holds -7, which uint8 cannot hold"), "{error}");
}

#[test]
fn damaged_arrays_are_answered() {
    let fp32 = TensorType::fp32([UNKNOWN]);
    for (bytes, message) in [
        (b"".to_vec(), "too short"),
        (b"PK\x03\x04 something else".to_vec(), "does not begin with"),
        (b"\x93NUMPY\x09\x00aaaaaaaa".to_vec(), "its format version is 9"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "its header has 4294967295 bytes"),
        (npy("{'descr': '<f4', 'shape': (1,)}", &[]), "lacks descr, fortran_order or shape"),
        (npy("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", &[]), "its elements are <c8"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[]), "records"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", &[]), "its shape is damaged"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}", &[0; 8]),
            "it ends after 8 of",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551614,)}", &[]),
            "more elements than memory",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", &[0; 16]), "is wanted"),
    ] {
        let error = read(&bytes, &fp32).unwrap_err();
        assert!(error.contains(message), "{message}\n{error}");
    }
    assert!(Npz::new(std::io::Cursor::new(b"no zip".to_vec()), "x").is_err());
}

#[test]
fn results_are_written_as_numpy_reads_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.npz");
    let x = ramp(&[2, 3]);
    let arrays = [
        ("x".to_string(), NamedArray::Tensor(&x)),
        ("label".to_string(), NamedArray::Strings(vec!["é".into()], true)),
        ("p".to_string(), NamedArray::Doubles(vec![0.25, 0.75])),
    ];
    write_npz(&path, arrays).unwrap();
    let mut npz = Npz::open(&path).unwrap();
    assert_eq!(npz.names(), ["label", "p", "x"]);
    assert_eq!(npz.read("x", &TensorType::fp32([2, UNKNOWN])).unwrap(), x);
    assert_eq!(npz.read("p", &TensorType::fp32([2])).unwrap().to_f32().unwrap().as_ref(), [0.25, 0.75]);
    let error = npz.read("y", &TensorType::fp32([])).unwrap_err().to_string();
    assert!(error.contains("array `y`") && error.contains("there are: label, p, x"), "{error}");
    let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(written.len(), 1, "nothing is left beside it");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_written_is_read(dims in prop::collection::vec(0_usize..4, 0..4), seed in any::<u32>(), kind in 0_usize..8) {
        let dtype = [
            DataType::Fp16, DataType::Fp32, DataType::Int8, DataType::Uint8, DataType::Int16, DataType::Uint16,
            DataType::Int32, DataType::Bool,
        ][kind];
        let ty = TensorType::new(dtype, dims);
        let mask = if dtype == DataType::Bool { 1 } else { 0x3f };
        let bytes: Vec<u8> = (0..ty.bytes()).map(|i| (seed.rotate_left(i as u32 % 32) as u8) & mask).collect();
        let tensor = Tensor::from_bytes(ty.clone(), &bytes).unwrap();
        let mut file = Vec::new();
        write_npy(&mut file, &tensor).unwrap();
        prop_assert_eq!((file.len() - bytes.len()) % 64, 0);
        prop_assert_eq!(&read_npy(&file[..], "x", &ty).unwrap(), &tensor);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..200, value: u8) {
        let good = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &[0; 24]);
        let mut damaged = good.clone();
        damaged[at % good.len()] = value;
        bytes.splice(0..0, damaged);
        let array = Array::new(&bytes[..], "x");
        if let Ok(array) = array {
            let _ = array.read(&TensorType::fp32([UNKNOWN, UNKNOWN]));
        }
    }
}
