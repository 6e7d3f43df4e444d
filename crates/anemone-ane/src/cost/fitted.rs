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
    85.13224828054243, // floor
    -0.37595387145051135, // floor_gen
    1.440936548020371, // direct
    1.022490801021629, // conv_eff
    0.9198267142129984, // matmul_eff
    1.5262149370209055, // winograd
    1.9537288663525767, // int8
    2.5768373943954663, // rows_half
    8.034861862022053, // depth_half
    3.9082274508940174, // columns_half
    0.9693657064589225, // batched
    0.11413971144232654, // issue
    2.2160428633959057, // planar_issue
    0.15549975167960536, // batch_issue
    86.16538464331629, // weight_bw
    0.48449172594117107, // weight_gen
    0.10343591725019283, // weight_dram
    2.666802150649691, // prefetch
    0.5409710709124587, // lut
    0.4921511567126142, // sparse
    1.001229653531365, // blockwise
    2.9804334082349078, // slow_4096
    66.1335261464914, // act_bw
    0.37234036487441796, // act_gen
    0.1181211355799268, // act_dram
    1.6330791145481727, // on_chip
    63.11403326017327, // overflow
    2.3312233858450835, // overflow_slow
    50.94627958945573, // planar
    134.77287488895342, // relayout
    1.766376678589536, // regroup
    2.8647131896285662, // regroup_slow
    0.32772258154064116, // conv_traffic
    50.26159598005559, // spill
    3.784112652727248, // spill_slow
    79.04650020659666, // port_bw
    356.91376392800254, // port_spill
    0.8426920827842813, // port_slow
    16.697828270211716, // host_bw
    8.449696024259207, // host_row
    0.6379743112871972, // host_gen
    0.17388082194625926, // host_dram
    4.587443830803283, // overlap
    2.8672568006397228, // cpu
    0.43017034059674786, // cpu_gen
    142.76243231945318, // update
    17.742895223513695, // stage
    0.5244486699394305, // second_code
    8.44404240957195, // paging
];

/// Measured chips; `latency` is floor, direct, compute, weight, act, host, cpu.
#[rustfmt::skip]
pub(super) static CHIPS: &[FittedChip] = &[
    FittedChip { name: "M1", rows: 12, latency: [0.8686713175978011, 1.0, 0.997855870968642, 1.4644142565862923, 1.0945678521803293, 1.0731055627122812, 1.0], energy: 1.2843052141521565, package: 0.5762708716052415 },
    FittedChip { name: "M1 Pro", rows: 2, latency: [1.002600213735352, 1.0026002137353511, 0.999847888085085, 0.9998031262826952, 0.9987188814691115, 1.0, 0.9902721712956141], energy: 1.0, package: 1.0 },
    FittedChip { name: "M1 Max", rows: 12, latency: [1.1763969603521172, 1.0, 1.0514994518132073, 1.094320049712484, 0.9267753883847099, 0.9100898301149066, 1.0], energy: 0.8481072872638707, package: 1.4898854667460335 },
    FittedChip { name: "M2 Pro", rows: 12, latency: [0.9056295410609361, 1.0, 0.9986577669989872, 0.5075895468956108, 1.0798412111392643, 1.1139834102626724, 1.0], energy: 1.157320821965631, package: 0.7727522859331766 },
    FittedChip { name: "M2 Max", rows: 5, latency: [1.2410513121433158, 1.0, 0.9635069620687358, 0.9999908588083146, 0.9571090169217543, 0.7399209239719156, 1.0], energy: 1.1172433975332243, package: 1.0 },
    FittedChip { name: "M3 Pro", rows: 1, latency: [0.8989496995094102, 0.8989496995094102, 1.0222667196230886, 1.1120200563945135, 1.0034484362865321, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Max", rows: 2, latency: [1.0685696846628232, 1.0685696846627712, 0.9999989013101184, 0.9614190482032615, 0.8863496238411728, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Ultra", rows: 33, latency: [1.231180593782422, 1.2311805937834404, 1.15877108765012, 0.8824425132271482, 0.9210468655661537, 1.0, 1.0114688853266913], energy: 1.0, package: 1.0 },
    FittedChip { name: "M4", rows: 34, latency: [1.0430798086484299, 1.4573207637882652, 1.0571792297997513, 0.7400424585187764, 1.02767251365815, 0.5321429684088558, 1.031223382046298], energy: 0.8195759174783889, package: 0.638473021183659 },
    FittedChip { name: "M4 Pro", rows: 6, latency: [0.5655643641990936, 0.7152588113768521, 0.9584092695110518, 1.0854716784775107, 1.2102467504048342, 0.7365125129813752, 1.1525368726223733], energy: 0.846664714140355, package: 1.0 },
    FittedChip { name: "M4 Max", rows: 130, latency: [0.7502082739489816, 1.1761179206175716, 1.023726428307702, 1.0632476482718163, 0.795839973404884, 1.516093288792527, 1.4318462080955667], energy: 0.9873936552537953, package: 0.842417902905983 },
    FittedChip { name: "M5", rows: 13, latency: [0.789899182028433, 0.7717139591326652, 1.0004273757452935, 1.1039279778938573, 1.0654128429576737, 1.235589515990175, 1.0], energy: 0.9060511595911649, package: 1.2544101790033695 },
    FittedChip { name: "M5 Pro", rows: 161, latency: [0.9514251467149215, 1.0, 0.9980864516009272, 1.407330858607438, 1.0183473809456531, 1.6680802094732698, 1.0], energy: 0.9403018909536462, package: 2.1507789878199057 },
    FittedChip { name: "M5 Max", rows: 5, latency: [0.8905114787763551, 0.8905114787763551, 1.0163895350803567, 1.000443625577203, 1.142155624864099, 1.0, 1.7128159978255622], energy: 1.0, package: 1.0 },
    FittedChip { name: "M6", rows: 16, latency: [2.5301768495666526, 1.0, 1.1639018632390692, 0.9999885285254171, 1.0176540660334392, 1.01799750559028, 1.0], energy: 1.0, package: 1.0 },
];

/// static_w, pj_per_flop, pj_per_window_flop, pj_per_weight_byte, pj_per_activation_byte.
#[rustfmt::skip]
pub(super) static ENERGY: &[f64] = &[1.2105080820217735, 0.7319001752837999, 0.4384456224446711, 4.0372010417302855, 8.892312910155447];

/// wait_w, host_w.
#[rustfmt::skip]
pub(super) static PACKAGE: &[f64] = &[1.029092250352505, 6.918315645547382];

/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or
/// more; chip left out; and that again, with logarithms half as wide again (an assumption).
#[rustfmt::skip]
pub(super) static SPREADS: [(f64, f64); 3] = [(0.8261654961254314, 1.2070466242053994), (0.6603182109849435, 1.3440464323339805), (0.5365743551816868, 1.5581935726610596)];

/// The same for energy, cross-validation by program.
#[rustfmt::skip]
pub(super) static ENERGY_SPREAD: (f64, f64) = (0.7305970025333554, 1.555872860592165);

/// Time in a loop over time alone: median of the 28 rows of 1 ms or more that have both.
pub(super) static SUSTAINED: f64 = 1.0093496683382375;

/// Ops of the published programs.
#[rustfmt::skip]
pub(super) static OPS: &[&str] = &["add", "cast", "concat", "conv", "dequantize", "gelu", "layer_norm", "linear", "matmul", "max_pool", "mul", "quantize", "real_div", "reduce_l2_norm", "reduce_mean", "reduce_sum", "reduce_sum_square", "relu", "reshape", "rsqrt", "sigmoid", "silu", "slice_by_size", "softmax", "sub", "tile", "transpose"];
