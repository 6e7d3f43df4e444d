//! Matrix products.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::shapes;
use mil::ops::linear::einsum::Equation;
use mil::{BuildError, FunctionBuilder, Shape, ValueId};

pub(super) static RULES: &[(&str, Rule)] =
    &[("linear", Vjp(linear)), ("matmul", Vjp(matmul)), ("einsum", Vjp(einsum))];

/// `y = x wᵀ + b` with `x` `[*D, K]`, `w` `[N, K]`: one matrix product each, over all rows of `x` at once.
fn linear(g: &mut Gradient<'_>) -> Done {
    let (x, w, dy) = (g.arg("x")?, g.arg("weight")?, g.dy()?);
    let (x_shape, w_shape) = (g.shape(x), g.shape(w));
    let (n, k) = (w_shape[0], w_shape[1]);
    let rows = x_shape.count() / k.max(1);
    let dy2 = g.f.reshape(dy, &[rows, n])?;
    if g.wants("x") {
        let w = same_type(g, w, dy)?;
        let dx = g.f.matmul(dy2, w, false, false)?;
        let dx = g.f.reshape(dx, &x_shape)?;
        g.give("x", dx)?;
    }
    if g.wants("weight") {
        let x2 = g.f.reshape(x, &[rows, k])?;
        let dw = g.f.matmul(dy2, x2, true, false)?;
        g.give("weight", dw)?;
    }
    if g.wants("bias") {
        let db = g.f.reduce("reduce_sum", dy2, &[0], false)?;
        g.give("bias", db)?;
    }
    Ok(())
}

fn same_type(g: &mut Gradient<'_>, value: ValueId, like: ValueId) -> Result<ValueId, RuleError> {
    let dtype = g.dtype(like);
    Ok(g.f.cast(value, dtype)?)
}

/// The operands of a product as matrices: rank 2 or more.
struct Product {
    x: ValueId,
    y: ValueId,
    /// Cotangent, `[batch…, M, N]`.
    dz: ValueId,
    transpose_x: bool,
    transpose_y: bool,
}

fn matmul(g: &mut Gradient<'_>) -> Done {
    let (x, y, dz) = (g.arg("x")?, g.arg("y")?, g.dy()?);
    let (x_shape, y_shape) = (g.shape(x), g.shape(y));
    let matrix = |shape: &Shape, row: bool| match (shape.rank(), row) {
        (1, true) => Shape::new(&[1, shape[0]]),
        (1, false) => Shape::new(&[shape[0], 1]),
        _ => shape.clone(),
    };
    // Vectors have no transposition.
    let transpose_x = g.view().bool("transpose_x")? && x_shape.rank() > 1;
    let transpose_y = g.view().bool("transpose_y")? && y_shape.rank() > 1;
    let (x_matrix, y_matrix) = (matrix(&x_shape, true), matrix(&y_shape, false));
    let mut dz_shape = g.shape(dz);
    if x_shape.rank() == 1 {
        let at = dz_shape.rank() - usize::from(y_shape.rank() > 1);
        dz_shape.dims_mut().insert(at, 1);
    }
    if y_shape.rank() == 1 {
        dz_shape.dims_mut().push(1);
    }
    let (x, y) = (same_type(g, x, dz)?, same_type(g, y, dz)?);
    let product = Product {
        x: g.f.reshape(x, &x_matrix)?,
        y: g.f.reshape(y, &y_matrix)?,
        dz: g.f.reshape(dz, &dz_shape)?,
        transpose_x,
        transpose_y,
    };
    if g.wants("x") {
        let dx = product.dx(g.f)?;
        let dx = g.f.reshape(dx, &x_shape)?;
        g.give("x", dx)?;
    }
    if g.wants("y") {
        let dy = product.dy(g.f)?;
        let dy = g.f.reshape(dy, &y_shape)?;
        g.give("y", dy)?;
    }
    Ok(())
}

impl Product {
    fn dx(&self, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        let shape = f.function().shape(self.x).clone();
        let plain = |f: &mut FunctionBuilder, dz, y| {
            if self.transpose_x {
                f.matmul(y, dz, self.transpose_y, true)
            } else {
                f.matmul(dz, y, false, !self.transpose_y)
            }
        };
        if is_shared(f, self.y, self.dz) && !self.transpose_x && shape.rank() == rank(f, self.dz) {
            // One weight for all batches: one product over all their rows.
            let (dz, y) = (rows(f, self.dz)?, rows(f, self.y)?);
            let dx = plain(f, dz, y)?;
            return f.reshape(dx, &shape);
        }
        if is_shared(f, self.x, self.dz) && rank(f, self.y) == rank(f, self.dz) {
            // Batches side by side as columns: `dz` is `[M, batch N]`, `y` `[K, batch N]`.
            let (dz, y) = (columns(f, self.dz)?, self.y_columns(f)?);
            let dx =
                if self.transpose_x { f.matmul(y, dz, false, true) } else { f.matmul(dz, y, false, true) }?;
            return f.reshape(dx, &shape);
        }
        let dx = plain(f, self.dz, self.y)?;
        summed(f, dx, &shape)
    }

    fn dy(&self, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        let shape = f.function().shape(self.y).clone();
        let plain = |f: &mut FunctionBuilder, x, dz| {
            if self.transpose_y {
                f.matmul(dz, x, true, self.transpose_x)
            } else {
                f.matmul(x, dz, !self.transpose_x, false)
            }
        };
        if is_shared(f, self.y, self.dz) && !self.transpose_x && rank(f, self.x) == rank(f, self.dz) {
            // The sum over batches is part of one product.
            let (x, dz) = (rows(f, self.x)?, rows(f, self.dz)?);
            let dy = plain(f, x, dz)?;
            return f.reshape(dy, &shape);
        }
        let dy = plain(f, self.x, self.dz)?;
        summed(f, dy, &shape)
    }

    /// `y` as `[K, batch N]`.
    fn y_columns(&self, f: &mut FunctionBuilder) -> Result<ValueId, BuildError> {
        if !self.transpose_y {
            return columns(f, self.y);
        }
        let stacked = rows(f, self.y)?;
        f.transpose(stacked, &[1, 0])
    }
}

fn rank(f: &FunctionBuilder, value: ValueId) -> usize {
    f.shape(value).len()
}

/// Whether an operand is one matrix used by several batches.
fn is_shared(f: &FunctionBuilder, operand: ValueId, dz: ValueId) -> bool {
    let batches = |id| f.shape(id)[..rank(f, id) - 2].iter().product::<usize>();
    batches(operand) == 1 && batches(dz) > 1
}

/// `[batch…, R, C]` as `[batch R, C]`.
fn rows(f: &mut FunctionBuilder, value: ValueId) -> Result<ValueId, BuildError> {
    let shape = f.shape(value).to_vec();
    let (last, lead) = (shape[shape.len() - 1], &shape[..shape.len() - 1]);
    f.reshape(value, &[lead.iter().product(), last])
}

/// `[batch…, R, C]` as `[R, batch C]`.
fn columns(f: &mut FunctionBuilder, value: ValueId) -> Result<ValueId, BuildError> {
    let shape = f.shape(value).to_vec();
    let (batch, matrix) = shape.split_at(shape.len() - 2);
    let batch: usize = batch.iter().product();
    let flat = f.reshape(value, &[batch, matrix[0], matrix[1]])?;
    let turned = f.transpose(flat, &[1, 0, 2])?;
    f.reshape(turned, &[matrix[0], batch * matrix[1]])
}

/// Sums over the batch axes along which an operand of shape `to` was broadcast.
fn summed(f: &mut FunctionBuilder, gradient: ValueId, to: &Shape) -> Result<ValueId, BuildError> {
    let full = f.function().shape(gradient).clone();
    shapes::unbroadcast(f, gradient, &full, to)
}

/// `einsum("A,B->C", a, b)`: `da = einsum("C,B->A")`, `db = einsum("C,A->B")`, each as one batched product where that
/// is possible. A letter that only one operand has is summed over alone: the gradient is constant along it.
fn einsum(g: &mut Gradient<'_>) -> Done {
    let equation = Equation::parse(g.view().string("equation")?)?;
    let values = g.view().values("values").to_vec();
    for (index, (&target, labels)) in values.iter().zip(&equation.inputs).enumerate() {
        if !g.wants_value(target) {
            continue;
        }
        if (0..labels.len()).any(|i| labels[..i].contains(&labels[i])) {
            return Err(RuleError::Unsupported(
                "a letter stands twice in one operand, which has no rule".into(),
            ));
        }
        let mut factors = vec![(g.dy()?, equation.output.as_slice())];
        for (other, (&value, labels)) in values.iter().zip(&equation.inputs).enumerate() {
            if other != index {
                factors.push((value, labels.as_slice()));
            }
        }
        let gradient = contract_all(g.f, &factors, labels)?;
        let full = g.shape(gradient);
        g.give_reduced(target, gradient, &full)?;
    }
    Ok(())
}

/// The product of labelled tensors, summed over the labels that `out` lacks; extents of 1 for labels that only `out`
/// has.
fn contract_all(
    f: &mut FunctionBuilder,
    factors: &[(ValueId, &[usize])],
    out: &[usize],
) -> Result<ValueId, BuildError> {
    let has = |label: &usize| factors.iter().any(|(_, labels)| labels.contains(label));
    let kept: Vec<usize> = out.iter().copied().filter(has).collect();
    let product = match factors {
        &[a, b] if is_product(a.1, b.1, &kept) => contract(f, a, b, &kept)?,
        _ => {
            let text: Vec<String> = factors.iter().map(|(_, labels)| letters(labels)).collect();
            let values: Vec<ValueId> = factors.iter().map(|&(value, _)| value).collect();
            let equation = format!("{}->{}", text.join(","), letters(&kept));
            f.op("einsum").args("values", &values).string("equation", &equation).one()?
        }
    };
    let mut dims = f.shape(product).to_vec();
    for (at, label) in out.iter().enumerate() {
        if !has(label) {
            dims.insert(at, 1);
        }
    }
    f.reshape(product, &dims)
}

/// Labels as letters, `a` to `z` and then `A` to `Z`: an equation holds no more than those.
fn letters(labels: &[usize]) -> String {
    labels
        .iter()
        .map(|&label| (if label < 26 { b'a' + label as u8 } else { b'A' + (label - 26) as u8 }) as char)
        .collect()
}

/// Whether every label stands in two of the three, and none twice in one: the form of a batched matrix product.
fn is_product(a: &[usize], b: &[usize], out: &[usize]) -> bool {
    let within = |one: &[usize], two: &[usize], three: &[usize]| {
        one.iter().enumerate().all(|(i, l)| !one[..i].contains(l) && (two.contains(l) || three.contains(l)))
    };
    within(a, b, out) && within(b, a, out) && within(out, a, b)
}

/// The product of two labelled tensors, summed over the labels that `out` lacks.
fn contract(
    f: &mut FunctionBuilder,
    (a, a_labels): (ValueId, &[usize]),
    (b, b_labels): (ValueId, &[usize]),
    out: &[usize],
) -> Result<ValueId, BuildError> {
    let pick = |labels: &[usize], test: &dyn Fn(&usize) -> bool| -> Vec<usize> {
        labels.iter().copied().filter(|label| test(label)).collect()
    };
    let batch = pick(out, &|l| a_labels.contains(l) && b_labels.contains(l));
    let rows = pick(out, &|l| a_labels.contains(l) && !b_labels.contains(l));
    let columns = pick(out, &|l| !a_labels.contains(l) && b_labels.contains(l));
    let inner = pick(a_labels, &|l| b_labels.contains(l) && !out.contains(l));
    let (left, left_dims) = arranged(f, a, a_labels, [&batch, &rows, &inner])?;
    let (right, right_dims) = arranged(f, b, b_labels, [&batch, &inner, &columns])?;
    let product = f.matmul(left, right, false, false)?;
    let lead: Vec<usize> = left_dims[0].iter().zip(&right_dims[0]).map(|(&x, &y)| x.max(y)).collect();
    let dims = [lead, left_dims[1].clone(), right_dims[2].clone()].concat();
    let product = f.reshape(product, &dims)?;
    let order = [batch, rows, columns].concat();
    let perm: Vec<i32> = out
        .iter()
        .filter_map(|label| order.iter().position(|other| other == label))
        .map(|at| at as i32)
        .collect();
    if perm.iter().enumerate().all(|(i, &at)| i as i32 == at) {
        Ok(product)
    } else {
        f.transpose(product, &perm)
    }
}

/// A tensor as `[first…, product of second, product of third]`, and the extents of each group.
fn arranged(
    f: &mut FunctionBuilder,
    value: ValueId,
    labels: &[usize],
    groups: [&Vec<usize>; 3],
) -> Result<(ValueId, [Vec<usize>; 3]), BuildError> {
    let shape = f.shape(value).to_vec();
    let position = |label: &usize| labels.iter().position(|other| other == label);
    let dims =
        groups.map(|group| group.iter().filter_map(position).map(|at| shape[at]).collect::<Vec<usize>>());
    let perm: Vec<i32> = groups.into_iter().flatten().filter_map(position).map(|at| at as i32).collect();
    let turned = f.transpose(value, &perm)?;
    let mut flat = dims[0].clone();
    flat.extend([dims[1].iter().product::<usize>(), dims[2].iter().product()]);
    Ok((f.reshape(turned, &flat)?, dims))
}
