//! Networks with their gradients and updates: hundreds of operations whose last bits feed one another.

use crate::set::{Set, Values};
use anemone_passes::autodiff::gradients;
use mil::{BuildError, DataType, ValueId};

/// All programs.
pub(crate) fn sets() -> impl Iterator<Item = Set> {
    [DataType::Fp32, DataType::Fp16].into_iter().flat_map(|dtype| [attention(dtype), convolution(dtype)])
}

/// Adds the loss and, for every parameter, its gradient and the parameter after a step of Adam from zero moments.
fn train(set: &mut Set, loss: Result<ValueId, BuildError>, parameters: &[ValueId]) {
    let loss = loss.unwrap();
    set.result("loss", Ok(loss));
    let gradients = gradients(&mut set.f, loss, parameters).unwrap();
    for (index, (&parameter, gradient)) in parameters.iter().zip(gradients).enumerate() {
        set.result(format!("gradient_{index}"), Ok(gradient));
        let step = (|| {
            let f = &mut set.f;
            let first = f.mul(gradient, 0.1)?;
            let square = f.unary("square", gradient)?;
            let second = f.mul(square, 0.05)?;
            let root = f.unary("sqrt", second)?;
            let floor = f.add(root, 1e-3)?;
            let step = f.real_div(first, floor)?;
            let step = f.mul(step, 0.03)?;
            f.sub(parameter, step)
        })();
        set.result(format!("stepped_{index}"), step);
    }
}

/// A block of a transformer: attention and a gated layer, with residuals and RMS norms.
fn attention(dtype: DataType) -> Set {
    let mut set = Set::new("attention", dtype);
    let [batch, length, width, heads] = [2, 19, 24, 3];
    let x = set.input(&[batch, length, width], Values::Between(-1.0, 1.0));
    let scale = Values::Between(-0.3, 0.3);
    let [query, key, value, out] = [(); 4].map(|()| set.input(&[width, width], scale));
    let [up, gate] = [(); 2].map(|()| set.input(&[50, width], scale));
    let down = set.input(&[width, 50], scale);
    let loss = (|| {
        let f = &mut set.f;
        let norm = |f: &mut mil::FunctionBuilder, x: ValueId| {
            let square = f.unary("square", x)?;
            let mean = f.reduce("reduce_mean", square, &[-1], true)?;
            let scale = f.unary("rsqrt", mean)?;
            f.mul(x, scale)
        };
        let normed = norm(f, x)?;
        let split = |f: &mut mil::FunctionBuilder, weight| {
            let y = f.matmul(normed, weight, false, true)?;
            let y = f.reshape(y, &[batch, length, heads, width / heads])?;
            f.transpose(y, &[0, 2, 1, 3])
        };
        let (q, k, v) = (split(f, query)?, split(f, key)?, split(f, value)?);
        let scores = f.matmul(q, k, false, true)?;
        let scores = f.mul(scores, 0.353_553_4)?;
        let weights = f.op("softmax").arg("x", scores).int("axis", -1).one()?;
        let mixed = f.matmul(weights, v, false, false)?;
        let mixed = f.transpose(mixed, &[0, 2, 1, 3])?;
        let mixed = f.reshape(mixed, &[batch, length, width])?;
        let mixed = f.matmul(mixed, out, false, true)?;
        let x = f.add(x, mixed)?;
        let normed = norm(f, x)?;
        let open = f.matmul(normed, gate, false, true)?;
        let open = f.unary("silu", open)?;
        let wide = f.matmul(normed, up, false, true)?;
        let wide = f.mul(open, wide)?;
        let narrow = f.matmul(wide, down, false, true)?;
        let y = f.add(x, narrow)?;
        let losses = f.reduce("reduce_log_sum_exp", y, &[-1], false)?;
        f.reduce("reduce_mean", losses, &[0, 1], false)
    })();
    train(&mut set, loss, &[query, key, value, out, up, gate, down]);
    set
}

/// A small image classifier: convolution, norm, pool, depthwise convolution, linear layer, cross entropy.
fn convolution(dtype: DataType) -> Set {
    let mut set = Set::new("convolution", dtype);
    let x = set.input(&[3, 3, 14, 14], Values::Between(-1.0, 1.0));
    let scale = Values::Between(-0.4, 0.4);
    let [first, second] = [[10, 3, 3, 3], [10, 1, 3, 3]].map(|shape| set.input(&shape, scale));
    let [gamma, beta] = [(); 2].map(|()| set.input(&[1, 10, 1, 1], Values::Between(0.5, 1.5)));
    let linear = set.input(&[7, 10], scale);
    let loss = (|| {
        let f = &mut set.f;
        let y = f.op("conv").arg("x", x).arg("weight", first).string("pad_type", "same").one()?;
        let mean = f.reduce("reduce_mean", y, &[0, 2, 3], true)?;
        let centred = f.sub(y, mean)?;
        let square = f.unary("square", centred)?;
        let variance = f.reduce("reduce_mean", square, &[0, 2, 3], true)?;
        let variance = f.add(variance, 1e-3)?;
        let scale = f.unary("rsqrt", variance)?;
        let y = f.mul(centred, scale)?;
        let y = f.mul(y, gamma)?;
        let y = f.add(y, beta)?;
        let y = f.op("gelu").arg("x", y).string("mode", "TANH_APPROXIMATION").one()?;
        let pool = f.op("max_pool").arg("x", y).ints("kernel_sizes", &[2, 2]).ints("strides", &[2, 2]);
        let y = pool.string("pad_type", "valid").one()?;
        let y = f
            .op("conv")
            .arg("x", y)
            .arg("weight", second)
            .string("pad_type", "same")
            .int("groups", 10)
            .one()?;
        let y = f.unary("relu", y)?;
        let y = f.reduce("reduce_mean", y, &[2, 3], false)?;
        let logits = f.matmul(y, linear, false, true)?;
        let total = f.reduce("reduce_log_sum_exp", logits, &[-1], false)?;
        let total = f.reduce("reduce_mean", total, &[0], false)?;
        let right =
            f.op("slice_by_index").arg("x", logits).ints("begin", &[0, 2]).ints("end", &[3, 3]).one()?;
        let right = f.reduce("reduce_mean", right, &[0, 1], false)?;
        f.sub(total, right)
    })();
    train(&mut set, loss, &[first, second, gamma, beta, linear]);
    set
}
