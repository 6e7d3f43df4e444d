//! States: everything that outlives one call.

use crate::{RunError, Tensor, TensorError};
use mil::TensorType;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Named tensors that outlive a call: weights, optimizer moments, statistics, caches, counters.
///
/// A handle: clones share the storage, so several executables can work on the same states. A state keeps
/// its memory for as long as it exists; [`States::set`] copies into it.
#[derive(Clone, Debug, Default)]
pub struct States {
    store: Arc<Mutex<BTreeMap<String, Tensor>>>,
}

impl States {
    /// No states.
    pub fn new() -> States {
        States::default()
    }

    /// Locks the states for reading or writing several at once.
    pub fn lock(&self) -> StateGuard<'_> {
        // A panic while holding the lock leaves tensors whole; their values are then the panicking caller's affair.
        StateGuard(self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A copy of a state's value.
    pub fn get(&self, name: &str) -> Option<Tensor> {
        self.lock().get(name).cloned()
    }

    /// Type of a state.
    pub fn ty(&self, name: &str) -> Option<TensorType> {
        self.lock().get(name).map(|tensor| tensor.ty().clone())
    }

    /// Sets an existing state.
    ///
    /// # Errors
    /// When there is no such state or the type differs.
    pub fn set(&self, name: &str, value: &Tensor) -> Result<(), RunError> {
        let mut guard = self.lock();
        let tensor = guard.get_mut(name).ok_or_else(|| RunError::NoState { name: name.to_string() })?;
        if tensor.ty() != value.ty() {
            return Err(RunError::Type {
                what: "state",
                name: name.to_string(),
                expected: tensor.ty().clone(),
                found: value.ty().clone(),
            });
        }
        tensor.bytes_mut().copy_from_slice(value.bytes());
        Ok(())
    }

    /// Adds a state of zeros unless one of that name exists. Returns the type held.
    pub fn ensure(&self, name: &str, ty: &TensorType) -> Result<TensorType, TensorError> {
        let mut guard = self.lock();
        if let Some(tensor) = guard.get(name) {
            return Ok(tensor.ty().clone());
        }
        guard.insert(name.to_string(), Tensor::zeros(ty.clone())?);
        Ok(ty.clone())
    }

    /// Bytes held by all states.
    pub fn bytes(&self) -> usize {
        self.lock().values().map(|tensor| tensor.bytes().len()).sum()
    }
}

/// The states while locked: a sorted map from name to tensor. Tensors must not be replaced by ones of
/// another type.
#[derive(Debug)]
pub struct StateGuard<'a>(MutexGuard<'a, BTreeMap<String, Tensor>>);

impl Deref for StateGuard<'_> {
    type Target = BTreeMap<String, Tensor>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
