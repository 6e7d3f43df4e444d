//! Choice between values.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient};

pub(super) static RULES: &[(&str, Rule)] = &[("select", Vjp(select))];

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
