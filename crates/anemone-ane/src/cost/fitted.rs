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
    85.19885291866636, // floor
    -0.3752238231038824, // floor_gen
    1.4418381728811254, // direct
    1.0233578296280967, // conv_eff
    0.928291859594134, // matmul_eff
    1.5206897153220122, // winograd
    1.9611835552988477, // int8
    2.4456829018777375, // rows_half
    7.978691850317587, // depth_half
    3.9303697256778176, // columns_half
    0.9453024851333162, // batched
    0.11620014468379462, // issue
    2.1598719914923947, // planar_issue
    0.15674637277687245, // batch_issue
    85.55174610289363, // weight_bw
    0.4802225866146815, // weight_gen
    0.10293483068096228, // weight_dram
    2.6162407016156886, // prefetch
    0.5408437768658634, // lut
    0.49221199940112237, // sparse
    1.001463607225282, // blockwise
    2.9876799836480834, // slow_4096
    66.01431728991278, // act_bw
    0.3692069205295897, // act_gen
    0.11984755384444748, // act_dram
    1.5977905129476753, // on_chip
    82.42564521359253, // overflow
    3.8087497704193676, // overflow_slow
    50.25110054101761, // planar
    134.26526988739238, // relayout
    1.757805159460667, // regroup
    2.8680207041777246, // regroup_slow
    0.3459751516487481, // conv_traffic
    50.552509727212396, // spill
    3.8091173226617103, // spill_slow
    78.63563846203661, // port_bw
    355.66766506065005, // port_spill
    0.8369994980970049, // port_slow
    16.736866101480867, // host_bw
    8.460302682804258, // host_row
    0.6404857048990873, // host_gen
    0.1742318024273418, // host_dram
    4.845112086432145, // overlap
    2.879347454974633, // cpu
    0.4305396189066078, // cpu_gen
    142.85578665660046, // update
    17.570953100757826, // stage
    0.5215582764905748, // second_code
    8.279466172911004, // paging
];

/// Measured chips; `latency` is floor, direct, compute, weight, act, host, cpu.
#[rustfmt::skip]
pub(super) static CHIPS: &[FittedChip] = &[
    FittedChip { name: "M1", rows: 12, latency: [0.8687169887473812, 1.0, 0.9947397151945381, 1.46587430606316, 1.0939886077938477, 1.0746855793413435, 1.0], energy: 1.2854900216280096, package: 0.5760364379591384 },
    FittedChip { name: "M1 Pro", rows: 2, latency: [1.0036858693322825, 1.0036858693322828, 0.999795812936652, 0.9997456710368069, 0.998224911312126, 1.0, 0.9910817684416401], energy: 1.0, package: 1.0 },
    FittedChip { name: "M1 Max", rows: 12, latency: [1.1759260867323842, 1.0, 1.0480517907541806, 1.0957506375708779, 0.9244131375559922, 0.9080247738316999, 1.0], energy: 0.8488617395469914, package: 1.4843627571624496 },
    FittedChip { name: "M2 Pro", rows: 12, latency: [0.9049096711125286, 1.0, 1.0043574692298736, 0.5035936705455756, 1.0786628283062003, 1.1144187360402866, 1.0], energy: 1.1584964700092666, package: 0.7711693260838435 },
    FittedChip { name: "M2 Max", rows: 5, latency: [1.2399057838962178, 1.0, 0.9587541811926127, 0.999995212176856, 0.9567669175682681, 0.7385186388300127, 1.0], energy: 1.1175654072460004, package: 1.0 },
    FittedChip { name: "M3 Pro", rows: 1, latency: [0.9025463273367127, 0.9025463273367568, 1.0204200643972603, 1.1119874738547608, 1.003301349561681, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Max", rows: 2, latency: [1.0658525203981162, 1.065852520398276, 0.9999994456299622, 0.9637074614630645, 0.8857671419821935, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Ultra", rows: 33, latency: [1.2298766820632059, 1.2298766820632792, 1.143796853944878, 0.8883231128010374, 0.9363402628286237, 1.0, 1.0036721115320635], energy: 1.0, package: 1.0 },
    FittedChip { name: "M4", rows: 34, latency: [1.0336661158692977, 1.462029266374058, 1.1337094790095772, 0.7500945077505092, 1.0331377420255214, 0.5332537838703673, 1.0346269396817056], energy: 0.8166904805954801, package: 0.6397031342784119 },
    FittedChip { name: "M4 Pro", rows: 6, latency: [0.5662681232906444, 0.7175530181298868, 0.9546810295525586, 1.079867248637187, 1.2103093770059274, 0.7333343424182039, 1.1533747051751309], energy: 0.8460692192321124, package: 1.0 },
    FittedChip { name: "M4 Max", rows: 130, latency: [0.75128264448482, 1.1746817002040104, 1.015776068826951, 1.0726525013024708, 0.7977883694592911, 1.5186114599420193, 1.4342316972999254], energy: 0.9880948974475458, package: 0.8446075021869734 },
    FittedChip { name: "M5", rows: 13, latency: [0.7907322459743995, 0.7704588534136071, 0.995594325457918, 1.096656474214994, 1.0656774695250306, 1.235880090694366, 1.0], energy: 0.9052487936060281, package: 1.2567818639623154 },
    FittedChip { name: "M5 Pro", rows: 161, latency: [0.9505931359779918, 1.0, 1.0107007542441915, 1.4196947355825433, 1.021995247362626, 1.665074724045056, 1.0], energy: 0.9422715601963274, package: 2.1538531123099727 },
    FittedChip { name: "M5 Max", rows: 5, latency: [0.8892319873746897, 0.8892319873747392, 1.0123850810369273, 1.0004090231594884, 1.1168934539234718, 1.0, 1.7057216801132722], energy: 1.0, package: 1.0 },
    FittedChip { name: "M6", rows: 16, latency: [2.5304542450843615, 1.0, 1.1625228557209462, 0.9999936184229998, 1.0181938208415586, 1.019182568849357, 1.0], energy: 1.0, package: 1.0 },
];

/// static_w, pj_per_flop, pj_per_window_flop, pj_per_weight_byte, pj_per_activation_byte.
#[rustfmt::skip]
pub(super) static ENERGY: &[f64] = &[1.2058053110049765, 0.7335781743874518, 0.4382210541851902, 4.013829066359664, 8.969775682015742];

/// wait_w, host_w.
#[rustfmt::skip]
pub(super) static PACKAGE: &[f64] = &[1.034219431054173, 6.919286204123401];

/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or
/// more; chip left out; and that again, with logarithms half as wide again (an assumption).
#[rustfmt::skip]
pub(super) static SPREADS: [(f64, f64); 3] = [(0.8233292382207029, 1.2125507894834475), (0.6607893618209394, 1.3443997663182148), (0.5371487431259387, 1.5588080591615123)];

/// The same for energy, cross-validation by program.
#[rustfmt::skip]
pub(super) static ENERGY_SPREAD: (f64, f64) = (0.730928093319194, 1.5574525615297246);

/// Time in a loop over time alone: median of the 28 rows of 1 ms or more that have both.
pub(super) static SUSTAINED: f64 = 1.0093496683382375;

/// Ops of the published programs.
#[rustfmt::skip]
pub(super) static OPS: &[&str] = &["add", "cast", "concat", "conv", "dequantize", "gelu", "layer_norm", "linear", "matmul", "max_pool", "mul", "quantize", "real_div", "reduce_l2_norm", "reduce_mean", "reduce_sum", "reduce_sum_square", "relu", "reshape", "rsqrt", "sigmoid", "silu", "slice_by_size", "softmax", "sub", "tile", "transpose"];
