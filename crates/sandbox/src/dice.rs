//! Seeded chance. Every draw depends only on the seed, a label and a number, never on how many
//! draws came before it: so one more request changes nothing about the jobs that follow, and the
//! same seed gives the same history.

use fastrand::Rng;

/// The source of all variation in the sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A generator of its own for `label` and `number`.
    pub(crate) fn rng(self, label: &str, number: u64) -> Rng {
        // FNV-1a over the label, then one splitmix round, so that neighbours differ in all bits.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in label.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut mixed = hash.wrapping_add(number.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Rng::with_seed(mixed ^ (mixed >> 31))
    }

    /// True in a share of all numbers.
    pub(crate) fn chance(self, label: &str, number: u64, share: f64) -> bool {
        share > 0.0 && self.rng(label, number).f64() < share
    }

    /// A lognormal duration in milliseconds around its median.
    pub(crate) fn lognormal_ms(self, label: &str, number: u64, median_ms: u64, sigma: f64) -> i64 {
        let mut rng = self.rng(label, number);
        let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * rng.f64()).cos();
        // Two and a half deviations bound the tail: a run of hours would say nothing more.
        let factor = (sigma * normal.clamp(-2.5, 2.5)).exp();
        (median_ms as f64 * factor).round() as i64
    }

    /// A UUID in its written form (version 4 bits).
    pub(crate) fn uuid(self, label: &str, number: u64) -> String {
        let mut rng = self.rng(label, number);
        let high = (rng.u64(..) & !0xf000) | 0x4000;
        let low = (rng.u64(..) & !(0xc000 << 48)) | (0x8000 << 48);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// Bytes for a secret.
    pub(crate) fn secret(self, label: &str, number: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng(label, number).fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_only_on_seed_label_and_number() {
        let dice = Dice::new(7);
        assert_eq!(dice.uuid("a", 1), Dice::new(7).uuid("a", 1));
        assert_ne!(dice.uuid("a", 1), dice.uuid("a", 2));
        assert_ne!(dice.uuid("a", 1), dice.uuid("b", 1));
        assert_ne!(dice.uuid("a", 1), Dice::new(8).uuid("a", 1));
    }

    #[test]
    fn the_median_of_durations_is_the_median_asked_for() {
        let dice = Dice::new(3);
        let mut all: Vec<i64> = (0..2001)
            .map(|n| dice.lognormal_ms("d", n, 1000, 0.5))
            .collect();
        all.sort_unstable();
        assert!((930..1070).contains(&all[1000]), "median {}", all[1000]);
        assert!(all[0] >= 280 && all[2000] <= 3500);
    }
}
