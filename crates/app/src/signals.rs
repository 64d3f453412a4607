//! Ctrl-C and SIGTERM: the first asks to finish what is on the wire, the second stops at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::output::say;

/// Listens as long as it lives.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Cancelled by the first signal.
    pub(crate) drain: CancellationToken,
    /// Cancelled by the second signal.
    pub(crate) stop: CancellationToken,
    by_ctrl_c: Arc<AtomicBool>,
    /// Ends with this.
    _listener: JoinSet<()>,
}

impl Signals {
    /// Listens from now on; until then the signals end the process.
    ///
    /// # Errors
    /// If the system takes no handler.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let by_ctrl_c = Arc::new(AtomicBool::new(false));
        let mut listener = JoinSet::new();
        let tokens = (drain.clone(), stop.clone());
        let flag = Arc::clone(&by_ctrl_c);
        listener.spawn(async move {
            let (drain, stop) = tokens;
            for token in [drain, stop.clone()] {
                tokio::select! {
                    _ = interrupts.recv() => flag.store(true, Ordering::Relaxed),
                    _ = terminations.recv() => {}
                }
                token.cancel();
                if !stop.is_cancelled() {
                    say("stopping: answers on the wire are waited for; once more stops at once");
                }
            }
        });
        Ok(Self {
            drain,
            stop,
            by_ctrl_c,
            _listener: listener,
        })
    }

    /// Whether Ctrl-C was among them.
    pub(crate) fn interrupted(&self) -> bool {
        self.by_ctrl_c.load(Ordering::Relaxed)
    }
}
