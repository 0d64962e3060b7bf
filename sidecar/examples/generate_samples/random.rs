//! A small generator of random numbers (SplitMix64), ours so that no new version of a crate changes the samples.

/// Random numbers from a seed.
pub struct Random(u64);

impl Random {
    /// Starts a sequence of its own for each purpose, so that a change here leaves the others alone.
    pub fn new(purpose: &str) -> Random {
        let seed = purpose.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1).unsigned_abs()) as i64
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, of_hundred: i64) -> bool {
        self.between(1, 100) <= of_hundred
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as i64 - 1) as usize]
    }

    /// One of several, each with a weight.
    pub fn weighted<'a, T>(&mut self, items: &'a [(i64, T)]) -> &'a T {
        let mut left = self.between(1, items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            left -= weight;
            if left <= 0 {
                return item;
            }
        }
        &items[0].1
    }

    /// So many hex digits.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit((self.next() % 16) as u32, 16).unwrap_or('0')).collect()
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        let h = self.hex(31);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[12..15], &h[15..18], &h[18..30])
    }
}
