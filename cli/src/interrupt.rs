//! Ctrl-C and requests to end. The first one lets long work end after the piece under way, so that what is done is written; the second one
//! ends the program at once.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Exit status of a program that Ctrl-C ended, as shells have it.
pub const STATUS: u8 = 130;

static PRESSED: AtomicUsize = AtomicUsize::new(0);

/// From now on the work asks [`pressed`]; before, Ctrl-C ends the program as it does any other.
pub fn listen() {
    let outcome = ctrlc::set_handler(|| {
        if PRESSED.fetch_add(1, Ordering::Relaxed) > 0 {
            std::process::exit(i32::from(STATUS));
        }
        let _ = writeln!(std::io::stderr(), "\nInterrupted: what is done will be written after the piece of work under way. Once more ends at once.");
    });
    if let Err(error) = outcome {
        log::warn!("Ctrl-C will lose what is done: {error}");
    }
}

/// Whether the work is to end.
pub fn pressed() -> bool {
    PRESSED.load(Ordering::Relaxed) > 0
}
