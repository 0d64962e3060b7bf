//! Signals: the first asks to finish, the second to leave.

use tokio::signal::unix::{signal, SignalKind};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Tokens that SIGTERM and SIGINT cancel: `stop` at the first, `halt` at the second.
pub fn listen() -> std::io::Result<(CancellationToken, CancellationToken)> {
    let (stop, halt) = (CancellationToken::new(), CancellationToken::new());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let tokens = (stop.clone(), halt.clone());
    tokio::spawn(async move {
        let mut seen = 0;
        loop {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                else => return,
            };
            seen += 1;
            if seen == 1 {
                info!(signal = name, "stopping: no more is claimed; a second signal leaves at once");
                stop.cancel();
            } else {
                warn!(signal = name, "leaving at once");
                halt.cancel();
            }
        }
    });
    Ok(tokens)
}
