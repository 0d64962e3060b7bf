//! What work of a session costs: by the clock, and of its backend's time.

use crate::pairs::Cost;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Instant;
use tokio_postgres::Client;

pub struct Stopwatch {
    /// The kernel's account of the backend.
    account: PathBuf,
}

pub struct Running<'a> {
    watch: &'a Stopwatch,
    cpu: f64,
    began: Instant,
}

impl Stopwatch {
    pub async fn of(client: &Client) -> Result<Stopwatch> {
        let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
        Ok(Stopwatch { account: format!("/proc/{pid}/schedstat").into() })
    }

    pub fn start(&self) -> Result<Running<'_>> {
        Ok(Running { watch: self, cpu: self.cpu()?, began: Instant::now() })
    }

    /// Seconds on a processor since the backend began.
    fn cpu(&self) -> Result<f64> {
        let text =
            std::fs::read_to_string(&self.account).with_context(|| self.account.display().to_string())?;
        let nanoseconds = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
        Ok(nanoseconds.context("the kernel keeps no schedstat")? / 1e9)
    }
}

impl Running<'_> {
    pub fn stop(self) -> Result<Cost> {
        let wall = self.began.elapsed().as_secs_f64();
        Ok(Cost { wall, cpu: self.watch.cpu()? - self.cpu })
    }
}
