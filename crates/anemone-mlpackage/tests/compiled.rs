//! Compiled models (`.mlmodelc`) and bare model files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::{
    ArrayDataType, ArrayFlexibility, ColorSpace, Error, FeatureType, ImageFlexibility, KeyType, Package,
    SizeRange, WriteOptions,
};
use common::{open, verified};
use mil::text::blob::DEFAULT_PATH;
use mil::text::{BlobWriter, Dialect, canonical, print_with_weights};
use std::fs::{self, File};
use std::path::Path;

/// What `coremlc` writes beside the program: its keys and spellings, after `FeatureType::toDictionary` of coremltools.
const METADATA: &str = r#"[{
    "metadataOutputVersion": "3.0", "storagePrecision": "Float16", "specificationVersion": 7,
    "shortDescription": "Two layers.", "author": "Ada", "license": "MIT", "version": "1.2",
    "inputSchema": [
        {"name": "x", "type": "MultiArray", "dataType": "Float16", "shape": "[1, 4]", "isOptional": "0",
         "hasShapeFlexibility": "0", "shortDescription": "four numbers", "formattedType": "MultiArray (Float16 1 × 4)"}
    ],
    "outputSchema": [
        {"name": "y", "type": "MultiArray", "dataType": "Float16", "shape": "[]", "isOptional": "0",
         "hasShapeFlexibility": "0", "shortDescription": "", "formattedType": "MultiArray (Float16)"}
    ],
    "mlProgramOperationTypeHistogram": {"Ios16.linear": 2, "Ios16.relu": 1},
    "computePrecision": "Mixed (Float16, Int32)", "isUpdatable": "0", "modelType": {"name": "MLModelType_mlProgram"},
    "userDefinedMetadata": {"run": "17"}, "generatedClassName": "perceptron", "method": "predict"
}]"#;

/// A compiled model of a golden package's program.
fn compile(name: &str, folder: &Path, metadata: &str) {
    let program = open(name).program().unwrap();
    fs::create_dir_all(folder.join("weights")).unwrap();
    let mut weights =
        BlobWriter::new(File::create(folder.join("weights/weight.bin")).unwrap(), DEFAULT_PATH).unwrap();
    let text = print_with_weights(&program, Dialect::Ios16, &mut weights).unwrap();
    weights.finish().unwrap();
    fs::write(folder.join("model.mil"), text).unwrap();
    fs::write(folder.join("metadata.json"), metadata).unwrap();
}

#[test]
fn a_compiled_model_is_read_and_becomes_a_package() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("m.mlmodelc");
    compile("perceptron", &compiled, METADATA);
    let package = Package::open(&compiled).unwrap();
    let original = open("perceptron");
    assert_eq!(package.specification_version(), 7);
    assert_eq!(package.function_names().unwrap(), ["main"]);
    assert_eq!(package.description.metadata.author, "Ada");
    assert_eq!(package.description.metadata.version, "1.2");
    assert_eq!(package.description.metadata.user_defined["run"], "17");
    assert_eq!(package.description.functions[0].inputs, original.description.functions[0].inputs);
    let same = |package: &Package| {
        let mut program = canonical(&verified(package.program().unwrap()));
        program.build_info.clear();
        program
    };
    assert_eq!(same(&package), same(&original));
    let written = folder.path().join("m.mlpackage");
    package.write(&written, WriteOptions::default()).unwrap();
    assert_eq!(same(&Package::open(&written).unwrap()), same(&original));
}

/// The description alone, with other features.
fn features(inputs: &str) -> Result<Vec<anemone_mlpackage::Feature>, String> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(r#"[{{"specificationVersion": 8, "inputSchema": [{inputs}]}}]"#);
    fs::write(folder.path().join("model.mil"), "").unwrap();
    fs::write(folder.path().join("metadata.json"), text).unwrap();
    let package = Package::open(folder.path()).map_err(|error| error.to_string())?;
    Ok(package.description.functions[0].inputs.clone())
}

#[test]
fn every_kind_of_feature_is_understood() {
    let found = features(
        r#"{"name": "a", "type": "MultiArray", "dataType": "Float32", "shape": "[1, 3]", "isOptional": "1",
            "shapeRange": "[[1, 1], [1, -1]]"},
           {"name": "b", "type": "MultiArray", "dataType": "Int32", "shape": "[1]", "enumeratedShapes": "[[1], [2]]"},
           {"name": "c", "type": "Image", "colorspace": "BGR", "width": "6", "height": "4", "sizeRange": "[[1, 9], [2, -1]]"},
           {"name": "d", "type": "Image", "colorspace": "Grayscale", "width": "6", "height": "4", "enumeratedSizes": "[[6, 4], [8, 5]]"},
           {"name": "e", "type": "Dictionary", "keyType": "String"},
           {"name": "f", "type": "Sequence", "valueType": "Int64", "sizeRange": "[0, 5]"},
           {"name": "g", "type": "String"}, {"name": "h", "type": "Int64"}, {"name": "i", "type": "Double"},
           {"name": "j", "type": "State", "dataType": "Float16", "shape": "[2]"}"#,
    )
    .unwrap();
    let FeatureType::Array(a) = &found[0].ty else { panic!("{:?}", found[0]) };
    assert!(found[0].optional);
    let open = SizeRange { lower: 1, upper: None };
    assert_eq!(a.flexibility, ArrayFlexibility::Ranges(vec![SizeRange::exactly(1), open]));
    let FeatureType::Array(b) = &found[1].ty else { panic!("{:?}", found[1]) };
    assert_eq!((b.dtype, b.shapes().as_str()), (ArrayDataType::Int32, "[1] or [2]"));
    let FeatureType::Image(c) = &found[2].ty else { panic!("{:?}", found[2]) };
    assert_eq!((c.width, c.height, c.color_space), (6, 4, ColorSpace::Bgr));
    assert!(matches!(c.flexibility, ImageFlexibility::Range { .. }));
    let FeatureType::Image(d) = &found[3].ty else { panic!("{:?}", found[3]) };
    assert_eq!(d.flexibility, ImageFlexibility::Enumerated(vec![(6, 4), (8, 5)]));
    assert_eq!(found[4].ty, FeatureType::Dictionary(KeyType::String));
    assert!(matches!(found[5].ty, FeatureType::Sequence(_)));
    assert!(matches!(found[9].ty, FeatureType::State(_)));
}

#[test]
fn descriptions_that_are_none() {
    for (feature, expected) in [
        (r#"{"name": "a", "type": "Tensor"}"#, "the feature `a` has type `Tensor`"),
        (r#"{"name": "a", "type": "MultiArray"}"#, "the feature `a` has no `dataType`"),
        (r#"{"name": "a", "type": "MultiArray", "dataType": "Bool", "shape": "[1]"}"#, "element type `Bool`"),
        (r#"{"name": "a", "type": "MultiArray", "dataType": "Int32", "shape": "[1"}"#, "the `shape` `[1`"),
        (
            r#"{"name": "a", "type": "MultiArray", "dataType": "Int32", "shape": "[-1]"}"#,
            "the `shape` `[-1]`",
        ),
        (r#"{"name": "a", "type": "Image", "colorspace": "CMYK"}"#, "color space `CMYK`"),
        (r#"{"type": "Image"}"#, "missing field `name`"),
        (
            r#"{"name": "a", "type": "String"}, {"name": "a", "type": "Int64"}"#,
            "two inputs are described under the name `a`",
        ),
    ] {
        let error = features(feature).unwrap_err();
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.mil"), "program(1.0) {").unwrap();
    let error = Package::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("metadata.json"), "{error}");
    fs::write(folder.path().join("metadata.json"), "[]").unwrap();
    assert!(
        Package::open(folder.path()).unwrap_err().to_string().contains("no description of a compiled model")
    );
    fs::write(folder.path().join("metadata.json"), r#"[{"specificationVersion": 0}]"#).unwrap();
    let error = Package::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("`specificationVersion` is 0; versions count from 1"), "{error}");
    fs::write(folder.path().join("metadata.json"), METADATA).unwrap();
    assert!(matches!(Package::open(folder.path()).unwrap().program(), Err(Error::Text { .. })));
}

#[test]
fn weights_of_compiled_models_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    let compiled = folder.path().join("m.mlmodelc");
    compile("perceptron", &compiled, METADATA);
    fs::rename(compiled.join("weights/weight.bin"), folder.path().join("weight.bin")).unwrap();
    let text = fs::read_to_string(compiled.join("model.mil")).unwrap();
    fs::write(compiled.join("model.mil"), text.replace("@model_path/weights/", "@model_path/../")).unwrap();
    let error = Package::open(&compiled).unwrap().program().unwrap_err().to_string();
    assert!(error.contains("leads out of the folder"), "{error}");
}

#[test]
fn compiled_layers_are_declined() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.espresso.net"), "{}").unwrap();
    let error = Package::open(folder.path()).unwrap_err();
    assert!(matches!(&error, Error::Kind { kind: "neuralNetwork", .. }), "{error}");
}

/// `coremldata.bin` with this version and description, as coremlc writes it for one function.
fn coremldata(version: u8, description: &[u8]) -> Vec<u8> {
    let number = |value: u64| value.to_le_bytes();
    let mut bytes = [502_u32.to_le_bytes(), 9_u32.to_le_bytes()].concat();
    bytes.extend([0; 20]);
    bytes.extend(number(7));
    bytes.extend(b"generic");
    bytes.push(version);
    bytes.extend([0; 31]);
    bytes.extend(number(description.len() as u64));
    bytes.extend(description);
    bytes.extend(number(502));
    bytes.extend(number(0));
    bytes
}

#[test]
fn models_of_a_compiled_pipeline_have_no_json() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model0");
    compile("perceptron", &model, METADATA);
    let with_json = Package::open(&model).unwrap().description;
    let Error::Kind { kind: "pipeline", message, .. } = Package::open(folder.path()).unwrap_err() else {
        panic!("a pipeline")
    };
    assert!(message.contains("open one of its models") && message.ends_with("model0"), "{message}");

    fs::remove_file(model.join("metadata.json")).unwrap();
    assert!(Package::open(&model).unwrap_err().to_string().contains("metadata.json"));
    // The same features, without metadata: in tag 1 of `ModelDescription` the inputs, in 10 the outputs.
    let described = b"\x0a\x1d\x0a\x01x\x12\x0cfour numbers\x1a\x0a\x2a\x08\x0a\x02\x01\x04\x10\x90\x80\x04";
    let described = [&described[..], b"\x52\x0b\x0a\x01y\x1a\x06\x2a\x04\x10\x90\x80\x04"].concat();
    let bytes = coremldata(7, &described);
    fs::write(model.join("coremldata.bin"), &bytes).unwrap();
    let package = Package::open(&model).unwrap();
    assert_eq!(package.specification_version(), 7);
    assert_eq!(package.description.functions, with_json.functions);
    assert_eq!(package.program().unwrap().functions.len(), 1);

    // Whatever the bytes, an error or, if there is JSON, that.
    let cut = (0..bytes.len() - 16).map(|end| bytes[..end].to_vec());
    let other_kind = [&b"\xca\x00"[..], &bytes[2..]].concat();
    for bytes in cut.chain([other_kind, coremldata(0, &described)]) {
        fs::write(model.join("coremldata.bin"), &bytes).unwrap();
        let error = Package::open(&model).unwrap_err().to_string();
        assert!(error.contains("its layout is not known"), "{error}");
        fs::write(model.join("metadata.json"), METADATA).unwrap();
        assert_eq!(Package::open(&model).unwrap().description, with_json);
        fs::remove_file(model.join("metadata.json")).unwrap();
    }
    fs::write(model.join("coremldata.bin"), coremldata(7, b"\x0a\x7f")).unwrap();
    let error = Package::open(&model).unwrap_err().to_string();
    assert!(error.contains("coremldata.bin: field 1 tells of 127 bytes"), "{error}");
}

#[test]
fn bare_model_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = common::path("perceptron").join("Data/com.apple.CoreML");
    let model = folder.path().join("model.mlmodel");
    fs::copy(data.join("model.mlmodel"), &model).unwrap();
    // Its weights stand beside it.
    let package = Package::open(&model).unwrap();
    assert!(package.program().unwrap_err().to_string().contains("weight.bin"));
    fs::create_dir(folder.path().join("weights")).unwrap();
    fs::copy(data.join("weights/weight.bin"), folder.path().join("weights/weight.bin")).unwrap();
    assert_eq!(package.program().unwrap(), open("perceptron").program().unwrap());
    for (name, kind, hint) in
        [("layers", "neuralNetwork", "layer format"), ("pipeline", "pipeline", "several models")]
    {
        let error = Package::open(common::folder().join(format!("{name}.mlmodel"))).unwrap_err();
        assert!(matches!(&error, Error::Kind { kind: found, .. } if *found == kind), "{error}");
        assert!(error.to_string().contains(hint), "{error}");
    }
}

#[test]
fn text_is_described_by_the_file_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("m.mil");
    let original = open("enumerated");
    let program = original.program().unwrap();
    let mut weights = BlobWriter::new(
        File::create(folder.path().join("m.weights.bin")).unwrap(),
        "@model_path/m.weights.bin",
    );
    fs::write(&text, print_with_weights(&program, Dialect::Ios18, weights.as_mut().unwrap()).unwrap())
        .unwrap();
    weights.unwrap().finish().unwrap();

    let alone = Package::open(&text).unwrap();
    assert_ne!(alone.description, original.description);
    let beside = Package::description_path(&text);
    let bytes = original.description_beside_text().unwrap().expect("more than the program says");
    fs::write(&beside, &bytes).unwrap();
    let described = Package::open(&text).unwrap();
    assert_eq!(described.description, original.description);
    assert_eq!(described.specification_version(), original.specification_version());

    // A description of another model, one cut short, one that is none.
    fs::write(&beside, open("classifier").description_beside_text().unwrap().unwrap()).unwrap();
    let error = Package::open(&text).unwrap_err();
    assert!(matches!(error, Error::Beside { .. }) && error.to_string().contains("delete it"), "{error}");
    for length in 0..bytes.len() {
        fs::write(&beside, &bytes[..length]).unwrap();
        _ = Package::open(&text);
    }
    fs::write(&beside, [0xff; 64]).unwrap();
    assert!(Package::open(&text).is_err());

    // A program that says it all needs none.
    let plain = Package::new(verified(open("stateful").program().unwrap())).unwrap();
    assert_eq!(plain.description_beside_text().unwrap(), None);
}
