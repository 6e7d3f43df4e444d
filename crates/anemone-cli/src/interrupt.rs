//! Ctrl-C: the first asks for an orderly end, the second gets an immediate one. Commands that have nothing to save do not listen,
//! and end at the first.

use crate::error::CliError;
use std::sync::atomic::{AtomicUsize, Ordering};

static ASKED: AtomicUsize = AtomicUsize::new(0);

/// Listens for Ctrl-C (and SIGTERM, SIGHUP) from here on.
pub(crate) fn listen() -> Result<(), CliError> {
    ctrlc::set_handler(|| {
        if ASKED.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    })
    .map_err(|error| CliError::failed(format!("Ctrl-C cannot be handled: {error}")))
}

/// Whether an end was asked for.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) > 0
}

/// Ends the command if that was asked for.
pub(crate) fn check() -> Result<(), CliError> {
    if asked() { Err(CliError::Interrupted) } else { Ok(()) }
}
