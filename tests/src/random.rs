//! Random choices that can be had again.

/// A small generator with a seed (splitmix64).
pub struct Random(u64);

impl Random {
    /// The same every time, so that a run says something about the change it follows. `TRADEFLOW_SEED=time` looks for more, and a
    /// failure is to name the number (returned here) that repeats it: `TRADEFLOW_SEED=…`.
    pub fn seeded(salt: u64) -> (Random, u64) {
        let seed = match std::env::var("TRADEFLOW_SEED") {
            Err(_) => 0x7472_6164 ^ salt,
            Ok(given) => given.parse().unwrap_or_else(|_| {
                let now =
                    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
                now.as_micros() as u64 ^ salt
            }),
        };
        (Random(seed), seed)
    }

    /// A number from 0, below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    /// One of these.
    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}
