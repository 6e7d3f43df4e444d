//! Reads packages and writes them again under the same names in another folder:
//! `cargo run -p anemone-mlpackage --example rewrite -- a.mlpackage b.mlpackage FOLDER`.

use anemone_mlpackage::{Package, WriteOptions};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((folder, packages)) = arguments.split_last() else {
        return Err("usage: rewrite PACKAGE... FOLDER".into());
    };
    for path in packages {
        let name = Path::new(path).file_stem().ok_or("a package needs a name")?;
        let target = Path::new(folder).join(name).with_extension("mlpackage");
        let package = Package::open(path)?;
        // What a pass would do: take the program out, change it, put it back. Here it goes back as it is.
        mil::verify(package.program()?).map_err(|faults| format!("{path}: {}", faults[0]))?;
        package.write(&target, WriteOptions { overwrite: true })?;
    }
    Ok(())
}
