//! Writing: complete or not at all, everything that was there, nothing twice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::{ArrayFlexibility, DefaultValue, Error, Feature, FeatureType, Package, WriteOptions};
use common::{files, open, verified};
use half::f16;
use mil::text::BlobFile;
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, UNKNOWN, Verified};
use std::fs;
use std::path::Path;

const NEW: WriteOptions = WriteOptions { overwrite: false };
const OVER: WriteOptions = WriteOptions { overwrite: true };

fn model(factor: f32) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios16);
    let x = f.input("x", TensorType::fp16([1, 12])).unwrap();
    let weight = f.constant(Constant::new([12], vec![f16::from_f32(factor); 12]).unwrap());
    let y = f.mul(x, weight).unwrap();
    let y = f.add(y, weight).unwrap();
    let again = f.function().constant(weight).unwrap().reshaped([1, 12]).unwrap();
    let again = f.constant(again);
    let y = f.sub(y, again).unwrap();
    verified(Program::single(f.finish(&[y]).unwrap()))
}

fn blobs(package: &Path) -> u32 {
    let bytes = fs::read(package.join("Data/com.apple.CoreML/weights/weight.bin")).unwrap();
    BlobFile::new(std::sync::Arc::new(bytes)).unwrap().count()
}

/// Names of everything in a folder, hidden files included.
fn left_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn shared_constants_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    Package::new(model(0.5)).unwrap().write(&path, NEW).unwrap();
    assert_eq!(blobs(&path), 1);
    // Functions that share a weight share it in the file, as before.
    let merged = folder.path().join("two.mlpackage");
    open("multifunction").write(&merged, NEW).unwrap();
    assert_eq!(blobs(&merged), blobs(&common::path("multifunction")));
}

/// An update is two operations in files; they are found together again whatever the whole is called.
#[test]
fn a_state_update_may_have_a_name_of_its_own() {
    for own in [None, Some("another"), Some("result_write_state")] {
        let text = "program(1.3) { func main<ios18>(state<tensor<fp16, [2]>> s, tensor<fp16, [2]> x) {
            tensor<fp16, [2]> result = coreml_update_state(state = s, value = x);
            tensor<fp16, [2]> y = relu(x = result);
        } -> (y); }";
        let mut program: Program = text.parse().unwrap();
        program.functions[0].body.ops[0].name = own.map(str::to_string);
        let package = Package::new(verified(program)).unwrap();
        let (model, _) = package.to_bytes().unwrap();
        let again = Package::from_bytes(model.clone(), Default::default()).unwrap();
        let read = verified(again.program().unwrap());
        assert_eq!(read.functions[0].body.ops.len(), 2, "{own:?}");
        assert_eq!(read.functions[0].body.ops[0].name.as_deref(), own);
        assert_eq!(again.to_bytes().unwrap().0, model);
    }
}

#[test]
fn what_stands_there_is_kept_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    Package::new(model(0.5)).unwrap().write(&path, NEW).unwrap();
    let before = files(&path);
    let error = Package::new(model(2.0)).unwrap().write(&path, NEW).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(files(&path), before);
    Package::new(model(2.0)).unwrap().write(&path, OVER).unwrap();
    assert_ne!(files(&path), before);
    // Something else is never replaced.
    for (name, make) in [("folder.mlpackage", true), ("file.mlpackage", false)] {
        let other = folder.path().join(name);
        if make {
            fs::create_dir(&other).unwrap()
        } else {
            fs::write(&other, "mine").unwrap()
        }
        let error = Package::new(model(2.0)).unwrap().write(&other, OVER).unwrap_err().to_string();
        assert!(error.contains("it is no model package, so it is not replaced"), "{error}");
    }
    let error =
        Package::new(model(2.0)).unwrap().write(folder.path().join("m.zip"), NEW).unwrap_err().to_string();
    assert!(error.contains("must end in .mlpackage"), "{error}");
    assert_eq!(left_in(folder.path()), ["file.mlpackage", "folder.mlpackage", "m.mlpackage"]);
}

#[test]
fn a_package_may_be_written_over_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    open("stateful").write(&path, NEW).unwrap();
    let package = Package::open(&path).unwrap();
    let (before, program) = (files(&path), package.program().unwrap());
    package.write(&path, OVER).unwrap();
    assert_eq!(files(&path), before);
    // The old weights are still mapped.
    assert_eq!(program, Package::open(&path).unwrap().program().unwrap());
    assert_eq!(left_in(folder.path()), ["m.mlpackage"]);
}

#[test]
fn failure_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut package = Package::new(model(0.5)).unwrap();
    package.description.functions[0].outputs[0].name = "other".into();
    let error = package.write(folder.path().join("m.mlpackage"), NEW).unwrap_err().to_string();
    assert!(error.contains("it has the output `other`, but the program has output"), "{error}");
    let missing = folder.path().join("none").join("m.mlpackage");
    assert!(Package::new(model(0.5)).unwrap().write(missing, NEW).is_err());
    assert_eq!(left_in(folder.path()), Vec::<String>::new());
}

#[test]
fn other_items_and_keys_of_a_package_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.mlpackage"), folder.path().join("b.mlpackage"));
    open("perceptron").write(&first, NEW).unwrap();
    fs::create_dir_all(first.join("Data/notes/deep")).unwrap();
    fs::write(first.join("Data/notes/deep/read.me"), "hello").unwrap();
    let manifest = first.join("Manifest.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    json["itemInfoEntries"]["N"] =
        serde_json::json!({"author": "me", "description": "d", "name": "notes", "path": "notes", "kind": 7});
    json["tool"] = "mine".into();
    fs::write(&manifest, json.to_string()).unwrap();
    Package::open(&first).unwrap().write(&second, NEW).unwrap();
    assert_eq!(fs::read(second.join("Data/notes/deep/read.me")).unwrap(), b"hello");
    let again: serde_json::Value =
        serde_json::from_slice(&fs::read(second.join("Manifest.json")).unwrap()).unwrap();
    assert_eq!(again, json);
}

#[test]
fn changes_of_the_description_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    let mut package = open("perceptron");
    package.description.metadata.author = "Grace".into();
    package.description.metadata.user_defined.insert("epoch".into(), "12".into());
    package.description.functions[0].inputs[0].description = "the input".into();
    package.write(&path, NEW).unwrap();
    assert_eq!(Package::open(&path).unwrap().description, package.description);
}

#[test]
fn another_program_under_the_same_description() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    let mut package = Package::new(model(0.5)).unwrap();
    package.description.metadata.author = "Ada".into();
    package.write(&path, NEW).unwrap();
    let mut package = Package::open(&path).unwrap();
    package.set_program(model(2.0));
    package.write(&path, OVER).unwrap();
    let again = Package::open(&path).unwrap();
    assert_eq!(again.description.metadata.author, "Ada");
    let program = again.program().unwrap();
    let constants: Vec<_> =
        program.functions[0].values.iter().filter(|value| matches!(value.def, mil::Def::Const(_))).collect();
    assert_eq!(constants.len(), 2, "one storage, two shapes");
}

#[test]
fn defaults_are_written_out() {
    let mut f = FunctionBuilder::new("main", Opset::Ios15);
    let x = f.input("x", TensorType::fp32([1, 2, 5, 5])).unwrap();
    let weight = f.constant(Constant::new([3, 2, 2, 2], vec![0.5f32; 24]).unwrap());
    let y = f.op("conv").arg("x", x).arg("weight", weight).one().unwrap();
    let y = f.op("layer_norm").arg("x", y).ints("axes", &[-1]).one().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mlpackage");
    Package::new(verified(Program::single(f.finish(&[y]).unwrap()))).unwrap().write(&path, NEW).unwrap();
    let program = Package::open(&path).unwrap().program().unwrap();
    let function = &program.functions[0];
    let conv = function.view(&function.body.ops[0]);
    assert_eq!(conv.constant("strides"), Some(&Constant::ints(&[1, 1])));
    assert_eq!(conv.constant("pad"), Some(&Constant::ints(&[0, 0, 0, 0])));
    assert_eq!(conv.constant("pad_type"), Some(&Constant::string("valid")));
    assert_eq!(conv.constant("groups"), Some(&Constant::scalar(1i32)));
    assert!(conv.constant("bias").is_none());
    assert_eq!(function.view(&function.body.ops[1]).constant("epsilon"), Some(&Constant::scalar(1e-5f32)));
}

#[track_caller]
fn unwritable(package: &Package, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let error = package.write(folder.path().join("m.mlpackage"), NEW).unwrap_err();
    assert!(matches!(error, Error::Unwritable { .. }), "{error}");
    assert!(error.to_string().contains(expected), "expected `{expected}` in: {error}");
}

#[test]
fn descriptions_that_do_not_fit_the_program() {
    let fresh = || Package::new(model(0.5)).unwrap();
    let array = |package: &mut Package, change: &dyn Fn(&mut anemone_mlpackage::ArrayFeature)| {
        if let FeatureType::Array(array) = &mut package.description.functions[0].inputs[0].ty {
            change(array);
        }
    };
    let mut package = fresh();
    package.description.functions[0].name = "other".into();
    unwritable(&package, "function `main`: it is not in the description");
    let mut package = fresh();
    package.description.default_function = Some("other".into());
    unwritable(&package, "description: the default function `other` is not described");
    let mut package = fresh();
    package.description.default_function = Some(String::new());
    unwritable(&package, "a model file cannot hold all of it");
    let mut package = fresh();
    array(&mut package, &|array| array.default = Some(DefaultValue::Float(f32::NAN)));
    assert!(package.to_bytes().is_ok());
    let mut package = fresh();
    package.description.functions[0].inputs.clear();
    unwritable(&package, "the program's input `x` is not in it");
    let mut package = fresh();
    package.description.functions[0].inputs.push(Feature::new("z", FeatureType::String));
    unwritable(&package, "it has the input `z`, but the program has x");
    let mut package = fresh();
    package.description.functions[0].inputs[0].ty = FeatureType::Double;
    unwritable(&package, "`x` is Double in the description, but tensor<fp16, [1, 12]> in the program");
    let mut package = fresh();
    array(&mut package, &|array| array.shape = vec![1, 13]);
    unwritable(&package, "`x` is MultiArray (Float16 [1, 13]) in the description");
    let mut package = fresh();
    array(&mut package, &|array| array.dtype = anemone_mlpackage::ArrayDataType::Float32);
    unwritable(&package, "`x` is MultiArray (Float32 [1, 12]) in the description");
    let mut package = fresh();
    array(&mut package, &|array| {
        array.flexibility = ArrayFlexibility::Enumerated(vec![vec![1, 12], vec![1, 5]])
    });
    unwritable(&package, "`x` is MultiArray (Float16 [1, 12] or [1, 5]) in the description");
}

#[test]
fn open_sizes_need_an_upper_bound() {
    let mut f = FunctionBuilder::new("main", Opset::Ios16);
    let ty = TensorType::fp16([1, UNKNOWN]);
    let x = f.input("x", ty.clone()).unwrap();
    let y = f.op("relu").arg("x", x).declared(&[ty.into()]).named("y").one().unwrap();
    let mut package = Package::new(verified(Program::single(f.finish(&[y]).unwrap()))).unwrap();
    unwritable(&package, "`x` takes [1, 1...], but every size needs an upper bound");
    if let FeatureType::Array(array) = &mut package.description.functions[0].inputs[0].ty
        && let ArrayFlexibility::Ranges(ranges) = &mut array.flexibility
    {
        ranges[1].upper = Some(512);
    }
    let folder = tempfile::tempdir().unwrap();
    package.write(folder.path().join("m.mlpackage"), NEW).unwrap();
    if let FeatureType::Array(array) = &package.description.functions[0].inputs[0].ty {
        assert!(array.check_shape(&[1, 512]).is_ok());
        let error = array.check_shape(&[1, 513]).unwrap_err().to_string();
        assert_eq!(error, "an array of shape [1, 513] was given, but the model takes [1, 1...512]");
    }
}

#[test]
fn features_follow_the_opset() {
    let of = |opset, ty: TensorType| {
        let mut f = FunctionBuilder::new("main", opset);
        let x = f.input("x", ty).unwrap();
        let y = f.op("identity").arg("x", x).named("y").one()?;
        Ok::<_, mil::BuildError>(Package::new(verified(Program::single(f.finish(&[y])?))))
    };
    let error = of(Opset::Ios15, TensorType::fp16([2])).unwrap().unwrap_err().to_string();
    assert!(
        error.contains("`x`: is fp16, but in ios15 features are fp32 and int32; put a `cast` before it"),
        "{error}"
    );
    assert!(of(Opset::Ios16, TensorType::fp16([2])).unwrap().is_ok());
    let versions =
        Opset::ALL.map(|opset| of(opset, TensorType::fp32([2])).unwrap().unwrap().specification_version());
    assert_eq!(versions, [6, 7, 8, 9, 10]);
}
