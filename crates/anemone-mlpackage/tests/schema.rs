//! The table of field numbers against the descriptors in Apple's own wheel (`tests/packages/descriptors.json`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use anemone_mlpackage::proto::schema::MESSAGES;
use std::collections::BTreeMap;

/// Messages of the three files that belong to other kinds of models.
const OTHERS: [&str; 4] = ["Pipeline", "PipelineClassifier", "PipelineRegressor", "SerializedModel"];

#[test]
fn field_numbers_are_apples() {
    let text = std::fs::read(common::folder().join("descriptors.json")).unwrap();
    let apple: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_slice(&text).unwrap();
    let ours: BTreeMap<String, BTreeMap<String, String>> = MESSAGES
        .iter()
        .map(|message| {
            let fields = message.fields.iter().map(|(number, name)| (number.to_string(), name.to_string()));
            (message.name.to_string(), fields.collect())
        })
        .collect();
    for (name, fields) in &apple {
        if OTHERS.contains(&name.as_str()) {
            assert!(!ours.contains_key(name));
            continue;
        }
        assert_eq!(ours.get(name), Some(fields), "{name}");
    }
    assert_eq!(ours.len() + OTHERS.len(), apple.len());
}
