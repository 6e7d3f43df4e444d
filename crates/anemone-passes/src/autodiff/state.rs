//! Reading and writing state.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient};

pub(super) static RULES: &[(&str, Rule)] = &[("read_state", Vjp(read)), ("coreml_update_state", Vjp(update))];

/// Before any write, what is read is where differentiation ends (the value is its own `wrt`); after one, it is what
/// was written.
fn read(g: &mut Gradient<'_>) -> Done {
    let Some(written) = g.carried() else { return Ok(()) };
    let dy = g.dy_small()?;
    g.give_value(written, dy)
}

fn update(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give("value", dy)
}
