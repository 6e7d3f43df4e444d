//! The fitted parameters. Written by `cargo run --release -p anemone-ane --example fit_cost -- --write` from
//! `data/measurements.csv`; not to be edited.

/// Deviations of one chip from the shared laws.
pub(super) struct FittedChip {
    /// Name.
    pub(super) name: &'static str,
    /// Published rows.
    pub(super) rows: usize,
    /// In the order of `params::DEVIATIONS`.
    pub(super) latency: [f64; 7],
    /// Factor on the energy of the engine's rail.
    pub(super) energy: f64,
    /// Factor on the energy of the rest of the package.
    pub(super) package: f64,
}

/// In the order of `params::GLOBALS`.
#[rustfmt::skip]
pub(super) static GLOBALS: &[f64] = &[
    85.12527835238095, // floor
    -0.37627627820336706, // floor_gen
    1.4421401606464945, // direct
    1.0266088931551907, // conv_eff
    0.9272821109758747, // matmul_eff
    1.5261733206938326, // winograd
    1.9634078041066259, // int8
    2.5737466679725283, // rows_half
    7.8476562603760165, // depth_half
    3.8879935060179993, // columns_half
    0.9684594250200343, // batched
    0.11489905527659876, // issue
    2.1885233948281195, // planar_issue
    0.15627520692304525, // batch_issue
    86.03902075540792, // weight_bw
    0.4845701497413395, // weight_gen
    0.10254876945641091, // weight_dram
    2.6941830331426, // prefetch
    0.5408763802584684, // lut
    0.4920554758441364, // sparse
    1.001352388458367, // blockwise
    2.9870684964486394, // slow_4096
    66.18602666336426, // act_bw
    0.37310030004415834, // act_gen
    0.11747032290279028, // act_dram
    1.6330077404809478, // on_chip
    63.113439298540705, // overflow
    2.334405265265988, // overflow_slow
    50.56569306727622, // planar
    134.82016436394701, // relayout
    1.7634455588132911, // regroup
    2.861512811544392, // regroup_slow
    0.338918929460268, // conv_traffic
    49.819198512713854, // spill
    3.7608013711073403, // spill_slow
    79.26684004887503, // port_bw
    356.9286108252147, // port_spill
    0.8440167251437263, // port_slow
    16.70236368952205, // host_bw
    8.441094664653471, // host_row
    0.6388871448095894, // host_gen
    0.17323260743119487, // host_dram
    4.497851830830222, // overlap
    2.8698938314459475, // cpu
    0.43040120144474625, // cpu_gen
    142.89936514524823, // update
    17.727170673801787, // stage
    0.5246456013313611, // second_code
    8.439955362103953, // paging
];

/// Measured chips; `latency` is floor, direct, compute, weight, act, host, cpu.
#[rustfmt::skip]
pub(super) static CHIPS: &[FittedChip] = &[
    FittedChip { name: "M1", rows: 12, latency: [0.8688418091937754, 1.0, 0.997101266016379, 1.4638156471281114, 1.0940141773005463, 1.0732147547078696, 1.0], energy: 1.2850573763532191, package: 0.5757371673719579 },
    FittedChip { name: "M1 Pro", rows: 2, latency: [1.0029185926072255, 1.0029185926072248, 0.9998391461024253, 0.9997832148445203, 0.9986192621077515, 1.0, 0.9901204211489275], energy: 1.0, package: 1.0 },
    FittedChip { name: "M1 Max", rows: 12, latency: [1.1758757009483727, 1.0, 1.051145477949124, 1.0957610128138053, 0.9270959706086312, 0.9084631770967925, 1.0], energy: 0.8491239075983141, package: 1.4864767011632694 },
    FittedChip { name: "M2 Pro", rows: 12, latency: [0.9067824330135852, 1.0, 0.9971096538132274, 0.5066238698543909, 1.0792119461940444, 1.1166180842790165, 1.0], energy: 1.1577633868794295, package: 0.7746197037306191 },
    FittedChip { name: "M2 Max", rows: 5, latency: [1.2406528022696048, 1.0, 0.9631668312287126, 0.999989785061449, 0.9571391030251994, 0.7394100770073757, 1.0], energy: 1.1184829952429414, package: 1.0 },
    FittedChip { name: "M3 Pro", rows: 1, latency: [0.90075423996592, 0.900754239965989, 1.021517370383795, 1.1097773280530285, 1.0033556999557363, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Max", rows: 2, latency: [1.0673910839471927, 1.06739108394719, 0.9999988886716853, 0.962151936281293, 0.887703097364669, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Ultra", rows: 33, latency: [1.2311136093934014, 1.2311136093927837, 1.1576085472215683, 0.8812925532072029, 0.919840673556785, 1.0, 1.0107896226102222], energy: 1.0, package: 1.0 },
    FittedChip { name: "M4", rows: 34, latency: [1.0369117432806427, 1.4613834883011005, 1.132218247047866, 0.7486555742699713, 1.031364370439494, 0.5338333748255921, 1.0345504915967314], energy: 0.8169003258531936, package: 0.6393167900735008 },
    FittedChip { name: "M4 Pro", rows: 6, latency: [0.5660958245675776, 0.7164494441594695, 0.9566497896559205, 1.0823135372994082, 1.2088500621579696, 0.7353672904204576, 1.151971112571747], energy: 0.8466437574280792, package: 1.0 },
    FittedChip { name: "M4 Max", rows: 130, latency: [0.7516735420288452, 1.1736194937060103, 1.017430371315156, 1.06683017483586, 0.7958098783560273, 1.5185634748876076, 1.4316352199907088], energy: 0.9886228008775249, package: 0.8451885696190797 },
    FittedChip { name: "M5", rows: 13, latency: [0.7898937722713484, 0.7716012874228173, 0.9973949583614239, 1.0992027095064258, 1.064100695477076, 1.2316289509289806, 1.0], energy: 0.9063091546266671, package: 1.2516663349463448 },
    FittedChip { name: "M5 Pro", rows: 161, latency: [0.9518008812762704, 1.0, 0.994571711043645, 1.4104993241526964, 1.0189908175033349, 1.6675990433715726, 1.0], energy: 0.941313638615899, package: 2.148649186011841 },
    FittedChip { name: "M5 Max", rows: 5, latency: [0.890385302167499, 0.890385302167499, 1.0159512702719253, 1.0004390779448968, 1.1414242830118726, 1.0, 1.7109152850679268], energy: 1.0, package: 1.0 },
    FittedChip { name: "M6", rows: 16, latency: [2.53202214826931, 1.0, 1.163189987802622, 0.9999872526529103, 1.0178806990558487, 1.018651540452678, 1.0], energy: 1.0, package: 1.0 },
];

/// static_w, pj_per_flop, pj_per_window_flop, pj_per_weight_byte, pj_per_activation_byte.
#[rustfmt::skip]
pub(super) static ENERGY: &[f64] = &[1.205728667319855, 0.7326631575232176, 0.43836283960216244, 4.024840939239321, 9.011096962562982];

/// wait_w, host_w.
#[rustfmt::skip]
pub(super) static PACKAGE: &[f64] = &[1.0302704122058859, 6.923537245294835];

/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or
/// more; chip left out; and that again, with logarithms half as wide again (an assumption).
#[rustfmt::skip]
pub(super) static SPREADS: [(f64, f64); 3] = [(0.8266923052783948, 1.209289565418365), (0.660244355847741, 1.3351792953003716), (0.5364843357096118, 1.542799124142165)];

/// The same for energy, cross-validation by program.
#[rustfmt::skip]
pub(super) static ENERGY_SPREAD: (f64, f64) = (0.7309801207076468, 1.5573062396731912);

/// Time in a loop over time alone: median of the 28 rows of 1 ms or more that have both.
pub(super) static SUSTAINED: f64 = 1.0093496683382375;

/// Ops of the published programs.
#[rustfmt::skip]
pub(super) static OPS: &[&str] = &["add", "cast", "concat", "conv", "dequantize", "gelu", "layer_norm", "linear", "matmul", "max_pool", "mul", "quantize", "real_div", "reduce_l2_norm", "reduce_mean", "reduce_sum", "reduce_sum_square", "relu", "reshape", "rsqrt", "sigmoid", "silu", "slice_by_size", "softmax", "sub", "tile", "transpose"];
