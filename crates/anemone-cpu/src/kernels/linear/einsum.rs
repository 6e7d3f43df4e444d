//! `einsum`: a batched matrix product where the equation is one, loops otherwise.

use super::{elements, elements_mut, gemm_failed};
use crate::gemm::{self, Arithmetic, BatchDim, GemmOptions, MatMut, MatRef};
use crate::kernels::{Call, Float, KernelResult, Lowered, operand, parallel, unsupported};
use mil::ops::linear::einsum::geometry;
use mil::{InferError, OpView};

/// One label of the equation.
#[derive(Clone, Debug)]
struct Label {
    size: usize,
    /// Step in each operand; 0 where it has no such dimension or is stretched.
    inputs: Vec<usize>,
    /// Step in the output, if it has the dimension.
    output: Option<usize>,
}

pub(super) fn lower(op: &OpView<'_>, arithmetic: Arithmetic) -> Result<Lowered, InferError> {
    let labels = labels(op)?;
    let first = operand(op, "values")?;
    if let Some(product) = Product::of(&labels) {
        return Ok(Lowered::new(move |call| product.run(call, first, arithmetic)));
    }
    let tensor = op.function.tensor(op.values("values")[0]);
    match tensor.dtype {
        mil::DataType::Fp32 => Ok(loops::<f32>(labels, first)),
        mil::DataType::Fp16 => Ok(loops::<half::f16>(labels, first)),
        _ => Err(unsupported("values", tensor)),
    }
}

/// Whether an equation is one batched matrix product.
pub(crate) fn is_product(op: &OpView<'_>) -> bool {
    labels(op).is_ok_and(|labels| Product::of(&labels).is_some())
}

fn labels(op: &OpView<'_>) -> Result<Vec<Label>, InferError> {
    let (equation, sizes) = geometry(op)?;
    let operands = equation.inputs.len();
    let mut labels: Vec<Label> =
        sizes.into_iter().map(|size| Label { size, inputs: vec![0; operands], output: None }).collect();
    for (index, (names, &value)) in equation.inputs.iter().zip(op.values("values")).enumerate() {
        let shape = op.function.shape(value);
        for ((&name, &dim), stride) in names.iter().zip(shape.iter()).zip(shape.strides()) {
            // A label that stands twice steps along the diagonal.
            labels[name].inputs[index] += if dim == 1 { 0 } else { stride };
        }
    }
    for (&name, stride) in equation.output.iter().zip(op.output(0).shape.strides()) {
        labels[name].output = Some(stride);
    }
    Ok(labels)
}

/// An equation of two operands that is one batched matrix product.
struct Product {
    m: Label,
    k: Label,
    n: Label,
    batch: Vec<BatchDim>,
}

impl Product {
    fn of(labels: &[Label]) -> Option<Product> {
        let unit = || Label { size: 1, inputs: vec![0, 0], output: Some(0) };
        let (mut m, mut k, mut n, mut batch) = (unit(), unit(), unit(), Vec::new());
        for label in labels.iter().filter(|label| label.size != 1) {
            let &[a, b] = &label.inputs[..] else { return None };
            match (label.output, a, b) {
                (None, 0, _) | (None, _, 0) => return None,
                (None, ..) if k.size == 1 => k = label.clone(),
                (None, ..) => return None,
                (Some(_), _, 0) if m.size == 1 && a != 0 => m = label.clone(),
                (Some(_), 0, _) if n.size == 1 && b != 0 => n = label.clone(),
                (Some(c), ..) => batch.push(BatchDim { count: label.size, a, b, c }),
            }
        }
        (labels.iter().all(|label| label.inputs.len() == 2)).then_some(Product { m, k, n, batch })
    }

    fn run(&self, call: &mut Call<'_>, first: usize, arithmetic: Arithmetic) -> KernelResult {
        let Product { m, k, n, batch } = self;
        let (x, y) = (elements(&call.inputs[first]), elements(&call.inputs[first + 1]));
        let a = MatRef::new(x, [m.size, k.size], [m.inputs[0], k.inputs[0]]).map_err(gemm_failed)?;
        let b = MatRef::new(y, [k.size, n.size], [k.inputs[1], n.inputs[1]]).map_err(gemm_failed)?;
        let strides = [m.output.unwrap_or(0), n.output.unwrap_or(0)];
        let c = MatMut::new(elements_mut(&mut call.outputs[0]), [m.size, n.size], strides)
            .map_err(gemm_failed)?;
        let options = GemmOptions { batch, arithmetic, ..GemmOptions::default() };
        gemm::gemm(a, b, c, &options).map_err(gemm_failed)
    }
}

/// Every output element on its own; summed labels in order of appearance, the last one fastest.
fn loops<T: Float>(labels: Vec<Label>, first: usize) -> Lowered {
    let (mut kept, summed): (Vec<Label>, Vec<Label>) =
        labels.into_iter().partition(|label| label.output.is_some());
    kept.sort_by_key(|label| std::cmp::Reverse(label.output));
    let terms: usize = summed.iter().map(|label| label.size).product();
    Lowered::new(move |call| {
        let inputs = &call.inputs[first..];
        parallel::rows(call.outputs[0].slice::<T>(), 1, terms.saturating_mul(4 * inputs.len()), |at, out| {
            let mut sum = 0.0;
            for term in 0..terms {
                let factor = |(index, input): (usize, &crate::kernels::In<'_>)| {
                    let offset = offset(&kept, at, index) + offset(&summed, term, index);
                    input.slice::<T>()[offset].to_f32()
                };
                sum += inputs.iter().enumerate().map(factor).product::<f32>();
            }
            out[0] = T::from_f32(sum);
        });
        Ok(())
    })
}

fn offset(labels: &[Label], mut at: usize, index: usize) -> usize {
    let mut offset = 0;
    for label in labels.iter().rev() {
        offset += at % label.size * label.inputs[index];
        at /= label.size;
    }
    offset
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    /// The equation by definition, with sizes by letter.
    fn check(equation: &str, sizes: &[(char, usize)]) {
        let size = |letter: char| sizes.iter().find(|(l, _)| *l == letter).unwrap().1;
        let (inputs, output) = equation.split_once("->").unwrap();
        let mut case = Case::new("einsum");
        let terms: Vec<(Vec<char>, Vec<f64>)> = inputs
            .split(',')
            .map(|term| {
                let shape: Vec<usize> = term.chars().map(size).collect();
                (term.chars().collect(), case.float("values", &shape))
            })
            .collect();
        case.string("equation", equation);
        let letters: Vec<char> = {
            let mut all: Vec<char> = output.chars().collect();
            all.extend(inputs.chars().filter(|l| *l != ',' && !output.contains(*l)));
            let mut seen = Vec::new();
            all.retain(|l| {
                !seen.contains(l) && {
                    seen.push(*l);
                    true
                }
            });
            all
        };
        let total: usize = letters.iter().map(|&l| size(l)).product();
        let kept: usize = output.chars().map(size).product();
        let mut want = vec![0.0; kept];
        for step in 0..total {
            let mut rest = step;
            let mut at = vec![0; letters.len()];
            for (i, &letter) in letters.iter().enumerate().rev() {
                at[i] = rest % size(letter);
                rest /= size(letter);
            }
            let index = |names: &[char]| {
                names.iter().fold(0, |offset, name| {
                    offset * size(*name) + at[letters.iter().position(|l| l == name).unwrap()]
                })
            };
            want[step / (total / kept)] +=
                terms.iter().map(|(names, data)| data[index(names)]).product::<f64>();
        }
        case.check(&want, Tolerance::SUM);
    }

    #[test]
    fn equations_by_definition() {
        let sizes = [('n', 2), ('c', 3), ('h', 4), ('w', 5), ('u', 6), ('r', 7)];
        for equation in [
            "nchw,nwhu->nchu",
            "chw,whr->chr",
            "nc,cw->nw",
            "nc,wc->wn",
            "nchw,cw->nh",
            "nc->cn",
            "nn->n",
            "nc,c->n",
            "nc,nc,cw->nw",
            "n,c->nc",
        ] {
            check(equation, &sizes);
        }
    }
}
