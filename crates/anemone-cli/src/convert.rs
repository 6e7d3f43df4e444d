//! `anemone convert`: from one form of a model to another.

use crate::args::{ConvertArgs, DialectName};
use crate::error::CliError;
use crate::output::Output;
use anemone::ane::chips::Chip;
use anemone::ane::legalize::{Change, legalize};
use anemone::ane::rules::{Severity, check};
use anemone::mil::text::{BlobWriter, Dialect, write_to};
use anemone::mil::{BuildError, Program, verify};
use anemone::mlpackage::{Package, WriteOptions};
use anemone::passes::{PrecisionOptions, compact, simplify, to_fp16};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Reads a model in any form and writes it as a package or as MIL text.
pub(crate) fn convert(args: &ConvertArgs, out: &mut Output) -> Result<(), CliError> {
    let mut package = Package::open(&args.model)?;
    if !args.shapes.is_empty() {
        crate::shapes::fix(&mut package, &args.shapes)?;
    }
    if args.dtype.is_some() {
        lower(&mut package)?;
    }
    let (changes, refused) = match &args.chip {
        Some(name) => rewrite(&mut package, name)?,
        None => (Vec::new(), 0),
    };
    let extension = args.output.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let written = match extension {
        "mlpackage" => {
            package.write(&args.output, WriteOptions { overwrite: args.force })?;
            vec![args.output.clone()]
        }
        "mil" => text(&package, args)?,
        _ => {
            return Err(CliError::usage(
                format!("{}: cannot tell the form from this name", args.output.display()),
                "a name that ends in .mlpackage or .mil",
            ));
        }
    };
    let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    out.json(&json!({"written": written, "rewritten": changes, "refused": refused}))?;
    out.say(&format!("wrote {}", written.join(" and ")))?;
    if let Some(name) = &args.chip {
        match changes.len() {
            0 => out.say(&format!("nothing to rewrite for {name}"))?,
            count => out.say(&format!(
                "{count} operation{} rewritten for {name}:",
                if count == 1 { "" } else { "s" }
            ))?,
        }
    }
    let mut told: Vec<(&Change, usize)> = Vec::new();
    for change in &changes {
        match told
            .iter_mut()
            .find(|(other, _)| (other.rule, other.op, other.into) == (change.rule, change.op, change.into))
        {
            Some((_, count)) => *count += 1,
            None => told.push((change, 1)),
        }
    }
    for (change, count) in told {
        out.say(&format!("  {count} x {} ({}): {}", change.op, change.rule, change.into))?;
    }
    if let (Some(name), 1..) = (&args.chip, refused) {
        out.say(&format!(
            "{refused} {} still refused: `anemone check {} --chips {name}` says what and why",
            if refused == 1 { "thing is" } else { "things are" },
            args.output.display()
        ))?;
    }
    Ok(())
}

/// Makes the program compute in `fp16`.
fn lower(package: &mut Package) -> Result<(), CliError> {
    let program = verify(package.program()?).map_err(anemone::ModelError::Invalid)?;
    let mut lowered = Program { functions: Vec::new(), build_info: program.build_info.clone() };
    for function in &program.functions {
        let failed = |error: BuildError| CliError::failed(format!("--dtype fp16: {error}"));
        let mut function = to_fp16(function, &PrecisionOptions::default()).map_err(failed)?;
        simplify(&mut function);
        lowered.functions.push(compact(&function));
    }
    package.set_program(verify(lowered).map_err(anemone::ModelError::Invalid)?);
    Ok(())
}

/// Rewrites the program for a chip; what it takes and gives stays. Returns the changes, and how much is still refused.
fn rewrite(package: &mut Package, chip: &str) -> Result<(Vec<Change>, usize), CliError> {
    let chip = Chip::named(chip).map_err(|error| CliError::usage(error.to_string(), "--for m1"))?;
    if chip.family().limits().is_none() {
        return Err(CliError::usage(
            format!("the engine of {} takes no MIL programs, so nothing can be written for it", chip.name),
            "a chip from A13 or M1 on: `anemone chips` lists them",
        ));
    }
    let program = verify(package.program()?).map_err(anemone::ModelError::Invalid)?;
    let (program, changes) = legalize(&program, chip).map_err(|error| CliError::failed(error.to_string()))?;
    let mut refused = 0;
    for function in &program.functions {
        let report = check(&program, Some(&function.name), chip)
            .map_err(|error| CliError::failed(error.to_string()))?;
        refused += report.of(Severity::Refused).map(|finding| finding.count).sum::<usize>();
    }
    package.set_program(program);
    Ok((changes, refused))
}

/// MIL text, and beside it a file with the weights if there are any, and one with what the text does not say of the model.
fn text(package: &Package, args: &ConvertArgs) -> Result<Vec<PathBuf>, CliError> {
    let program = package.program()?;
    // Text of a faulty program could not be read again.
    let program = verify(program).map_err(anemone::ModelError::Invalid)?;
    let weights = args.output.with_extension("weights.bin");
    let description = Package::description_path(&args.output);
    for path in [&args.output, &weights, &description] {
        if path.exists() && !args.force {
            return Err(CliError::failed_try(
                format!("{} exists already", path.display()),
                "--force to replace it",
            ));
        }
    }
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| CliError::failed(format!("{}: {error}", path.display()));
    let folder =
        args.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = || NamedTempFile::new_in(folder).map_err(|error| failed(folder, &error));
    let (text_file, weight_file) = (temporary()?, temporary()?);
    let name = weights.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut blobs = BlobWriter::new(BufWriter::new(weight_file), format!("@model_path/{name}"))
        .map_err(|error| failed(&weights, &error))?;
    let dialect = match args.dialect {
        Some(DialectName::Ios16) => Dialect::Ios16,
        Some(DialectName::Ios18) => Dialect::Ios18,
        None => Dialect::of(&program),
    };
    let mut text = BufWriter::new(text_file);
    write_to(&program, dialect, Some(&mut blobs), &mut text).map_err(|error| failed(&args.output, &error))?;
    text.flush().map_err(|error| failed(&args.output, &error))?;
    let any = blobs.count() > 0;
    let weight_file = blobs.finish().map_err(|error| failed(&weights, &error))?;
    let mut written = Vec::new();
    let persist = |file: NamedTempFile, path: &Path| -> Result<File, CliError> {
        file.as_file().sync_all().map_err(|error| failed(path, &error))?;
        file.persist(path).map_err(|error| failed(path, &error))
    };
    if any {
        let file = weight_file.into_inner().map_err(|error| failed(&weights, &error))?;
        persist(file, &weights)?;
        written.push(weights.clone());
    }
    match package.description_beside_text()? {
        Some(bytes) => {
            let mut file = temporary()?;
            file.write_all(&bytes).map_err(|error| failed(&description, &error))?;
            persist(file, &description)?;
            written.push(description);
        }
        // One that is there describes what is being replaced.
        None if description.exists() => {
            std::fs::remove_file(&description).map_err(|error| failed(&description, &error))?;
        }
        None => {}
    }
    // The text last: it is what refers to the weights.
    persist(text.into_inner().map_err(|error| failed(&args.output, &error))?, &args.output)?;
    written.insert(0, args.output.clone());
    Ok(written)
}
