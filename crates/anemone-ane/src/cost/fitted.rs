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
    85.6278905364695, // floor
    -0.3759308490456794, // floor_gen
    1.4972075381094436, // direct
    1.0446088449954267, // conv_eff
    0.9753618711712435, // matmul_eff
    1.6007586857036327, // winograd
    2.0065082834404824, // int8
    3.2112491392585847, // rows_half
    8.335344886452827, // depth_half
    4.374613319654371, // columns_half
    1.0903843777491018, // batched
    0.13032644947151636, // issue
    2.2519901486747163, // planar_issue
    0.15726388555328957, // batch_issue
    87.4572361636138, // weight_bw
    0.4998293989499242, // weight_gen
    0.11509842677302674, // weight_dram
    2.6362009090901743, // prefetch
    0.5409991901840462, // lut
    0.4944837411893051, // sparse
    0.9968341180119206, // blockwise
    3.037279885018159, // slow_4096
    72.38001168478596, // act_bw
    0.2624783061233498, // act_gen
    0.061084868606417805, // act_dram
    1.653027855763517, // on_chip
    82.97206491357005, // overflow
    4.260485080133096, // overflow_slow
    55.57523642746132, // planar
    33.301227610038616, // relayout
    1.7083887951591767, // regroup
    3.1065466725599276, // regroup_slow
    0.3595348011799724, // conv_traffic
    48.99164679897868, // spill
    4.064868276763425, // spill_slow
    74.32524240486029, // port_bw
    305.2058315685917, // port_spill
    0.8714705900118599, // port_slow
    16.291073316254757, // host_bw
    8.406306752032314, // host_row
    0.6768876701774963, // host_gen
    0.2533823885291304, // host_dram
    4.224703517939968, // overlap
    5.19201372512433, // cpu
    0.47690913480676217, // cpu_gen
    72.20225086933095, // stage
    0.41113350143688965, // threads
    13.064606974494016, // paging
];

/// Measured chips; `latency` is floor, direct, compute, weight, act, host, cpu.
#[rustfmt::skip]
pub(super) static CHIPS: &[FittedChip] = &[
    FittedChip { name: "M1", rows: 12, latency: [0.8900887633804896, 1.0, 0.9993924600272114, 1.3499296647167929, 1.0615066657640948, 1.184587535227247, 1.0], energy: 1.280449815189595, package: 0.5714944157646218 },
    FittedChip { name: "M1 Pro", rows: 2, latency: [0.9895692060707048, 0.9895692060707042, 1.0007385923291694, 1.0009543636468698, 1.0047673360539238, 1.0, 1.0204485013546571], energy: 1.0, package: 1.0 },
    FittedChip { name: "M1 Max", rows: 12, latency: [1.1685985818093487, 1.0, 1.0363503849120375, 1.075983980645293, 0.9551010892378597, 0.8882220448343233, 1.0], energy: 0.8712453902514176, package: 1.4722862344748577 },
    FittedChip { name: "M2 Pro", rows: 12, latency: [0.9137647720568353, 1.0, 0.9881651333960525, 0.5699821548990371, 1.1201882211436751, 1.056221761365972, 1.0], energy: 1.213637505486879, package: 0.7796945185473025 },
    FittedChip { name: "M2 Max", rows: 5, latency: [1.1863629143709562, 1.0, 0.9647816355902205, 0.9999850031640884, 0.9492742297063588, 0.7195306049001736, 1.0], energy: 1.0935795012867104, package: 1.0 },
    FittedChip { name: "M3 Pro", rows: 1, latency: [0.9224453519389952, 0.9224453519389952, 1.0193422945883228, 1.092006287025263, 1.002484988863372, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Max", rows: 2, latency: [1.0549548297180071, 1.0549548297178235, 0.9999975156412797, 0.9680181896937285, 0.9183258507136284, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Ultra", rows: 33, latency: [1.1991486337170036, 1.1991486337172057, 1.0481848364255564, 0.9227485468240371, 0.9896141925462362, 1.0, 0.7849186402774068], energy: 1.0, package: 1.0 },
    FittedChip { name: "M4", rows: 34, latency: [1.0413188645455629, 1.3606605226230535, 1.0911865957598161, 0.7742112479487099, 1.044411446909424, 0.5575599025339364, 0.9434665101452324], energy: 0.800223030059098, package: 0.6490727146595702 },
    FittedChip { name: "M4 Pro", rows: 6, latency: [0.6760968794710177, 0.7763347691414018, 0.9630933404164115, 1.0843545444438463, 1.1407185166322835, 0.8190669798502153, 1.136258606214446], energy: 0.918507736191262, package: 1.0 },
    FittedChip { name: "M4 Max", rows: 130, latency: [0.7464287346893503, 1.1291242990522248, 1.0032815007173292, 1.0473413339777007, 0.8219265510865337, 1.4067017772281845, 1.5031630034032761], energy: 0.9571861745893273, package: 0.8310081710235481 },
    FittedChip { name: "M5", rows: 13, latency: [0.7644340422699646, 0.7802810050267438, 0.9990268940296341, 1.0591996541681847, 1.0571291415751665, 1.1880847727677293, 1.0], energy: 0.9138132498580332, package: 1.221137869629721 },
    FittedChip { name: "M5 Pro", rows: 161, latency: [0.9490737384346251, 1.0, 0.9935206946049829, 1.3700732501527173, 1.011994529156451, 1.6484985395912144, 1.0], energy: 0.8102299718172267, package: 2.23107268327404 },
    FittedChip { name: "M5 Max", rows: 5, latency: [0.9691208381605572, 0.9691208381605565, 0.9934486574228982, 0.9998152069502231, 0.9802442670113184, 1.0, 1.4384332822483294], energy: 1.0, package: 1.0 },
    FittedChip { name: "M6", rows: 16, latency: [2.123243165814835, 1.0, 1.1241346010046653, 0.9999851770296632, 1.013585161982621, 0.9844921870886635, 1.0], energy: 1.0, package: 1.0 },
];

/// static_w, pj_per_flop, pj_per_weight_byte, pj_per_activation_byte.
#[rustfmt::skip]
pub(super) static ENERGY: &[f64] = &[1.325557482566842, 0.6371130679705225, 5.349706645869035, 7.921520022275301];

/// wait_w, host_w.
#[rustfmt::skip]
pub(super) static PACKAGE: &[f64] = &[1.0404640844993664, 6.871690391379902];

/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or
/// more; chip left out; and that again, with logarithms half as wide again (an assumption).
#[rustfmt::skip]
pub(super) static SPREADS: [(f64, f64); 3] = [(0.8267468245778231, 1.2508614518620713), (0.6256051379232297, 1.3464431055856556), (0.4948236633743433, 1.5623632334882702)];

/// The same for energy, cross-validation by program.
#[rustfmt::skip]
pub(super) static ENERGY_SPREAD: (f64, f64) = (0.6022155704805143, 1.527290842063993);

/// Time in a loop over time alone: median of the 28 rows of 1 ms or more that have both.
pub(super) static SUSTAINED: f64 = 1.0093496683382375;

/// Ops of the published programs.
#[rustfmt::skip]
pub(super) static OPS: &[&str] = &["add", "cast", "concat", "conv", "dequantize", "gelu", "layer_norm", "linear", "matmul", "max_pool", "mul", "quantize", "real_div", "reduce_l2_norm", "reduce_mean", "reduce_sum", "reduce_sum_square", "relu", "reshape", "rsqrt", "sigmoid", "silu", "slice_by_size", "softmax", "sub", "tile", "transpose"];
