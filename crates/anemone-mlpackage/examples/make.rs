//! Makes packages from nothing: `cargo run -p anemone-mlpackage --example make -- FOLDER`.

use anemone_mlpackage::{ColorSpace, FeatureType, ImageFeature, ImageFlexibility, Package, WriteOptions};
use mil::{BuildError, Constant, DataType, Function, FunctionBuilder, Opset, Program, TensorType, UNKNOWN};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: make FOLDER")?;
    let folder = Path::new(&folder);
    for opset in Opset::ALL {
        write(folder, &format!("vision_{opset}"), Program::single(vision(opset)?), |package| {
            package.description.metadata.author = "Ada".into();
            package.description.functions[0].inputs[0].ty = FeatureType::Image(ImageFeature {
                width: 8,
                height: 8,
                flexibility: ImageFlexibility::Fixed,
                color_space: ColorSpace::Rgb,
            });
        })?;
    }
    write(folder, "counter", Program::single(counter()?), |_| ())?;
    let two =
        Program { functions: vec![scaled("zeta", 2.0)?, scaled("adapter", 3.0)?], build_info: Vec::new() };
    write(folder, "two", two, |_| ())?;
    write(folder, "loops", Program::single(loops()?), |_| ())?;
    write(folder, "labels", Program::single(labels()?), |_| ())?;
    write(folder, "flexible", Program::single(flexible()?), |package| {
        if let FeatureType::Array(array) = &mut package.description.functions[0].inputs[0].ty
            && let anemone_mlpackage::ArrayFlexibility::Ranges(ranges) = &mut array.flexibility
        {
            ranges[1].upper = Some(16);
        }
    })?;
    write(folder, "constants", Program::single(constants()?), |_| ())?;
    Ok(())
}

fn write(
    folder: &Path,
    name: &str,
    program: Program,
    describe: impl FnOnce(&mut Package),
) -> Result<(), Box<dyn Error>> {
    let program = mil::verify(program).map_err(|faults| format!("{name}: {}", faults[0]))?;
    let mut package = Package::new(program)?;
    describe(&mut package);
    package.write(folder.join(name).with_extension("mlpackage"), WriteOptions { overwrite: true })?;
    Ok(())
}

fn ramp(shape: &[usize]) -> Result<Constant, BuildError> {
    let count = shape.iter().product::<usize>();
    Ok(Constant::new(shape, (0..count).map(|i| i as f32 / 8.0 - 1.0).collect())?)
}

/// A convolution, a pool and a softmax, with every default left out.
fn vision(opset: Opset) -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", opset);
    let x = f.input("image", TensorType::fp32([1, 3, 8, 8]))?;
    let weight = f.constant(ramp(&[4, 3, 3, 3])?);
    let y = f.op("conv").arg("x", x).arg("weight", weight).named("features").one()?;
    let y = f.op("relu").arg("x", y).one()?;
    let y = f.op("max_pool").arg("x", y).ints("kernel_sizes", &[2, 2]).string("pad_type", "valid").one()?;
    let y = f.op("reduce_mean").arg("x", y).ints("axes", &[2, 3]).one()?;
    let y = f.op("concat").args("values", &[y, y]).int("axis", 1).one()?;
    let y = f.op("softmax").arg("x", y).named("y").one()?;
    f.finish(&[y])
}

/// A state that is read, written, and written again with a result that nobody reads.
fn counter() -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp16([1, 4]))?;
    let total = f.state("total", TensorType::fp16([1, 4]))?;
    let old = f.op("read_state").arg("input", total).one()?;
    let sum = f.add(x, old)?;
    let kept = f.op("coreml_update_state").arg("state", total).arg("value", sum).named("kept").one()?;
    let y = f.mul(kept, 2.0)?;
    f.op("coreml_update_state").arg("state", total).arg("value", y).named("twice").one()?;
    f.finish(&[y])
}

fn scaled(name: &str, factor: f32) -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new(name, Opset::Ios18);
    let x = f.input("x", TensorType::fp16([2, 8]))?;
    let y = f.mul(x, factor)?;
    f.finish(&[y])
}

/// A loop with a branch in it; constants are used on several levels.
fn loops() -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios17);
    let x = f.input("x", TensorType::fp32([1, 12]))?;
    let (zero, step) = (f.int(0), f.constant(ramp(&[12])?));
    let turns = f.while_loop(
        &[zero, x],
        |f, vars| {
            let limit = f.int(3);
            f.less(vars[0], limit)
        },
        |f, vars| {
            let (one, two) = (f.int(1), f.int(2));
            let late = f.greater(vars[0], two)?;
            let grown =
                f.cond(late, |f| Ok(vec![f.add(vars[1], step)?]), |f| Ok(vec![f.mul(vars[1], step)?]))?;
            Ok(vec![f.add(vars[0], one)?, grown[0]])
        },
    )?;
    let y = f.add(turns[1], step)?;
    f.finish(&[y])
}

fn labels() -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios16);
    let x = f.input("x", TensorType::fp32([1, 3]))?;
    let y = f.op("softmax").arg("x", x).one()?;
    let names = Constant::strings([3], ["cat", "dog", "écureuil"].map(String::from).to_vec())?;
    let found = f.op("classify").arg("probabilities", y).constant("classes", names).named("label").many()?;
    f.finish(&found)
}

fn flexible() -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios17);
    let ty = TensorType::fp32([1, UNKNOWN, 4]);
    let x = f.input("x", ty.clone())?;
    let y = f.op("relu").arg("x", x).declared(&[ty.into()]).one()?;
    f.finish(&[y])
}

/// Constants of every element type that data movement takes, in place and in the weight file.
fn constants() -> Result<Function, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([1, 4]))?;
    let mut outputs = vec![f.add(x, 1.0)?];
    for count in [3usize, 20] {
        let values = || (0..count as i32).map(|i| i * 5 - 7);
        let all = [
            Constant::new([count], values().map(|v| v as f32).collect())?,
            Constant::new([count], values().map(|v| v as i8).collect())?,
            Constant::new([count], values().map(|v| v.unsigned_abs() as u8).collect())?,
            Constant::new([count], values().map(|v| v as i16).collect())?,
            Constant::new([count], values().map(|v| v.unsigned_abs() as u16).collect())?,
            Constant::new([count], values().collect())?,
            Constant::bools([count], &values().map(|v| v > 0).collect::<Vec<_>>())?,
        ];
        for constant in all {
            let id = f.constant(constant);
            let first = f.op("slice_by_size").arg("x", id).ints("begin", &[1]).ints("size", &[2]).one()?;
            let name = DataType::Fp32.name();
            outputs.push(f.op("cast").arg("x", first).string("dtype", name).one()?);
        }
    }
    f.finish(&outputs)
}
