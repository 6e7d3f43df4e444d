//! How a product is cut into tasks. Pure arithmetic; nothing here can change a result, only its speed.
//!
//! `K` is never cut between tasks. One side of `C`, the longer, is cut into stripes. A task packs its stripe
//! of the long operand itself, block by block, into its own cache; the short operand, which every stripe
//! needs, is packed once beforehand and shared. If that gives too few tasks, the short side is cut too and
//! both operands are shared. A batch of small products is cut into its items, each packing what it needs.

use super::K_BLOCK;

/// Products below this many multiply-adds run on the calling thread: waking another one costs a few
/// microseconds.
pub(super) const PARALLEL_MIN: usize = 1 << 20;
/// Batch items of at least this many multiply-adds are cut into stripes one after the other.
const LARGE_ITEM: usize = 1 << 24;
/// Floats of one operand that a task packs for itself: with the other operand's panels they stay in the L2
/// cache.
const LOCAL_LEN: usize = 96 << 10;
/// Floats of a tile of sums, when the output cannot hold them.
const SUMS_LEN: usize = 64 << 10;
/// Floats of one operand packed at once for all tasks.
const SHARED_LEN: usize = 1 << 20;
/// The longest stretch of `k` packed at once for all tasks.
const SHARED_DEPTH: usize = 16 * K_BLOCK;
/// The longest stretch of `k` packed at once for all tasks if `K` cannot be cut. Beyond it, tasks pack for themselves.
const LONGEST_SHARED: usize = 1 << 16;
/// Tasks per thread, so that a thread that was late or slow can be helped out.
const TASKS_PER_THREAD: usize = 4;

/// The facts that the cutting depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Problem {
    /// `[M, N]`.
    pub(super) sides: [usize; 2],
    pub(super) depth: usize,
    pub(super) items: usize,
    pub(super) threads: usize,
    /// The panel widths of `A` and `B`.
    pub(super) widths: [usize; 2],
    /// Whether `A`, `B` are packed already.
    pub(super) ready: [bool; 2],
    /// Whether sums are kept in a tile beside the output.
    pub(super) beside: bool,
}

/// How to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Whether tasks may run on several threads.
    pub(super) parallel: bool,
    /// Tasks come from all items at once, rather than from one item after the other.
    pub(super) over_items: bool,
    /// The part of `M`, `N` and `K` worked on between two rounds of shared packing.
    pub(super) chunk: [usize; 3],
    /// The part of `M` and `N` of one task.
    pub(super) block: [usize; 2],
    /// Whether `A`, `B` are packed once for all tasks.
    pub(super) share: [bool; 2],
}

/// Cuts a product with at least one element.
pub(super) fn plan(problem: &Problem) -> Plan {
    let [m, n] = problem.sides;
    let item_work = m.saturating_mul(n).saturating_mul(problem.depth.max(1));
    let parallel = problem.threads > 1 && item_work.saturating_mul(problem.items) >= PARALLEL_MIN;
    let problem = &Problem { threads: if parallel { problem.threads } else { 1 }, ..*problem };
    if problem.items > 1 && item_work < LARGE_ITEM {
        plan_items(problem, parallel)
    } else {
        plan_stripes(problem, parallel)
    }
}

/// The most lines of a side (0 for `M`, 1 for `N`) that a task may pack for itself.
fn local_lines(problem: &Problem, side: usize) -> usize {
    let width = problem.widths[side];
    (LOCAL_LEN / problem.depth.clamp(1, K_BLOCK) / width).max(1) * width
}

fn plan_items(problem: &Problem, parallel: bool) -> Plan {
    let mut block = problem.sides;
    for (side, lines) in block.iter_mut().enumerate() {
        if !problem.ready[side] {
            *lines = local_lines(problem, side).min(*lines);
        }
    }
    if parallel && problem.items < 2 * problem.threads {
        let long = usize::from(block[1] >= block[0]);
        block[long] = cut(block[long], (2 * problem.threads).div_ceil(problem.items), problem.widths[long]);
    }
    limit_sums(problem, &mut block);
    Plan {
        parallel,
        over_items: true,
        chunk: [problem.sides[0], problem.sides[1], problem.depth],
        block,
        share: [false; 2],
    }
}

fn plan_stripes(problem: &Problem, parallel: bool) -> Plan {
    let long = usize::from(problem.sides[1] >= problem.sides[0]);
    let short = 1 - long;
    let wanted = if parallel { TASKS_PER_THREAD * problem.threads } else { 1 };
    let mut block = problem.sides;
    let stripes = block[long].div_ceil(local_lines(problem, long)).max(wanted);
    block[long] = cut(block[long], stripes, problem.widths[long]);
    let stripes = problem.sides[long].div_ceil(block[long]);
    let few_rows = long == 0 && problem.sides[0].div_ceil(problem.widths[0]) < wanted;
    if parallel && few_rows && !problem.ready[0] {
        // Whole panels would come out uneven. A task that packs its own rows may begin anywhere.
        block[0] = problem.sides[0].div_ceil(problem.threads);
    } else if stripes < wanted {
        block[short] = cut(block[short], wanted.div_ceil(stripes), problem.widths[short]);
    }
    limit_sums(problem, &mut block);

    // With the sums beside the output, a task must see the whole of K.
    let depth = if problem.beside { problem.depth } else { problem.depth.min(SHARED_DEPTH) };
    let mut share = [false; 2];
    let mut chunk = [problem.sides[0], problem.sides[1], problem.depth];
    for side in 0..2 {
        let repeated = block[1 - side] < problem.sides[1 - side];
        share[side] = repeated && !problem.ready[side] && depth <= LONGEST_SHARED;
        if share[side] {
            chunk[2] = depth;
            let lines = (SHARED_LEN / depth.max(1)).max(8 * problem.widths[side]);
            chunk[side] = chunk[side].min(lines.next_multiple_of(problem.widths[side]));
        }
    }
    for (lines, most) in block.iter_mut().zip(chunk) {
        *lines = most.min(*lines);
    }
    Plan { parallel, over_items: false, chunk, block, share }
}

/// The size of one of `pieces` nearly equal parts of `total`, in whole panels.
fn cut(total: usize, pieces: usize, width: usize) -> usize {
    total.div_ceil(pieces).next_multiple_of(width).min(total)
}

/// Makes a task's tile of sums fit, by halving its longer side.
fn limit_sums(problem: &Problem, block: &mut [usize; 2]) {
    while problem.beside && block[0] * block[1] > SUMS_LEN {
        let side = usize::from(block[1] >= block[0]);
        block[side] = cut(block[side], 2, problem.widths[side]);
    }
}
