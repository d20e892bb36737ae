//! The seeded generator of test data.

/// A small seeded generator (splitmix64, public domain, Sebastiano Vigna): the same seed, the same data, on every machine.
#[derive(Debug, Clone)]
pub struct Generator(u64);

impl Generator {
    /// A generator whose data depend on `text` alone, so that a case id names its data too.
    pub fn from_text(text: &str) -> Self {
        // FNV-1a.
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub fn real(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Uniform among -limit ..= limit.
    pub fn integer(&mut self, limit: u64) -> f64 {
        self.below(2 * limit + 1) as f64 - limit as f64
    }

    /// Uniform among 0 .. end.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
