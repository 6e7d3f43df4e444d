//! Lists of tensors, as interpreted programs hold them.

use super::alone::Fault;
use mil::{Constant, DataType, OpView, Shape, TensorType, Type};
use std::sync::Arc;

/// More elements than this are refused: an index is data, and must not ask for memory at will.
const MOST: usize = 1 << 24;

/// A list. Elements that were never written are zeros, whose shape must then be known.
#[derive(Clone, Debug)]
pub(super) struct List {
    element: TensorType,
    grows: bool,
    items: Vec<Option<Constant>>,
}

fn fault<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Run(message.into()))
}

/// `make_list`.
pub(super) fn make(view: &OpView<'_>, init_length: Option<&Constant>) -> Result<List, Fault> {
    let Type::List(ty) = view.function.ty(view.operation.outputs[0]) else { return fault("gives no list") };
    let length = match init_length {
        Some(length) => index_of(length)?.first().copied().unwrap_or(0),
        None => 1,
    };
    let length = usize::try_from(length).ok().filter(|&length| length <= MOST);
    let Some(length) = length else { return fault(format!("`init_length` must be 0 to {MOST}")) };
    Ok(List { element: ty.element.clone(), grows: view.bool("dynamic_length")?, items: vec![None; length] })
}

fn index_of(constant: &Constant) -> Result<Vec<i64>, Fault> {
    constant.to_i64().map_or_else(|| fault("an index must be an integer"), Ok)
}

impl List {
    /// `list_length`.
    pub(super) fn length(&self) -> Result<Constant, Fault> {
        Ok(Constant::scalar(self.items.len() as i32))
    }

    /// `list_read`.
    pub(super) fn read(&self, index: &Constant) -> Result<Constant, Fault> {
        match index_of(index)?.as_slice() {
            &[index] => self.element(index),
            _ => fault("`index` must be one integer"),
        }
    }

    fn element(&self, index: i64) -> Result<Constant, Fault> {
        let item = usize::try_from(index).ok().and_then(|at| self.items.get(at));
        match item {
            None => {
                fault(format!("index {index} is outside the list, which has {} elements", self.items.len()))
            }
            Some(Some(constant)) => Ok(constant.clone()),
            Some(None) if self.element.shape.is_known() => zeros(&self.element),
            Some(None) => fault(format!("element {index} was never written, and its shape is not known")),
        }
    }

    /// `list_gather`.
    pub(super) fn gather(&self, indices: &Constant) -> Result<Constant, Fault> {
        let mut bytes = Vec::new();
        let indices = index_of(indices)?;
        let mut element = self.element.clone();
        for (at, &index) in indices.iter().enumerate() {
            let item = self.element(index)?;
            if at == 0 {
                element = item.ty().clone();
            } else if element != *item.ty() {
                return fault(format!("element {index} is {}, but others are {element}", item.ty()));
            }
            bytes.extend_from_slice(item.bytes());
        }
        let shape: Shape = [indices.len()].iter().chain(element.shape.iter()).copied().collect();
        if !shape.is_known() {
            return fault("nothing is gathered, and the shape of elements is not known");
        }
        make_constant(element.with_shape(shape), bytes)
    }

    /// `list_write`.
    pub(super) fn write(mut self, index: &Constant, value: Constant) -> Result<List, Fault> {
        match index_of(index)?.as_slice() {
            &[index] => self.set(index, value)?,
            _ => return fault("`index` must be one integer"),
        }
        Ok(self)
    }

    /// `list_scatter`.
    pub(super) fn scatter(mut self, indices: &Constant, value: &Constant) -> Result<List, Fault> {
        let indices = index_of(indices)?;
        let [count, element @ ..] = &*value.ty().shape else {
            return fault("`value` must have a first dimension");
        };
        if indices.len() != *count {
            return fault(format!("{} indices were given for {count} values", indices.len()));
        }
        let ty = value.ty().with_shape(element);
        let size = ty.bytes();
        for (at, index) in indices.into_iter().enumerate() {
            let bytes = value.bytes()[at * size..(at + 1) * size].to_vec();
            self.set(index, make_constant(ty.clone(), bytes)?)?;
        }
        Ok(self)
    }

    fn set(&mut self, index: i64, value: Constant) -> Result<(), Fault> {
        let length = self.items.len();
        let at = usize::try_from(index).ok().filter(|&at| at < if self.grows { MOST } else { length });
        let Some(at) = at else {
            let kind =
                if self.grows { format!("can grow to {MOST}") } else { "has a fixed length".to_string() };
            return fault(format!(
                "index {index} is outside the list, which has {length} elements and {kind}"
            ));
        };
        if at >= length {
            self.items.resize(at + 1, None);
        }
        self.items[at] = Some(value);
        Ok(())
    }
}

fn zeros(ty: &TensorType) -> Result<Constant, Fault> {
    match ty.checked_bytes() {
        Some(bytes) => make_constant(ty.clone(), vec![0; bytes]),
        None => fault(format!("{ty} has more elements than memory can hold")),
    }
}

fn make_constant(ty: TensorType, bytes: Vec<u8>) -> Result<Constant, Fault> {
    debug_assert_ne!(ty.dtype, DataType::String);
    Constant::from_storage(ty, Arc::new(bytes)).map_err(|error| Fault::Run(error.to_string()))
}
