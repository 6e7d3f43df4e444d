//! What every program is held to: element types, shapes, sizes, constants.

use super::declare::{Rule, STUDY_OPS, Scope, Severity};
use super::site::{Hit, Site, ValueSite};
use crate::facts::{ANEFORGE, COREMLTOOLS, Cite, Conflict, Grade, MADERIX, NOWHERE};
use mil::{DataType, UNKNOWN};

const TYPES: Cite = Cite::of(&ANEFORGE, "element types of inputs and outputs");
const PREFLIGHT: Cite = Cite::of(&ANEFORGE, "preflight, family limits");

/// The rule about types of inputs and outputs.
pub(super) const IO_TYPE: &str = "io-type";
/// The rule about whole numbers.
pub(super) const INTEGERS: &str = "integer-compute";

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(IO_TYPE, &[], Severity::Refused, Scope::EVERYWHERE, TYPES, |_| None)
        .says(
            "an input, output or state of a type that the engine does not take",
            "fp16, int8, uint8, int16 or uint16",
            "give and take fp16; what works with indices or truth values belongs outside",
        )
        .of_values(io_type),
    Rule::on("border-cast", &["cast"], Severity::Note, Scope::EVERYWHERE, TYPES, |site| {
        site.is_border_cast().then(|| Hit::new("fp32 at the border"))
    })
    .says(
        "Core ML converts fp32 at the border outside of the engine; programs that are given to the engine \
         directly must take fp16",
        "fp16 inputs and outputs",
        "`anemone export --io fp16`",
    )
    .but(&[Conflict { claim: "fp32 works on the private route from M3 on", cite: Cite::of(&MADERIX, "PR #6") }])
    .once(),
    Rule::on(
        "fp32-compute",
        &[],
        Severity::Refused,
        Scope::EVERYWHERE,
        TYPES,
        |site| {
            let float = |id: mil::ValueId| site.op.function.dtype(id) == DataType::Fp32;
            let computes = site.op.operation.outputs.iter().any(|&id| float(id))
                || site.op.operands().any(|(_, id)| float(id) && !site.graph.is_known(id));
            (computes && !site.is_border_cast() && !site.is_constant_work()).then(|| Hit::new("fp32"))
        },
    )
    .says(
        "the engine computes in fp16: Core ML runs fp32 operations on the GPU or CPU, and the engine's compiler \
         refuses them",
        "fp16",
        "export in fp16 (`anemone export`), or `anemone convert --dtype fp16` (the pass `to_fp16`)",
    )
    .once(),
    Rule::on(INTEGERS, &[], Severity::Refused, Scope::EVERYWHERE, STUDY_OPS, integers)
        .says(
            "int32 values are not computed on the engine",
            "fp16",
            "work out indices outside, or in fp16 up to 2048",
        )
        .once(),
    Rule::on("open-shape", &[], Severity::Refused, Scope::EVERYWHERE, TYPES, |_| None)
        .says(
            "shapes that are not fixed",
            "fixed shapes",
            "bind the open dimensions, one program for each size (`anemone convert --shape`)",
        )
        .of_values(|site| (!site.shape().iter().all(|&dim| dim != UNKNOWN)).then(|| {
            Hit::new(format!("{}", site.graph.function.shape(site.id)))
        }))
        .but(&[Conflict {
            claim: "Core ML takes enumerated shapes to the engine, one at a time",
            cite: Cite::of(&COREMLTOOLS, "#2370, #1764"),
        }])
        .once(),
    Rule::on("rank", &[], Severity::Refused, Scope::EVERYWHERE, PREFLIGHT, |_| None)
        .says("too many dimensions", "", "merge dimensions by a reshape")
        .graded(Grade::Derived)
        .of_values(|site| {
            let (rank, most) = (site.shape().len(), site.graph.limits.rank.count()?);
            (rank > most).then(|| Hit::over(format!("rank {rank}"), format!("at most {most}")))
        }),
    Rule::on(
        "matrix-rank",
        &["matmul", "transpose"],
        Severity::Risk,
        Scope::EVERYWHERE,
        PREFLIGHT,
        |site| {
            let rank = site.shape("x").len().max(site.shape("y").len());
            let most = site.graph.limits.matrix_rank.count()?;
            (rank > most && site.graph.limits.rank.count().is_some_and(|limit| rank <= limit))
                .then(|| Hit::over(format!("rank {rank}"), format!("at most {most}")))
        },
    )
    .says("too many dimensions for a product or a transpose", "", "merge dimensions by a reshape")
    .graded(Grade::Derived),
    Rule::on("dimension", &[], Severity::Refused, Scope::EVERYWHERE, PREFLIGHT, |_| None)
        .says(
            "a tensor is too long along an axis",
            "",
            "split it into parts that are outputs of their own, or fold the axis into another",
        )
        .graded(Grade::Vendor)
        .but(&[Conflict {
            claim: "dimensions above 16384 are unsupported",
            cite: Cite::of(&COREMLTOOLS, "sam-cpp-macos #13, onnxruntime #19543"),
        }])
        .of_values(dimension),
    Rule::on("constant-work", &[], Severity::Note, Scope::EVERYWHERE, NOWHERE, |site| {
        let plain = site.op.operation.op.family != mil::Family::Constexpr;
        (site.is_constant_work() && plain).then(|| Hit::new("constants"))
    })
    .says(
        "operations on constants alone are left to Apple's compiler, which may or may not fold them",
        "constants",
        "fold them before (`anemone export` does)",
    )
    .graded(Grade::Unknown)
    .once(),
    Rule::on(
        "infinite-constant",
        &[],
        Severity::Wrong,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "no infinities: mul(inf, x) = -52416, log(inf) = 0"),
        infinite,
    )
    .says(
        "infinities are not computed with as IEEE says",
        "finite numbers, up to 65504",
        "mask with -30000 in place of minus infinity",
    )
    .once(),
    Rule::on("empty-tensor", &[], Severity::Unknown, Scope::EVERYWHERE, NOWHERE, |_| None)
        .says(
            "no source says what the engine does with tensors without elements",
            "one element",
            "leave the empty part out",
        )
        .graded(Grade::Unknown)
        .of_values(|site| {
            site.shape().contains(&0).then(|| Hit::new(format!("{}", site.graph.function.shape(site.id))))
        })
        .once(),
    Rule::on("passthrough", &[], Severity::Refused, Scope::EVERYWHERE, Cite::of(&ANEFORGE, "walls"), |_| None)
        .says("an output that is an input crashes the compiler", "an output that is computed", "multiply by 1")
        .of_values(|site| {
            (site.is_input() && site.graph.is_output(site.id)).then(|| Hit::new("an input that is an output"))
        }),
];

fn taken(dtype: DataType) -> bool {
    matches!(dtype, DataType::Fp16 | DataType::Int8 | DataType::Uint8 | DataType::Int16 | DataType::Uint16)
}

fn io_type(site: &ValueSite<'_>) -> Option<Hit> {
    let dtype = site.dtype();
    if taken(dtype) || !(site.is_input() || site.graph.is_output(site.id)) || !site.graph.is_live(site.id) {
        return None;
    }
    // fp32 that is converted right at the border is told as that.
    let converted = |user: &mil::Operation| {
        Site { graph: site.graph, op: site.graph.function.view(user) }.is_border_cast()
    };
    let border = dtype == DataType::Fp32
        && match site.is_input() {
            true => site.graph.uses(site.id).all(converted),
            false => site.graph.definition(site.id).is_some_and(converted),
        };
    let kind = match (site.graph.function.ty(site.id).is_state(), site.is_input()) {
        (true, _) => "state",
        (false, true) => "input",
        (false, false) => "output",
    };
    (!border).then(|| Hit::new(format!("{kind} of {dtype}")))
}

fn integers(site: &Site<'_>) -> Option<Hit> {
    let integer = |id: mil::ValueId| {
        matches!(site.op.function.dtype(id), DataType::Int32 | DataType::Uint32 | DataType::Int64)
            && !site.graph.is_known(id)
            && site.graph.is_live(id)
    };
    let computed = site.op.operation.outputs.iter().any(|&id| integer(id))
        || site.op.operands().any(|(_, id)| integer(id));
    computed.then(|| Hit::new("int32"))
}

fn dimension(site: &ValueSite<'_>) -> Option<Hit> {
    let (shape, limits) = (site.shape(), site.graph.limits);
    let (spatial, channels) = (limits.spatial.count()?, limits.channels.count()?);
    let over = shape.iter().enumerate().find(|&(axis, &dim)| {
        let most = if axis + 2 >= shape.len() { spatial } else { channels };
        dim != UNKNOWN && dim > most
    });
    let (axis, _) = over?;
    let most = if axis + 2 >= shape.len() { spatial } else { channels };
    Some(Hit::over(format!("{}, axis {axis}", site.graph.function.shape(site.id)), format!("at most {most}")))
}

fn infinite(site: &Site<'_>) -> Option<Hit> {
    if site.is_constant_work() || !super::range::blends(site.op.operation) {
        return None;
    }
    let infinite = site.op.operands().any(|(_, id)| {
        let small = |constant: &mil::Constant| {
            constant.ty().dtype.is_float() && constant.ty().shape.count() <= super::range::MOST
        };
        // Bounds of a constant are those of its elements.
        site.op.function.constant(id).is_some_and(small) && site.graph.range(id).magnitude().is_infinite()
    });
    infinite.then(|| Hit::new("a constant with infinities"))
}

/// A family that takes no MIL.
pub(super) static NO_MIL: Rule =
    Rule::on("no-mil", &[], Severity::Refused, Scope::EVERYWHERE, Cite::of(&ANEFORGE, "targets"), |_| None)
        .says(
            "engines before H13 take no MIL: Core ML reaches them through its older formats only",
            "H13 (A14, M1) and later",
            "a chip from A14 or M1 on",
        )
        .graded(Grade::Vendor);

/// More constants than one program held.
pub(super) static PROGRAM_SIZE: Rule = Rule::on(
    "program-size",
    &[],
    Severity::Risk,
    Scope::EVERYWHERE,
    Cite::of(&ANEFORGE, "M5 Pro: 1.5 GB loads, 3.4 GB does not"),
    |_| None,
)
.says(
    "the constants may not fit in one program",
    "",
    "split it into programs of up to 1.5 GB, called in turn",
);

/// An op whose table entry refuses it.
pub(super) static UNSUPPORTED: Rule =
    Rule::on("unsupported-op", &[], Severity::Refused, Scope::EVERYWHERE, NOWHERE, |_| None).says(
        "the engine does not have the op",
        "",
        "",
    );

/// An op of which nobody says anything.
pub(super) static UNKNOWN_OP: Rule =
    Rule::on("unknown-op", &[], Severity::Unknown, Scope::EVERYWHERE, NOWHERE, |_| None)
        .says("no source says whether the engine has the op", "", "compile it on a device")
        .graded(Grade::Unknown);
