//! Reading and writing state.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};

pub(super) static RULES: &[(&str, Rule)] = &[("read_state", Vjp(read)), ("coreml_update_state", Vjp(update))];

/// Before any write, what is read is where differentiation ends (the value is its own `wrt`); after one, it is what
/// was written.
fn read(g: &mut Gradient<'_>) -> Done {
    let Some(held) = g.held() else { return Ok(()) };
    if held.in_block {
        return Err(RuleError::Unsupported(
            "the state was written in a block before, and what was written cannot be seen outside of it; return the value from \
             the block, and write it after"
                .into(),
        ));
    }
    let dy = g.dy_small()?;
    held.values.iter().try_for_each(|&written| g.give_value(written, dy))
}

fn update(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give("value", dy)
}
