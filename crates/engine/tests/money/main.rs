//! Caps hold over crashes: the production planner over the real store, in virtual time, against the
//! sandbox's model, with accounts that have caps, answers that get lost, and a process that dies before
//! and after its commits. What counts is the provider's own book of charges.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use super::world::{InDoubt, World};

    /// Histories of one run; each has dozens of crashes.
    const HISTORIES: u64 = 6;

    #[test]
    fn no_cap_is_ever_passed_whatever_crashes() {
        let mut steps = 0;
        let mut crashes = 0;
        let mut in_doubt = 0;
        let mut held = 0;
        let mut full_days = 0;
        for seed in 0..HISTORIES {
            let rule = if seed % 2 == 0 {
                InDoubt::Hold
            } else {
                InDoubt::Resubmit
            };
            let summary = World::new(seed, rule).play();
            summary.check();
            steps += summary.steps;
            crashes += summary.crashes;
            in_doubt += summary.in_doubt;
            held += summary.held;
            full_days += summary.full_days();
        }
        println!(
            "{HISTORIES} histories, {steps} steps, {crashes} crashes, {in_doubt} in doubt, {held} held back, {full_days} full days"
        );
        for (what, n) in [
            ("crashes", crashes),
            ("in doubt", in_doubt),
            ("held back", held),
            ("days whose cap is used up", full_days),
        ] {
            assert!(n > 20, "{what}: {n} times only");
        }
    }

    #[test]
    fn without_crashes_caps_are_used_up_day_after_day() {
        let summary = World::new(7, InDoubt::Hold).without_trouble().play();
        summary.check();
        // The cap is 40, and the dearest image costs 8: what is left over is less than that.
        assert!(summary.full_days() >= 2, "{summary:#?}");
        assert_eq!(summary.in_doubt, 0);
    }
}
