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
    85.35611521620964, // floor
    -0.37105528449890357, // floor_gen
    1.4412552777356624, // direct
    1.0218798557732451, // conv_eff
    0.930983616665431, // matmul_eff
    1.5153463612730238, // winograd
    1.9556627027994289, // int8
    2.5584692636416646, // rows_half
    7.822296788843726, // depth_half
    3.9417489283095697, // columns_half
    0.9381313300220203, // batched
    0.11609900242266265, // issue
    2.139688689760168, // planar_issue
    0.14484017968690843, // batch_issue
    86.12328617383042, // weight_bw
    0.4830518098429703, // weight_gen
    0.10777197548540098, // weight_dram
    2.6023946850730666, // prefetch
    0.5409768747915621, // lut
    0.49210698481029375, // sparse
    1.0008948001243754, // blockwise
    2.999294370280134, // slow_4096
    77.32233781809958, // act_bw
    0.2469373977123931, // act_gen
    0.13001431450275105, // act_dram
    1.5641377162654022, // on_chip
    83.54800958757536, // overflow
    4.078029975659078, // overflow_slow
    54.659033641331995, // planar
    22.625086481818464, // relayout
    2.078975187995671, // regroup
    3.282836725576715, // regroup_slow
    0.3581520838257687, // conv_traffic
    50.95510167412311, // spill
    3.8260053618999765, // spill_slow
    75.08406474710867, // port_bw
    384.99760470541196, // port_spill
    0.7985429611197498, // port_slow
    16.5554438550992, // host_bw
    8.749582134667726, // host_row
    0.6664246527630759, // host_gen
    0.20079824041001965, // host_dram
    4.7921857284389136, // overlap
    2.953305199204482, // cpu
    0.43925451351219647, // cpu_gen
    144.90434472356222, // update
    17.31294069666227, // stage
    0.4999830722886137, // second_code
    8.31866941176742, // paging
];

/// Measured chips; `latency` is floor, direct, compute, weight, act, host, cpu.
#[rustfmt::skip]
pub(super) static CHIPS: &[FittedChip] = &[
    FittedChip { name: "M1", rows: 12, latency: [0.8654782816032216, 1.0, 0.9931840679270846, 1.4680728319687206, 1.0806289868024328, 1.1243422769415705, 1.0], energy: 1.2916217819979088, package: 0.5648715983785848 },
    FittedChip { name: "M1 Pro", rows: 2, latency: [0.9930896491322112, 0.993089649132211, 1.0003856861978648, 1.0004909953028482, 1.0032748920500931, 1.0, 0.9920335836711534], energy: 1.0, package: 1.0 },
    FittedChip { name: "M1 Max", rows: 12, latency: [1.180748079917587, 1.0, 1.0451913823873924, 1.0857624791153575, 0.9534106348147009, 0.899822031664086, 1.0], energy: 0.8515285892357889, package: 1.4739773534247989 },
    FittedChip { name: "M2 Pro", rows: 12, latency: [0.9034010009826201, 1.0, 1.0089143649530783, 0.4992962833555372, 1.178681013797578, 1.0182113415901168, 1.0], energy: 1.1588926689181616, package: 0.7660045220390179 },
    FittedChip { name: "M2 Max", rows: 5, latency: [1.2411564078702928, 1.0, 0.9550815443827623, 0.9999937252654864, 0.9576753013807227, 0.7309020901871527, 1.0], energy: 1.1197867784338862, package: 1.0 },
    FittedChip { name: "M3 Pro", rows: 1, latency: [0.9030572413836015, 0.9030572413835943, 1.0201533698947554, 1.112729238221817, 1.003308701714278, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Max", rows: 2, latency: [1.078509499219136, 1.0785094992192115, 0.9999994689020332, 0.974983573093878, 0.8110961406667494, 1.0, 1.0], energy: 1.0, package: 1.0 },
    FittedChip { name: "M3 Ultra", rows: 33, latency: [1.240204924349496, 1.240204924350661, 1.1324978518734374, 0.9102749730416612, 0.9737236237771669, 1.0, 0.9794334787200651], energy: 1.0, package: 1.0 },
    FittedChip { name: "M4", rows: 34, latency: [1.0329646194269735, 1.4618274535600317, 1.133247144567107, 0.7489303203659572, 1.1002773654748879, 0.5353100869034784, 1.0383250437768288], energy: 0.815722353421493, package: 0.6322293900820832 },
    FittedChip { name: "M4 Pro", rows: 6, latency: [0.5694330932113939, 0.7227037426149674, 0.9528983023038164, 1.0829128820068754, 1.264078560435345, 0.7280594458161477, 1.155567555014414], energy: 0.8466427670977259, package: 1.0 },
    FittedChip { name: "M4 Max", rows: 130, latency: [0.7531848614265386, 1.167056914780521, 1.0165702349908219, 1.0634479358479372, 0.7739720133312448, 1.496816821756372, 1.4601404463475327], energy: 0.9865776335680418, package: 0.8508036388828246 },
    FittedChip { name: "M5", rows: 13, latency: [0.7885687763127, 0.7700596260384888, 0.9962378109244637, 1.09572514071705, 1.0755229754864002, 1.253461522398087, 1.0], energy: 0.9040583185887184, package: 1.2605046663818666 },
    FittedChip { name: "M5 Pro", rows: 161, latency: [0.9490122769425626, 1.0, 1.0278038194876515, 1.4042941574276333, 0.8875171451408599, 1.7573580176791705, 1.0], energy: 0.9376521957282677, package: 2.2315573093140397 },
    FittedChip { name: "M5 Max", rows: 5, latency: [0.8893296202296158, 0.8893296202296158, 1.0141090789414275, 1.0004815136224676, 1.1237178042298825, 1.0, 1.727850019997051], energy: 1.0, package: 1.0 },
    FittedChip { name: "M6", rows: 16, latency: [2.512617662279534, 1.0, 1.162980952701906, 0.9999916463594206, 1.013828111737799, 1.0113965875066206, 1.0], energy: 1.0, package: 1.0 },
];

/// static_w, pj_per_flop, pj_per_window_flop, pj_per_weight_byte, pj_per_activation_byte.
#[rustfmt::skip]
pub(super) static ENERGY: &[f64] = &[1.2068362655010687, 0.7329187128203951, 0.43816111079795517, 4.072561570858912, 8.903793204875294];

/// wait_w, host_w.
#[rustfmt::skip]
pub(super) static PACKAGE: &[f64] = &[1.0231994926849857, 7.00777230498651];

/// Measured over predicted, 10th and 90th percentile, by provenance: cross-validation by program on chips with ten rows or
/// more; chip left out; and that again, with logarithms half as wide again (an assumption).
#[rustfmt::skip]
pub(super) static SPREADS: [(f64, f64); 3] = [(0.8162725446781226, 1.211340967791819), (0.6589455722123492, 1.3590434946744105), (0.5349021162739269, 1.5843460086661016)];

/// The same for energy, cross-validation by program.
#[rustfmt::skip]
pub(super) static ENERGY_SPREAD: (f64, f64) = (0.710367917708529, 1.5612345915574193);

/// Time in a loop over time alone: median of the 28 rows of 1 ms or more that have both.
pub(super) static SUSTAINED: f64 = 1.0093496683382375;

/// Ops of the published programs.
#[rustfmt::skip]
pub(super) static OPS: &[&str] = &["add", "cast", "concat", "conv", "dequantize", "gelu", "layer_norm", "linear", "matmul", "max_pool", "mul", "quantize", "real_div", "reduce_l2_norm", "reduce_mean", "reduce_sum", "reduce_sum_square", "relu", "reshape", "rsqrt", "sigmoid", "silu", "slice_by_size", "softmax", "sub", "tile", "transpose"];
