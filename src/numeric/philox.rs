//! Philox 4x32-10, the counter-based generator of Salmon and others (Parallel random numbers: as easy as 1, 2, 3; SC 2011): four words that follow from a
//! counter and a key alone, so that any element's are computed without those before it, by any number of threads.

const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What the key grows by from round to round.
const STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// The four words of `counter` under `key`.
#[inline]
pub(crate) fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c, mut k] = [counter, [key[0], key[1], 0, 0]];
    for _ in 0..ROUNDS {
        let product = |i: usize, word: u32| u64::from(MULTIPLIERS[i]) * u64::from(word);
        let [first, second] = [product(0, c[0]), product(1, c[2])];
        c = [(second >> 32) as u32 ^ c[1] ^ k[0], second as u32, (first >> 32) as u32 ^ c[3] ^ k[1], first as u32];
        k = [k[0].wrapping_add(STEPS[0]), k[1].wrapping_add(STEPS[1]), 0, 0];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that Random123 is published with (`tests/kat_vectors`).
    #[test]
    fn it_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    /// Chi-square of every bit of every word over 2^16 counters: 128 bits, each with variance 1; and of the bytes of each word over 255 degrees of freedom.
    #[test]
    fn bits_and_bytes_of_each_word_are_evenly_spread() {
        const COUNT: u32 = 1 << 16;
        let (mut ones, mut bytes) = ([[0u32; 32]; 4], vec![[0u32; 256]; 16]);
        for block in 0..COUNT {
            for (w, word) in philox([block, 0, 3, 0], [11, 0]).into_iter().enumerate() {
                (0..32).for_each(|bit| ones[w][bit] += word >> bit & 1);
                word.to_le_bytes().into_iter().enumerate().for_each(|(i, byte)| bytes[4 * w + i][usize::from(byte)] += 1);
            }
        }
        // 128 squares of normal numbers: 5 deviations about the mean. One bit: 5 deviations.
        let half = f64::from(COUNT) / 2.0;
        let squares: Vec<f64> = ones.iter().flatten().map(|&n| (f64::from(n) - half).powi(2) / (half / 2.0)).collect();
        assert!(squares.iter().all(|&square| square < 25.0), "{squares:?}");
        let total: f64 = squares.iter().sum();
        assert!((total - 128.0).abs() < 5.0 * 256f64.sqrt(), "{total}");
        let even = f64::from(COUNT) / 256.0;
        for counts in &bytes {
            let total: f64 = counts.iter().map(|&n| (f64::from(n) - even).powi(2) / even).sum();
            assert!((total - 255.0).abs() < 5.0 * 510f64.sqrt(), "{total}");
        }
    }
}
