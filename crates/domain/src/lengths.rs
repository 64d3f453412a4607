//! How long jobs of one kind take, learned from the jobs that ended: what [`crate::inspect`] plans by.
//!
//! A provider that gives no timestamps never tells when a job ended, only that it was not done at one
//! poll and done at the next. Taking the second moment for the end would teach the planner its own
//! lateness: who always asks late would never notice that jobs became faster. So an end is kept as what
//! is known of it, the stretch of ages in which it lies, and the curve is the most likely mixture of
//! smooth humps behind all stretches (expectation and maximisation in turn; with humps as narrow as points
//! it would be Turnbull's estimate). Old ends weigh less and less, and the oldest are forgotten: the
//! memory is small, and follows a provider whose speed changes.
//!
//! What is not here: whose lengths they are (account, operation, model), and where they are kept.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ages are told apart at edges, each a twentieth above the one before: from 20 ms, of a sandbox a
/// thousand times faster than life, to more than a day. The first edge stands for zero, the last for ever.
const FIRST_SECONDS: f64 = 0.02;
const RATIO: f64 = 1.05;
const LAST_EDGE: u16 = 320;

/// Ends that are remembered.
const REMEMBERED: usize = 512;

/// After so many further ends, one counts half. Of the study's shapes, more makes two humps a little clearer and
/// notices a change of speed later.
const HALF_LIFE: f64 = 240.0;

/// A hump's spread (σ of the logarithm). Its shape is a parabola that ends: with tails, what a lone hump has far
/// from its middle is taken for jobs that end between two humps, and is asked for there.
const HUMP_SPREAD: f64 = 0.2;

/// A mixture is never narrower than this.
const LEAST_SPREAD: f64 = 0.05;

/// Humps stand this many edges apart: about their own spread.
const HUMPS_APART: usize = 4;

/// For each job that runs, so many ends at the most are counted that are not remembered any more.
const MOST_FORGOTTEN: usize = 4;

/// The first guess counts as much as so many ends. More of it hides what is learned, less of it lets the
/// first few ends decide alone.
const GUESS_WEIGHT: f64 = 2.0;

/// The spread (σ of the logarithm) of the first guess: four fifths of the jobs within its half and double.
const GUESS_SPREAD: f64 = 0.5;

/// Steps towards the most likely mixture; more of them change the plans no more.
const STEPS: usize = 60;

/// Between these two edges a job ended.
type Stretch = (u16, u16);

/// What is remembered of the lengths of one kind of job. Its serialised form is the durable one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The length that was expected before any job ended.
    expected_millis: u64,
    /// Where jobs ended, oldest first.
    ends: VecDeque<Stretch>,
}

impl Lengths {
    /// Nothing was seen yet: lengths are thought to lie around this one. A guess that is too short is
    /// corrected by the first polls; one that is too long only by trials.
    #[must_use]
    pub fn expecting(median: Duration) -> Self {
        Self {
            expected_millis: u64::try_from(median.as_millis()).unwrap_or(u64::MAX),
            ends: VecDeque::new(),
        }
    }

    /// A job took this long by the provider's own timestamps.
    pub fn took(&mut self, length: Duration) {
        let below = place_of(length)
            .floor()
            .clamp(0.0, f64::from(LAST_EDGE - 1)) as u16;
        self.remember((below, below + 1));
    }

    /// A job was not done at the age `after` (zero if nobody had asked), and was done at the age `by`.
    pub fn ended_between(&mut self, after: Duration, by: Duration) {
        let by = nearest_edge(by).clamp(1, LAST_EDGE - 1);
        self.remember((nearest_edge(after).min(by - 1), by));
    }

    /// A job was given up that was not done at this age.
    pub fn outlasted(&mut self, age: Duration) {
        self.remember((nearest_edge(age).min(LAST_EDGE - 1), LAST_EDGE));
    }

    /// How many ends are remembered.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.ends.len()
    }

    /// What they say together.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve_beside(&[], 0)
    }

    /// What they say together with jobs that still run, by the ages at which they were not done. While jobs that
    /// began together end one after the other, those that ended are the short ones: alone they would say that
    /// all are short. `ended` of them are over since most of those that run began: they weigh the same, and
    /// those of them that are forgotten were the first to end, the shortest.
    #[must_use]
    pub fn curve_beside(&self, running: &[Duration], ended: usize) -> Curve {
        let humps = Humps::new();
        let expected = self.expected_millis as f64 / 1_000.0;
        let mut law = Law {
            middle: (expected.max(FIRST_SECONDS) / FIRST_SECONDS).ln(),
            spread: GUESS_SPREAD,
        };
        let mut stretches = self.weighted(ended);
        for age in running {
            let lasted = (nearest_edge(*age).min(LAST_EDGE - 1), LAST_EDGE);
            *stretches.entry(lasted).or_default() += 1.0;
        }
        if let Some(short) = self.short(ended) {
            let forgotten = ended.saturating_sub(self.ends.len());
            // One job that never ends is no reason to think that all before it were short.
            let forgotten = forgotten.min(running.len() * MOST_FORGOTTEN);
            *stretches.entry((0, short)).or_default() += forgotten as f64;
        }
        if !running.is_empty() {
            // How long the longest take is guessed by the ends that there are; humps are wide themselves.
            law = law.fitted(&stretches);
            let of_humps = (law.spread.powi(2) - HUMP_SPREAD.powi(2)).max(0.0);
            law.spread = of_humps.sqrt().max(LEAST_SPREAD);
        }
        let guess = humps.guess(law);
        let parts: Vec<(f64, Vec<f64>)> = stretches
            .into_iter()
            .map(|(stretch, weight)| (weight, humps.within(stretch)))
            .collect();
        let mut mixture = guess.clone();
        for _ in 0..STEPS {
            mixture = step(&guess, &parts, &mixture);
        }
        Curve::of(&humps, &mixture)
    }

    fn remember(&mut self, stretch: Stretch) {
        while self.ends.len() >= REMEMBERED {
            self.ends.pop_front();
        }
        self.ends.push_back(stretch);
    }

    /// Each stretch once, with the weights of all its ends; the last `ended` of them weigh the same.
    fn weighted(&self, ended: usize) -> BTreeMap<Stretch, f64> {
        let fade = 0.5_f64.powf(1.0 / HALF_LIFE);
        let mut weight = 1.0;
        let mut weights = BTreeMap::new();
        for (nth, stretch) in self.ends.iter().rev().enumerate() {
            *weights.entry(*stretch).or_default() += weight;
            if nth >= ended {
                weight *= fade;
            }
        }
        weights
    }

    /// One in twenty of the last `ended` ends lies below this edge.
    fn short(&self, ended: usize) -> Option<u16> {
        let last = self.ends.iter().rev().take(ended);
        let mut edges: Vec<u16> = last.map(|(_, high)| *high).collect();
        edges.sort_unstable();
        edges.get(edges.len() / 20).copied()
    }
}

/// Each end belongs to the humps in proportion to what they have in its stretch, and the guess stays beneath.
fn step(guess: &[f64], parts: &[(f64, Vec<f64>)], mixture: &[f64]) -> Vec<f64> {
    let mut next = guess.to_vec();
    for (weight, part) in parts {
        let whole: f64 = part.iter().zip(mixture).map(|(a, b)| a * b).sum();
        let weight = weight / whole.max(1e-12);
        for ((sum, part), hump) in next.iter_mut().zip(part).zip(mixture) {
            *sum += weight * part * hump;
        }
    }
    next
}

/// The shapes that a curve is mixed of.
struct Humps {
    /// The share of a hump below an edge, by how far the edge is above the hump's middle, from
    /// `-LAST_EDGE` on.
    below: Vec<f64>,
    /// The edges in their middles.
    middles: Vec<u16>,
}

impl Humps {
    fn new() -> Self {
        let share = |away: i32| {
            // Epanechnikov's kernel: its half width is √5 of its spread.
            let part = f64::from(away) * RATIO.ln() / (HUMP_SPREAD * 5.0_f64.sqrt());
            let part = part.clamp(-1.0, 1.0);
            0.25 * (2.0 + 3.0 * part - part.powi(3))
        };
        let last = i32::from(LAST_EDGE);
        Self {
            below: (-last..=last).map(share).collect(),
            middles: (0..=LAST_EDGE).step_by(HUMPS_APART).collect(),
        }
    }

    fn below(&self, middle: u16, edge: u16) -> f64 {
        match edge {
            0 => 0.0,
            LAST_EDGE.. => 1.0,
            edge => {
                let at = usize::from(LAST_EDGE - middle.min(LAST_EDGE) + edge);
                self.below.get(at).copied().unwrap_or(1.0)
            }
        }
    }

    /// How much of each hump lies in a stretch.
    fn within(&self, (low, high): Stretch) -> Vec<f64> {
        let share = |middle: &u16| self.below(*middle, high) - self.below(*middle, low);
        self.middles.iter().map(share).collect()
    }

    /// A mixture by this law.
    fn guess(&self, law: Law) -> Vec<f64> {
        let density = |edge: &u16| {
            let away = (f64::from(*edge) * RATIO.ln() - law.middle) / law.spread;
            (-0.5 * away * away).exp()
        };
        let mut mixture: Vec<f64> = self.middles.iter().map(density).collect();
        let whole = mixture.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        for part in &mut mixture {
            *part *= GUESS_WEIGHT / whole;
        }
        mixture
    }
}

/// A lognormal distribution, in logarithms of multiples of the first edge.
#[derive(Debug, Clone, Copy)]
struct Law {
    middle: f64,
    spread: f64,
}

impl Law {
    /// The most likely one behind these stretches, with this one as the first guess (expectation and
    /// maximisation in turn).
    fn fitted(self, stretches: &BTreeMap<Stretch, f64>) -> Self {
        let mut law = self;
        for _ in 0..STEPS {
            let away = (self.middle - law.middle).powi(2) + self.spread.powi(2);
            let mut sums = (
                GUESS_WEIGHT,
                GUESS_WEIGHT * self.middle,
                GUESS_WEIGHT * away,
            );
            for (stretch, weight) in stretches {
                let (mean, square) = law.within(*stretch);
                sums.0 += weight;
                sums.1 += weight * mean;
                sums.2 += weight * square;
            }
            law = Self {
                middle: sums.1 / sums.0,
                spread: (sums.2 / sums.0).sqrt().max(LEAST_SPREAD),
            };
        }
        law
    }

    /// Of what lies in a stretch: its mean, and the mean square of its distance from the middle.
    fn within(self, (low, high): Stretch) -> (f64, f64) {
        let at = |edge: u16| f64::from(edge) * RATIO.ln();
        let (edge, side) = match (low, high) {
            (_, LAST_EDGE..) => (at(low), 1.0),
            (0, _) => (at(high), -1.0),
            _ => {
                let mean = (at(low) + at(high)) / 2.0;
                return (mean, (mean - self.middle).powi(2));
            }
        };
        // One end is open: what lies beyond the other one.
        let away = (edge - self.middle) / self.spread * side;
        let density = (-0.5 * away * away).exp() / std::f64::consts::TAU.sqrt();
        // The normal distribution to two parts in ten thousand.
        let beyond = 1.0 / (1.0 + (1.5976 * away + 0.070_566 * away.powi(3)).exp());
        let pull = (density / beyond.max(1e-12)).max(away);
        (
            self.middle + side * self.spread * pull,
            self.spread.powi(2) * (1.0 + away * pull),
        )
    }
}

/// Where an age lies among the edges.
fn place_of(age: Duration) -> f64 {
    (age.as_secs_f64() / FIRST_SECONDS).max(1.0).ln() / RATIO.ln()
}

fn nearest_edge(age: Duration) -> u16 {
    // A whole number from 0 to `LAST_EDGE`.
    place_of(age).round().min(f64::from(LAST_EDGE)) as u16
}

fn age_at(place: f64) -> f64 {
    FIRST_SECONDS * RATIO.powf(place)
}

/// A distribution of lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The share of jobs that are done at each edge, from 0 to 1.
    done: Vec<f64>,
    mean_seconds: f64,
}

impl Curve {
    fn of(humps: &Humps, mixture: &[f64]) -> Self {
        let whole: f64 = mixture.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let share = |edge| {
            let parts = humps.middles.iter().zip(mixture);
            let below = parts.map(|(middle, part)| part * humps.below(*middle, edge));
            below.sum::<f64>() / whole
        };
        let done: Vec<f64> = (0..=LAST_EDGE).map(share).collect();
        let steps = done.iter().zip(done.iter().skip(1)).enumerate();
        let mean = steps.map(|(edge, (a, b))| (b - a) * age_at(edge as f64 + 0.5));
        Self {
            mean_seconds: mean.sum(),
            done,
        }
    }

    /// The curve of jobs of several kinds, each with its weight; `None` without any.
    #[must_use]
    pub fn mixed(parts: &[(f64, Self)]) -> Option<Self> {
        let whole: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let first = &parts.first()?.1;
        if whole <= 0.0 {
            return Some(first.clone());
        }
        let share = |edge: usize| {
            let done = |curve: &Self| curve.done.get(edge).copied().unwrap_or(1.0);
            let sum: f64 = parts
                .iter()
                .map(|(weight, curve)| weight * done(curve))
                .sum();
            sum / whole
        };
        let means = parts
            .iter()
            .map(|(weight, curve)| weight * curve.mean_seconds);
        Some(Self {
            done: (0..first.done.len()).map(share).collect(),
            mean_seconds: means.sum::<f64>() / whole,
        })
    }

    /// The share of jobs that are done at this age.
    #[must_use]
    pub fn done_by(&self, age: Duration) -> f64 {
        let place = place_of(age);
        let edge = |at: f64| self.done.get(at as usize).copied().unwrap_or(1.0);
        let (low, high) = (edge(place.floor()), edge(place.floor() + 1.0));
        low + (high - low) * place.fract()
    }

    /// The age at which this share of jobs is done.
    #[must_use]
    pub fn age_at(&self, share: f64) -> Duration {
        let edge = self.done.partition_point(|done| *done < share);
        Duration::from_secs_f64(age_at(edge.min(usize::from(LAST_EDGE)) as f64))
    }

    /// The mean length.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.mean_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Quantiles of a lognormal distribution: the same lengths in each run, in an order that mixes them.
    fn lengths(median: f64, sigma: f64, many: usize) -> Vec<f64> {
        let normal = |p: f64| {
            // A logistic quantile with the spread of a normal one.
            (p / (1.0 - p)).ln() * 3.0_f64.sqrt() / std::f64::consts::PI
        };
        let at = |i: usize| ((i * 37 % many) as f64 + 0.5) / many as f64;
        (0..many)
            .map(|i| median * (sigma * normal(at(i))).exp())
            .collect()
    }

    /// What a planner knows that asks at these ages.
    fn asked(lengths: &mut Lengths, length: f64, ages: &[f64]) {
        let by = ages.iter().copied().find(|age| *age >= length).unwrap();
        let before = ages.iter().copied().filter(|age| *age < length);
        let after = before.fold(0.0, f64::max);
        lengths.ended_between(seconds(after), seconds(by));
    }

    fn check(curve: &Curve, age: f64, share: f64, within: f64) {
        let done = curve.done_by(seconds(age));
        assert!(
            (done - share).abs() < within,
            "{done:.3} are done at {age} s, not {share}"
        );
    }

    #[test]
    fn what_was_expected_is_believed_until_a_job_ended() {
        let curve = Lengths::expecting(seconds(30.0)).curve();
        check(&curve, 30.0, 0.5, 0.02);
        check(&curve, 15.0, 0.11, 0.02);
        check(&curve, 60.0, 0.89, 0.02);
        assert_eq!(curve.done_by(Duration::ZERO), 0.0);
        assert_eq!(curve.done_by(seconds(1e9)), 1.0);
    }

    #[test]
    fn timestamps_tell_the_shape() {
        let mut learned = Lengths::expecting(seconds(120.0));
        for length in lengths(30.0, 0.4, 200) {
            learned.took(seconds(length));
        }
        let curve = learned.curve();
        check(&curve, 20.0, 0.15, 0.05);
        check(&curve, 30.0, 0.5, 0.05);
        check(&curve, 45.0, 0.85, 0.05);
        assert!(
            (curve.mean().as_secs_f64() - 33.0).abs() < 3.0,
            "{:?}",
            curve.mean()
        );
        assert!((curve.age_at(0.5).as_secs_f64() - 30.0).abs() < 2.0);
    }

    #[test]
    fn ends_between_two_polls_tell_the_shape_and_not_the_lateness_of_the_polls() {
        let mut learned = Lengths::expecting(seconds(120.0));
        for (nth, length) in lengths(30.0, 0.4, 250).into_iter().enumerate() {
            let first = [18.0, 26.0, 35.0, 44.0][nth % 4];
            asked(&mut learned, length, &[first, first + 20.0, 400.0]);
        }
        let curve = learned.curve();
        check(&curve, 18.0, 0.1, 0.05);
        check(&curve, 26.0, 0.34, 0.07);
        check(&curve, 35.0, 0.67, 0.07);
        check(&curve, 44.0, 0.85, 0.05);
    }

    #[test]
    fn a_mixture_of_kinds_lies_between_them_by_weight() {
        let curve = |median| Lengths::expecting(seconds(median)).curve();
        let mixed = Curve::mixed(&[(3.0, curve(10.0)), (1.0, curve(1_000.0))]).unwrap();
        check(&mixed, 100.0, 0.75, 0.01);
        assert!(mixed.mean() > curve(10.0).mean() && mixed.mean() < curve(1_000.0).mean());
        assert_eq!(Curve::mixed(&[(0.0, curve(10.0))]), Some(curve(10.0)));
        assert_eq!(Curve::mixed(&[]), None);
    }

    #[test]
    fn two_humps_stay_two_humps() {
        let mut learned = Lengths::expecting(seconds(30.0));
        let fast = lengths(15.0, 0.25, 170);
        let mut slow = lengths(90.0, 0.25, 73).into_iter();
        for (nth, length) in fast.into_iter().enumerate() {
            asked(&mut learned, length, &[20.0, 28.0, 100.0, 1_000.0]);
            if nth % 7 < 3
                && let Some(length) = slow.next()
            {
                asked(&mut learned, length, &[28.0, 80.0, 110.0, 1_000.0]);
            }
        }
        let curve = learned.curve();
        check(&curve, 28.0, 0.7, 0.04);
        check(&curve, 60.0, 0.71, 0.05);
        check(&curve, 130.0, 0.98, 0.04);
    }

    #[test]
    fn what_a_provider_did_long_ago_fades() {
        let mut learned = Lengths::expecting(seconds(30.0));
        for length in lengths(30.0, 0.4, 400) {
            learned.took(seconds(length));
        }
        for length in lengths(12.0, 0.4, 150) {
            learned.took(seconds(length));
        }
        let curve = learned.curve();
        assert!(curve.done_by(seconds(20.0)) > 0.45);
        for length in lengths(12.0, 0.4, 600) {
            learned.took(seconds(length));
        }
        check(&learned.curve(), 12.0, 0.5, 0.06);
    }

    #[test]
    fn a_job_that_was_given_up_says_that_jobs_may_take_longer() {
        let mut learned = Lengths::expecting(seconds(30.0));
        for _ in 0..20 {
            learned.took(seconds(30.0));
        }
        let before = learned.curve().done_by(seconds(200.0));
        for _ in 0..20 {
            learned.outlasted(seconds(300.0));
        }
        let after = learned.curve().done_by(seconds(200.0));
        assert!(before > 0.95 && after < 0.6, "{before} {after}");
    }

    #[test]
    fn jobs_that_still_run_say_that_those_which_ended_were_the_short_ones() {
        // All began together, and half of them are over: in the second case more than are remembered.
        for many in [200, 1_500] {
            let mut learned = Lengths::expecting(seconds(60.0));
            let mut ends = lengths(60.0, 0.4, many);
            ends.sort_by(f64::total_cmp);
            let (over, open) = ends.split_at(many / 2);
            for length in over {
                learned.took(seconds(*length));
            }
            let running = vec![seconds(60.0); open.len()];
            let beside = learned.curve_beside(&running, over.len());
            assert!(learned.curve().done_by(seconds(70.0)) > 0.8);
            check(&beside, 60.0, 0.5, 0.05);
            check(&beside, 40.0, 0.137, 0.05);
            check(&beside, 90.0, 0.86, 0.06);
            check(&beside, 152.0, 0.985, 0.03);
        }
        // What is spread wider by the ends that there are has longer ones to come.
        let longest = |spread: f64| {
            let mut learned = Lengths::expecting(seconds(60.0));
            let mut ends = lengths(60.0, spread, 300);
            ends.sort_by(f64::total_cmp);
            for length in &ends[..150] {
                learned.took(seconds(*length));
            }
            let beside = learned.curve_beside(&[seconds(60.0); 150], 150);
            beside.age_at(0.99).as_secs_f64()
        };
        assert!(longest(0.25) < longest(0.4) && longest(0.4) * 1.3 < longest(0.6));
        let none = Lengths::expecting(seconds(30.0));
        assert_eq!(none.curve_beside(&[], 9), none.curve());
        let unseen = none.curve_beside(&[seconds(60.0); 9], 0);
        assert!(unseen.done_by(seconds(60.0)) < 0.2);
    }

    #[test]
    fn the_memory_is_bounded_and_survives_its_durable_form() {
        let mut learned = Lengths::expecting(seconds(30.0));
        for nth in 0..2_000 {
            learned.ended_between(seconds(f64::from(nth % 40)), seconds(f64::from(nth % 90)));
        }
        learned.took(Duration::ZERO);
        learned.took(Duration::MAX);
        learned.outlasted(Duration::MAX);
        assert_eq!(learned.seen(), REMEMBERED);
        let durable = serde_json::to_string(&learned).unwrap();
        assert!(durable.len() < 6_000, "{} bytes", durable.len());
        assert_eq!(serde_json::from_str::<Lengths>(&durable).unwrap(), learned);
    }

    #[test]
    fn a_curve_only_rises_whatever_was_seen() {
        let mut learned = Lengths::expecting(Duration::ZERO);
        learned.ended_between(seconds(50.0), seconds(10.0));
        learned.ended_between(Duration::ZERO, Duration::ZERO);
        learned.ended_between(seconds(1e7), seconds(1e8));
        let curve = learned.curve();
        let ages = (0..2_000).map(|at| seconds(f64::from(at) * f64::from(at) / 10.0));
        let shares: Vec<f64> = ages.map(|age| curve.done_by(age)).collect();
        assert!(shares.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
    }
}
