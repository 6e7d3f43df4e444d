//! Choice, loops and lists.
//!
//! What a block computed cannot be seen outside of it, so the backward block computes it once more and goes back from
//! there: no value of a branch or a turn has to be kept for it. A loop keeps the variables that each turn began with.

mod choice;
mod lists;
mod record;
mod repeat;
mod replay;

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient};
pub(super) use lists::{add as add_lists, zeros_like};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("cond", Vjp(choice::cond)),
    ("list_gather", Vjp(lists::gather)),
    ("list_length", NoGradient("a number of elements is an integer")),
    ("list_read", Vjp(lists::read)),
    ("list_scatter", Vjp(lists::scatter)),
    ("list_write", Vjp(lists::write)),
    ("make_list", NoGradient("its elements are zeros")),
    ("select", Vjp(select)),
    ("while_loop", Vjp(repeat::while_loop)),
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
