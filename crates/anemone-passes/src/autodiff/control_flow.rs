//! Choice between values. Blocks and lists are refused: their functions are not static, and gradients are made of operations
//! whose shapes are known.

use super::Rule::{self, Refused, Vjp};
use super::context::{Done, Gradient};

const BLOCKS: &str = "functions with blocks are refused; unroll, or use `select`";
const LISTS: &str = "functions with lists are refused; use `stack` and `gather`";

pub(super) static RULES: &[(&str, Rule)] = &[
    ("cond", Refused(BLOCKS)),
    ("list_gather", Refused(LISTS)),
    ("list_length", Refused(LISTS)),
    ("list_read", Refused(LISTS)),
    ("list_scatter", Refused(LISTS)),
    ("list_write", Refused(LISTS)),
    ("make_list", Refused(LISTS)),
    ("select", Vjp(select)),
    ("while_loop", Refused(BLOCKS)),
];

fn select(g: &mut Gradient<'_>) -> Done {
    let cond = g.arg("cond")?;
    let dy = g.dy_small()?;
    if g.wants("a") {
        let da = g.keep_where(cond, dy)?;
        g.give_broadcast("a", da)?;
    }
    if g.wants("b") {
        let db = g.drop_where(cond, dy)?;
        g.give_broadcast("b", db)?;
    }
    Ok(())
}
