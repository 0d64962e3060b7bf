//! A TCP proxy that does to connections what networks do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{copy, copy_bidirectional, sink, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tradeflow_fakes::thread::Served;

/// A running proxy in front of one server. Dropping it ends it, with all connections.
///
/// It has a thread and a runtime of its own, so it works while the test blocks.
pub struct Proxy {
    served: Served,
    fate: watch::Sender<Fate>,
}

/// What happens to the connections there are; later ones are not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Flow,
    /// Both sides see a reset.
    Cut,
    /// Neither side hears of the other again, and neither is told: half open.
    Silence,
    /// The server hears, and what it says is lost.
    Deaf,
}

impl Proxy {
    /// Starts one in front of `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let (fate, fates) = watch::channel(Fate::Flow);
        let served = Served::start("127.0.0.1:0", move |listener| async move {
            accept(&listener, upstream, &fates).await;
        })
        .expect("a free port");
        Self { served, fate }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.served.address()
    }

    /// Resets the connections there are.
    pub fn cut(&self) {
        self.fate.send_replace(Fate::Cut);
    }

    /// Nothing passes over the connections there are any more, and they stay open: what a router does that forgot them.
    pub fn silence(&self) {
        self.fate.send_replace(Fate::Silence);
    }

    /// What the server says over the connections there are is lost from now on; it still hears what is said to it.
    pub fn deafen(&self) {
        self.fate.send_replace(Fate::Deaf);
    }
}

async fn accept(listener: &TcpListener, upstream: SocketAddr, fates: &watch::Receiver<Fate>) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let mut fates = fates.clone();
            // What befell others before it came is none of its business.
            fates.mark_unchanged();
            tokio::spawn(pass(client, upstream, fates));
        } else {
            // Out of descriptors, most likely: some will be free again.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn pass(mut client: TcpStream, upstream: SocketAddr, mut fates: watch::Receiver<Fate>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        ended = copy_bidirectional(&mut client, &mut server) => {
            // A reset of one side is the other's end, too.
            if ended.is_err() {
                let _ = (client.shutdown().await, server.shutdown().await);
            }
            return;
        }
        changed = fates.changed() => if changed.is_err() { return },
    }
    let fate = *fates.borrow();
    match fate {
        Fate::Flow => {}
        Fate::Cut => {
            // Closed with nothing to linger for, a socket is reset.
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        Fate::Deaf => {
            let ((mut said, _client), (mut lost, mut server)) = (client.split(), server.split());
            let mut nowhere = sink();
            let _ = tokio::join!(copy(&mut said, &mut server), copy(&mut lost, &mut nowhere));
            std::future::pending::<()>().await;
        }
        Fate::Silence => {
            let _open = (client, server);
            std::future::pending::<()>().await;
        }
    }
}
