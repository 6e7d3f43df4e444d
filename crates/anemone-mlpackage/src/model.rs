//! The top of a model file: its version, its kind, its description, and where its program lies.

use crate::description::{self, Description};
use crate::error::{Error, Result};
use crate::proto::schema::{MESSAGES, model as m};
use crate::proto::wire::{Encoder, Fault, Fields, Read, Within, once};
use std::ops::Range;
use std::path::Path;

/// The parts of a model file. The program itself is not looked at.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) specification_version: i32,
    pub(crate) description: Description,
    /// Where the program lies in the file.
    pub(crate) program: Range<usize>,
}

/// Whether the first field is one that `Model` has: of other files hardly any. (Later versions put new fields last.)
fn begins_like_a_model(bytes: &[u8]) -> bool {
    let number = match *bytes {
        [] => return true,
        [low, high, ..] if low >= 0x80 && high < 0x80 => (u32::from(low & 0x7f) | u32::from(high) << 7) >> 3,
        [low, ..] => u32::from(low) >> 3,
    };
    matches!(number, m::SPECIFICATION_VERSION | m::DESCRIPTION) || kind_name(number).is_some()
}

/// Reads the top of a model file; refuses every kind of model but ML Programs.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Model> {
    let (kind, content) = kind(bytes).map_err(|fault| match begins_like_a_model(bytes) {
        true => Error::fault(path)(fault),
        false => Error::NotAModel {
            path: path.into(),
            message:
                "this is no Core ML model; models are .mlpackage, .mlmodel, .mlmodelc and MIL text (.mil)"
                    .into(),
        },
    })?;
    if kind != m::ML_PROGRAM {
        return Err(declined(kind, path));
    }
    let (specification_version, description) = top(bytes).map_err(Error::fault(path))?;
    // Both are parts of the same mapping.
    let start = content.as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(Model { specification_version, description, program: start..start + content.len() })
}

/// The field of `Model` that is set, and its content.
fn kind(bytes: &[u8]) -> Read<(u32, &[u8])> {
    let mut kind = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::SPECIFICATION_VERSION | m::DESCRIPTION | m::IS_UPDATABLE => {}
            number if kind_name(number).is_some() => once(&mut kind, &field, (number, field.bytes()?))?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    kind.ok_or_else(|| {
        Fault::new("this is no model: it holds neither an ML Program nor a model of another kind")
    })
}

fn top(bytes: &[u8]) -> Read<(i32, Description)> {
    let [mut version, mut updatable] = [None, None];
    let mut described = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::SPECIFICATION_VERSION => once(&mut version, &field, field.int32()?)?,
            m::DESCRIPTION => once(&mut described, &field, field.bytes()?)?,
            m::IS_UPDATABLE => once(&mut updatable, &field, i32::from(field.bool()?))?,
            _ => {}
        }
    }
    if updatable == Some(1) {
        return Err(Fault::new("it is marked as updatable, which ML Programs cannot be"));
    }
    // 0 is what a field that is not there reads as, and what is written of it.
    let version = version.filter(|&version| version > 0);
    let version = version.ok_or_else(|| Fault::new("its specification version is not given"))?;
    let described = described.ok_or_else(|| Fault::new("its description is missing"))?;
    Ok((version, description::read(described).within(|| "description")?))
}

/// Name of the kind of model that a field of `Model` holds.
fn kind_name(number: u32) -> Option<&'static str> {
    // The other fields are no kinds: version, description, updatability.
    let model = MESSAGES.iter().find(|message| message.name == m::MESSAGE)?;
    model.fields.iter().find(|(n, _)| *n == number && *n >= m::PIPELINE_CLASSIFIER).map(|(_, name)| *name)
}

fn declined(number: u32, path: &Path) -> Error {
    let kind = kind_name(number).unwrap_or("unknown");
    let message = match number {
        m::NEURAL_NETWORK | m::NEURAL_NETWORK_CLASSIFIER | m::NEURAL_NETWORK_REGRESSOR => format!(
            "this is a neural network in the layer format that came before MIL (`{kind}`), which is not supported; convert \
             the original model again with a deployment target of iOS 15 or later, which gives an ML Program"
        ),
        m::PIPELINE | m::PIPELINE_CLASSIFIER | m::PIPELINE_REGRESSOR => format!(
            "this is a pipeline of several models (`{kind}`), which is not supported; take the ML Program out of it with \
             coremltools (`spec.{kind}`) and save that"
        ),
        _ => format!(
            "this model is a `{kind}`, which is not supported; only ML Programs are (coremltools' `convert_to=\"mlprogram\"`)"
        ),
    };
    Error::Kind { path: path.into(), kind, message }
}

/// Reads what [`write_top`] wrote: the version and the description.
pub(crate) fn read_top(bytes: &[u8], path: &Path) -> Result<(i32, Description)> {
    let only_top = |bytes| -> Read<()> {
        for field in Fields::new(bytes) {
            let field = field?;
            if !matches!(field.number, m::SPECIFICATION_VERSION | m::DESCRIPTION) {
                return field.unknown(m::MESSAGE);
            }
        }
        Ok(())
    };
    only_top(bytes).and_then(|()| top(bytes)).map_err(Error::fault(path))
}

/// A model file without its program, for a program that is kept in another form.
pub(crate) fn write_top(specification_version: i32, description: &Description) -> Vec<u8> {
    top_of(specification_version, description).finish()
}

fn top_of(specification_version: i32, description: &Description) -> Encoder {
    let mut e = Encoder::default();
    e.signed(m::SPECIFICATION_VERSION, specification_version.into());
    e.message(m::DESCRIPTION, |e| description::write(description, e));
    e
}

/// Writes a model file.
pub(crate) fn write(specification_version: i32, description: &Description, program: &[u8]) -> Vec<u8> {
    let mut e = top_of(specification_version, description);
    e.bytes(m::ML_PROGRAM, program);
    e.finish()
}
