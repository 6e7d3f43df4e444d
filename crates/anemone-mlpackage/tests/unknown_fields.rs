//! A field that is not known is refused with its message's name and number, wherever in the tree it stands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::proto::schema::MESSAGES;
use anemone_mlpackage::{Error, Package};
use common::message::{Message, message};
use mil::text::BlobFile;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Nobody has a field of this number.
const STRANGE: u64 = 4_095;

/// Where in a package the first instance of a message is: field numbers from the top. Entries of maps are messages of a
/// key (1) and a value (2).
const PLACES: &[(&str, &str, &[u64])] = &[
    ("Model", "perceptron", &[]),
    ("ModelDescription", "perceptron", &[2]),
    ("FeatureDescription", "perceptron", &[2, 1]),
    ("FeatureType", "perceptron", &[2, 1, 3]),
    ("ArrayFeatureType", "perceptron", &[2, 1, 3, 5]),
    ("Metadata", "perceptron", &[2, 100]),
    ("FunctionDescription", "multifunction", &[2, 20]),
    ("StateFeatureType", "stateful", &[2, 13, 3, 8]),
    ("ImageFeatureType", "classifier", &[2, 1, 3, 4]),
    ("StringFeatureType", "classifier", &[2, 10, 3, 3]),
    ("Int64FeatureType", "classifier_ints", &[2, 10, 3, 1]),
    ("ArrayFeatureType.EnumeratedShapes", "enumerated", &[2, 1, 3, 5, 21]),
    ("ArrayFeatureType.Shape", "enumerated", &[2, 1, 3, 5, 21, 1]),
    ("ArrayFeatureType.ShapeRange", "ranges", &[2, 1, 3, 5, 31]),
    ("SizeRange", "ranges", &[2, 1, 3, 5, 31, 1]),
    ("MILSpec.Program", "perceptron", &[502]),
    ("a map entry", "perceptron", &[502, 2]),
    ("MILSpec.Function", "perceptron", &[502, 2, 2]),
    ("MILSpec.NamedValueType", "perceptron", &[502, 2, 2, 1]),
    ("MILSpec.ValueType", "perceptron", &[502, 2, 2, 1, 2]),
    ("MILSpec.TensorType", "perceptron", &[502, 2, 2, 1, 2, 1]),
    ("MILSpec.Dimension", "perceptron", &[502, 2, 2, 1, 2, 1, 3]),
    ("MILSpec.Dimension.ConstantDimension", "perceptron", &[502, 2, 2, 1, 2, 1, 3, 1]),
    ("MILSpec.Dimension.UnknownDimension", "flexible", &[502, 2, 2, 1, 2, 1, 3, 2]),
    ("MILSpec.StateType", "state_only", &[502, 2, 2, 1, 2, 5]),
    ("MILSpec.ListType", "list", &[502, 2, 2, 1, 2, 2]),
    ("MILSpec.DictionaryType", "dict", &[502, 2, 2, 1, 2, 4]),
    ("MILSpec.Block", "perceptron", &[502, 2, 2, 3, 2]),
    ("MILSpec.Operation", "perceptron", &[502, 2, 2, 3, 2, 3]),
    ("MILSpec.Value", "perceptron", &[502, 2, 2, 3, 2, 3, 5, 2]),
    ("MILSpec.Value.ImmediateValue", "immediate", &[502, 2, 2, 3, 2, 3, 5, 2, 3]),
    ("MILSpec.TensorValue", "immediate", &[502, 2, 2, 3, 2, 3, 5, 2, 3, 1]),
    ("MILSpec.TensorValue.RepeatedStrings", "immediate", &[502, 2, 2, 3, 2, 3, 5, 2, 3, 1, 4]),
    ("MILSpec.Argument", "argument", &[502, 2, 2, 3, 2, 3, 2, 2]),
    ("MILSpec.Argument.Binding", "argument", &[502, 2, 2, 3, 2, 3, 2, 2, 1]),
];

/// The model that a place is in: a golden package, or one put together for messages that are hard to reach there.
fn model(name: &str) -> (Vec<u8>, BTreeMap<String, BlobFile>) {
    use common::message as m;
    let relu = || m::relu("x", "y");
    let typed = |ty: Message| {
        let function = message()
            .nest(1, m::named("f", ty))
            .nest(1, m::named("x", m::tensor(m::FP32, &[1, 4])))
            .bytes(2, "CoreML6")
            .entry(3, "CoreML6", m::block(&[relu()], &["y"]));
        m::model(m::description(), m::program(function))
    };
    let bytes = match name {
        "flexible" => typed(
            m::message().nest(1, message().int(1, m::FP32).int(2, 1).nest(3, message().nest(2, message()))),
        ),
        "state_only" => typed(message().nest(5, message().nest(1, m::tensor(m::FP16, &[1])))),
        "list" => typed(
            message()
                .nest(2, message().nest(1, m::tensor(m::FP32, &[1])).nest(2, message().nest(2, message()))),
        ),
        "dict" => {
            typed(message().nest(4, message().nest(1, m::tensor(m::STRING, &[])).nest(2, m::tensor(12, &[]))))
        }
        "immediate" => m::with(&[m::constant("c", m::tensor(m::STRING, &[]), m::text("c"))]),
        "argument" => m::with(&[]),
        _ => {
            let folder = common::path(name).join("Data/com.apple.CoreML");
            let weights = match std::fs::read(folder.join("weights/weight.bin")) {
                Ok(bytes) => BTreeMap::from([(
                    "@model_path/weights/weight.bin".to_string(),
                    BlobFile::new(Arc::new(bytes)).unwrap(),
                )]),
                Err(_) => BTreeMap::new(),
            };
            return (std::fs::read(folder.join("model.mlmodel")).unwrap(), weights);
        }
    };
    (bytes, BTreeMap::new())
}

fn number(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The message with a strange field added to the first one at `place`; `None` when there is none.
fn with_strange_field(bytes: &[u8], place: &[u64]) -> Option<Message> {
    let Some((&wanted, inner)) = place.split_first() else {
        return Some(Message(bytes.to_vec()).int(STRANGE, 1));
    };
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let key = number(bytes, &mut at);
        match key & 7 {
            0 => drop(number(bytes, &mut at)),
            1 => at += 8,
            5 => at += 4,
            _ => {
                let len = number(bytes, &mut at) as usize;
                let content = &bytes[at..at + len];
                at += len;
                if key >> 3 == wanted
                    && let Some(changed) = with_strange_field(content, inner)
                {
                    let before = Message(bytes[..start].to_vec());
                    return Some(before.nest(wanted, changed).then(Message(bytes[at..].to_vec())));
                }
            }
        }
    }
    None
}

#[test]
fn unknown_fields_are_refused_everywhere() {
    let mut seen = BTreeSet::new();
    for &(name, package, place) in PLACES {
        let (bytes, weights) = model(package);
        let sound = Package::from_bytes(bytes.clone(), weights.clone()).and_then(|package| package.program());
        assert!(sound.is_ok(), "{package}: {sound:?}");
        let changed = with_strange_field(&bytes, place).unwrap_or_else(|| panic!("{package} has no {name}"));
        let error = Package::from_bytes(changed.0, weights).and_then(|package| package.program());
        match error {
            Err(Error::UnknownField { message, field, .. }) => {
                assert_eq!((message, u64::from(field)), (name, STRANGE), "{package}");
            }
            other => panic!("{name} in {package}: {other:?}"),
        }
        seen.insert(name);
    }
    // Messages that a program never brings, and those that are read by the same code as one above.
    let exempt = [
        "MILSpec.TupleType",
        "MILSpec.TupleValue",
        "SequenceFeatureType",
        "DictionaryFeatureType",
        "ImageFeatureType.ImageSize",
        "ImageFeatureType.EnumeratedImageSizes",
        "ImageFeatureType.ImageSizeRange",
        "MILSpec.Value.BlobFileValue",
        "MILSpec.ListValue",
        "MILSpec.DictionaryValue",
        "MILSpec.DictionaryValue.KeyValuePair",
        "MILSpec.TensorValue.RepeatedFloats",
        "MILSpec.TensorValue.RepeatedDoubles",
        "MILSpec.TensorValue.RepeatedInts",
        "MILSpec.TensorValue.RepeatedLongInts",
        "MILSpec.TensorValue.RepeatedBools",
        "MILSpec.TensorValue.RepeatedBytes",
        "SerializedModel",
        "Pipeline",
        "PipelineClassifier",
        "PipelineRegressor",
    ];
    for message in MESSAGES {
        assert!(
            seen.contains(message.name) || exempt.contains(&message.name),
            "no place for {}",
            message.name
        );
    }
}

#[test]
fn the_error_says_where_and_what() {
    let (bytes, weights) = model("perceptron");
    let changed = with_strange_field(&bytes, &[502, 2, 2, 3, 2, 3]).unwrap();
    let error = Package::from_bytes(changed.0, weights).unwrap().program().unwrap_err().to_string();
    let start = "model.mlmodel: function `main` / operation 0 (const): field 4095 of message MILSpec.Operation is not known";
    assert!(error.starts_with(start), "{error}");
}
