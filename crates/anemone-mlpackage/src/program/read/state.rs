//! Reads state updates, which are two operations in files: `write_state`, and `read_state` where the result is used.

use super::operation::unknown_op;
use super::{Reader, named_type};
use crate::program::{UPDATE_STATE, WRITE_STATE, WRITE_SUFFIX, values};
use crate::proto::schema::{binding, operation};
use crate::proto::wire::{Fault, Fields, Read, Within, entry, once};
use mil::{Def, Op, Operation, Type, Value};
use smallvec::smallvec;

impl<'a> Reader<'a, '_> {
    /// `write_state(input = state, data = value)`, without output: a `coreml_update_state` whose result nobody uses.
    pub(super) fn write_state(&mut self, bytes: &'a [u8], to: &mut Vec<Operation>) -> Read<()> {
        use operation as m;
        let op = Op::named(UPDATE_STATE).ok_or_else(|| unknown_op(WRITE_STATE))?;
        let [mut state, mut data] = [None; 2];
        let mut name = None;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE => {}
                m::INPUTS => {
                    let (param, value) = entry(field.bytes()?)?;
                    let slot = match param {
                        "input" => &mut state,
                        "data" => &mut data,
                        _ => return Err(Fault::new(format!("write_state has no parameter `{param}`"))),
                    };
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    once(slot, &field, value)?;
                }
                m::ATTRIBUTES => {
                    let (key, value) = entry(field.bytes()?)?;
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    if key != "name" {
                        return Err(Fault::new(format!("write_state has no attribute `{key}`")));
                    }
                    once(&mut name, &field, values::read_string(value)?)?;
                }
                m::OUTPUTS => return Err(Fault::new("write_state has no outputs")),
                m::BLOCKS => return Err(Fault::new("write_state has no blocks")),
                _ => return field.unknown(m::MESSAGE),
            }
        }
        let (Some(state), Some(data)) = (state, data) else {
            return Err(Fault::new("write_state needs `input` and `data`"));
        };
        let state = self.argument(state, false).within(|| "`input`")?;
        let data = self.argument(data, false).within(|| "`data`")?;
        let held = data.values().iter().map(|&id| self.function.ty(id)).find_map(Type::as_tensor).cloned();
        let held = held.ok_or_else(|| Fault::new("`data` must be a tensor"))?;
        let mut update = Operation::new(op, smallvec![state, data]);
        // coremltools names the half after the whole; the whole's name is that of its result.
        let whole = name.as_deref().and_then(|name| name.strip_suffix(WRITE_SUFFIX)).map(str::to_string);
        update.name = name.filter(|_| whole.is_none());
        let output = Value { name: whole, ty: Type::Tensor(held), def: Def::Op };
        update.outputs.push(self.function.add_value(output));
        to.push(update);
        Ok(())
    }

    /// Whether a `read_state` is the second half of the update just before it: of the same state, under the same name.
    pub(super) fn merges(&self, bytes: &'a [u8], to: &[Operation]) -> Read<bool> {
        let Some(last) = to.last().filter(|last| last.op.name == UPDATE_STATE) else { return Ok(false) };
        let whole = last.outputs.first().and_then(|&id| self.function.value(id).name.as_deref());
        let (mut same_state, mut same_name) = (false, false);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                operation::INPUTS => {
                    let (_, value) = entry(field.bytes()?)?;
                    let name = value.map(|value| bound_name(value.bytes()?)).transpose()?.flatten();
                    let state = name.and_then(|name| self.names.get(name));
                    same_state = state.is_some_and(|&state| last.args[0].values() == [state]);
                }
                operation::OUTPUTS => same_name = whole == Some(named_type(field.bytes()?)?.0),
                _ => {}
            }
        }
        // A result that has its name already was read before.
        Ok(same_state && same_name && !whole.is_some_and(|name| self.names.contains_key(name)))
    }

    /// Gives the update the result of the `read_state` that follows it.
    pub(super) fn merge(&mut self, bytes: &'a [u8], to: &mut [Operation]) -> Read<()> {
        use operation as m;
        // The input is the update's state, as `merges` has found; it is read so that nothing else in it is lost.
        let (mut input, mut output, mut own) = (None, None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE => {}
                m::INPUTS => {
                    let (param, value) = entry(field.bytes()?)?;
                    if param != "input" {
                        return Err(Fault::new(format!("read_state has no parameter `{param}`")));
                    }
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    once(&mut input, &field, self.argument(value, false).within(|| "`input`")?)?;
                }
                m::OUTPUTS => once(&mut output, &field, named_type(field.bytes()?).within(|| "outputs")?)?,
                m::ATTRIBUTES => {
                    let (key, value) = entry(field.bytes()?)?;
                    if key != "name" {
                        return Err(Fault::new(format!("read_state has no attribute `{key}`")));
                    }
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    once(&mut own, &field, values::read_string(value).within(|| "name")?)?;
                }
                m::BLOCKS => return Err(Fault::new("read_state has no blocks")),
                _ => return field.unknown(m::MESSAGE),
            }
        }
        let (name, ty) = output.ok_or_else(|| Fault::new("read_state has one output"))?;
        let Some(update) = to.last_mut() else {
            return Err(Fault::new("read_state has no update before it"));
        };
        update.name = own.filter(|own| own != name);
        for &id in &update.outputs {
            self.bind(name, id)?;
            self.function.values[id.index()].ty = ty.clone();
        }
        Ok(())
    }
}

/// The name bound by an argument of one name.
fn bound_name(bytes: &[u8]) -> Read<Option<&str>> {
    let Some(field) = Fields::new(bytes).next().transpose()? else { return Ok(None) };
    let Some(inner) = Fields::new(field.bytes()?).next().transpose()? else { return Ok(None) };
    if inner.number == binding::NAME { inner.string().map(Some) } else { Ok(None) }
}
