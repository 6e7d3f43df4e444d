//! Matrix products and Einstein sums.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;
use mil::ops::linear::einsum::Equation;

#[test]
fn products() {
    gives(&[
        ("matmul", "x: fp32[2,3]; y: fp32[3,4]", "fp32[2,4]"),
        ("matmul", "x: fp32[3,2]; y: fp32[4,3]; transpose_x = true; transpose_y = true", "fp32[2,4]"),
        ("matmul", "x: int32[10,4,3]; y: int32[5,10,3,2]", "int32[5,10,4,2]"),
        ("matmul", "x: fp32[7,1,2,3]; y: fp32[5,3,4]", "fp32[7,5,2,4]"),
        ("matmul", "x: fp32[4]; y: fp32[10,4,3]", "fp32[10,3]"),
        ("matmul", "x: fp32[10,3,4]; y: fp32[4]", "fp32[10,3]"),
        ("matmul", "x: fp32[4]; y: fp32[4]", "fp32[]"),
        ("matmul", "x: fp32[2,0]; y: fp32[0,3]", "fp32[2,3]"),
        // From iOS17 on the constant operand may differ; the result has the other one's type.
        ("matmul", "x: fp16[2,3]; y: const fp32[3,4]", "fp16[2,4]"),
        ("matmul", "x: const fp32[2,3]; y: fp16[3,4]", "fp16[2,4]"),
        ("linear", "x: fp32[5,2,3]; weight: const fp32[4,3]", "fp32[5,2,4]"),
        ("linear", "x: fp16[3]; weight: const fp32[4,3]; bias: const fp32[4]", "fp16[4]"),
    ]);
    refuses(&[
        ("matmul", "x: fp32[2,3]; y: fp32[4,3]", "gives 4 rows, but `x` with shape [2, 3] gives 3 columns"),
        ("matmul", "x: fp32[2,2,3]; y: fp32[3,3,4]", "batch dimensions do not broadcast"),
        ("matmul", "x: fp32[]; y: fp32[2,2]", "`x` must have rank 1 or more"),
        ("matmul", "x: fp32[3]; y: fp32[3,4]; transpose_x = true", "a vector cannot be transposed"),
        ("matmul", "x: fp32[4,3]; y: fp32[3]; transpose_y = true", "a vector cannot be transposed"),
        ("matmul", "x: fp16[2,3]; y: fp32[3,4]", "exactly one of them is a constant"),
        ("linear", "x: fp32[2,3]; weight: fp32[4,3]", "`weight` must be a constant"),
        ("linear", "x: fp32[2,3]; weight: const fp32[3,4]", "has 3 features"),
        ("linear", "x: fp32[2,3]; weight: const fp32[4,3]; bias: const fp32[3]", "must have shape [4]"),
        ("linear", "x: fp32[2,3]; weight: const fp32[3]", "must have rank 2"),
        ("linear", "x: fp32[]; weight: const fp32[3,1]", "rank 1 or more"),
    ]);
    refuses_in(
        Opset::Ios16,
        &[("matmul", "x: fp16[2,3]; y: const fp32[3,4]", "the element type of `x`, fp16")],
    );
}

#[test]
fn einstein_sums() {
    gives(&[
        ("einsum", "values: (fp32[2,3,4,5], fp32[2,5,4,6]); equation = \"nchw,nwhu->nchu\"", "fp32[2,3,4,6]"),
        ("einsum", "values: (fp16[3,4,5], fp16[5,4,6]); equation = \"chw,whr->chr\"", "fp16[3,4,6]"),
        ("einsum", "values: (fp32[2,3,1,5], fp32[1,5,4,6]); equation = \"nchw,nwhu->nchu\"", "fp32[2,3,4,6]"),
        ("einsum", "values: (fp32[2,3]); equation = \"ij->ji\"", "fp32[3,2]"),
        ("einsum", "values: (fp32[3,3]); equation = \"ii->\"", "fp32[]"),
        ("einsum", "values: (fp32[2,3], fp32[3,4], fp32[4]); equation = \"ij, jk, k -> i\"", "fp32[2]"),
        ("einsum", "values: (fp32[]); equation = \"->\"", "fp32[]"),
    ]);
    gives_in(Opset::Ios15, &[("einsum", "values: (fp32[2], fp32[3]); equation = \"i,j->ij\"", "fp32[2,3]")]);
    refuses(&[
        ("einsum", "values: (fp32[2,3]); equation = \"ij\"", "has no \"->\""),
        ("einsum", "values: (fp32[2,3]); equation = \"i.->i\"", "dimensions are named with single letters"),
        ("einsum", "values: (fp32[2,3]); equation = \"ij->ik\"", "dimension `k`, which no operand has"),
        ("einsum", "values: (fp32[2,3]); equation = \"ij->ii\"", "names `i` twice in the output"),
        ("einsum", "values: (fp32[2,3]); equation = \"ijk->i\"", "the equation names 3 dimensions"),
        ("einsum", "values: (fp32[2,3]); equation = \"ij,jk->ik\"", "must be 2 tensors"),
        ("einsum", "values: (); equation = \"->\"", "must be 1 tensors"),
        ("einsum", "values: (fp32[2,3]); equation = \"ii->\"", "the same letter has size 2 elsewhere"),
        ("einsum", "values: (fp32[1,3]); equation = \"ii->\"", "the same letter has size 1 elsewhere"),
        (
            "einsum",
            "values: (fp32[2,3], fp32[4,2]); equation = \"ij,jk->ik\"",
            "has size 4 in dimension 0 of operand 1",
        ),
        (
            "einsum",
            "values: (fp32[2], fp16[2]); equation = \"i,i->i\"",
            "must have the element type of `values`",
        ),
        ("einsum", "values: fp32[2]; equation = \"i->i\"", "takes a tuple of values"),
    ]);
}

#[test]
fn equations() {
    let equation = Equation::parse("bij,bjk->bik").unwrap();
    assert_eq!(
        equation,
        Equation { inputs: vec![vec![0, 1, 2], vec![0, 2, 3]], output: vec![0, 1, 3], labels: 4 }
    );
}
