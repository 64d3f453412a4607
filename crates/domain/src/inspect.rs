//! When to ask about a job that may be done, where each question costs a request that could have served
//! another job: optimal inspection.
//!
//! A question has a price, in seconds of delay that it is worth. Asked at the ages x₁ < x₂ < …, a job
//! costs `price × questions + (age when it is known to be done − age when it was done)`, and the ages that
//! make the mean of it least are found by a dynamic programme over the learned [`Curve`] (Barlow, Hunter
//! and Proschan, 1963), exact up to its grid. A low price asks early and often, a high one late and
//! once, and with several humps in the curve it asks behind each.
//!
//! What is not here: the price (it depends on what else wants the requests), the moment, and the job.

use std::time::Duration;

use crate::Curve;

/// Points of the grid at the most: the programme is quadratic in them.
const MOST_POINTS: f64 = 320.0;

/// The shortest span between two questions is told apart by so many points.
const POINTS_IN_A_FLOOR: f64 = 5.0;

/// Nearly all jobs are done by the end of the grid.
const GRID_ENDS_AT: f64 = 0.9995;

/// A job that outlasts the grid is asked about whenever it has become older by this part.
const LATE_GROWTH: f64 = 0.2;

/// The questions of one kind of job at one price.
#[derive(Debug, Clone)]
pub struct Plan {
    floor: Duration,
    /// Seconds between two points; none if every question is free.
    grid: Option<Grid>,
}

#[derive(Debug, Clone)]
struct Grid {
    step: f64,
    price: f64,
    /// The share of jobs that are done at each point.
    done: Vec<f64>,
    /// The integral of `done` up to each point.
    area: Vec<f64>,
    /// What a job that is not done at this point still costs, with the best questions.
    cost: Vec<f64>,
    /// The best next question for it, as a point.
    next: Vec<usize>,
    /// How many questions that makes.
    questions: Vec<f64>,
}

impl Plan {
    /// The best questions where one is worth `price` of delay and two about a job are at least `floor`
    /// apart. With a price of zero: always the floor.
    #[must_use]
    pub fn new(curve: &Curve, price: Duration, floor: Duration) -> Self {
        let grid = (!price.is_zero()).then(|| Grid::new(curve, price, floor));
        Self { floor, grid }
    }

    /// The age at which to ask next about a job that was not done at the age `seen` (zero for a new one):
    /// never sooner than the floor after it.
    #[must_use]
    pub fn next(&self, seen: Duration) -> Duration {
        let soonest = seen + self.floor;
        let Some(grid) = &self.grid else {
            return soonest;
        };
        // A clock may lie about the age: never longer than the whole grid.
        let whole = Duration::from_secs_f64(grid.step * grid.next.len() as f64);
        let best = grid.next.get(grid.point(seen)).map_or_else(
            || seen + seen.mul_f64(LATE_GROWTH).min(whole),
            |next| Duration::from_secs_f64(*next as f64 * grid.step),
        );
        best.max(soonest)
    }

    /// How many seconds are lost if a job of this age, not done at the age `seen`, is asked about after
    /// `wait` instead of now. Below zero where waiting is better.
    #[must_use]
    pub fn loss(&self, seen: Duration, age: Duration, wait: Duration) -> f64 {
        let Some(grid) = &self.grid else {
            return wait.as_secs_f64();
        };
        let at = |age: Duration| grid.cost_of(grid.point(seen), grid.point(age));
        at(age + wait) - at(age)
    }

    /// How many questions a new job is asked in the mean; none where questions are free.
    #[must_use]
    pub fn questions(&self) -> Option<f64> {
        let grid = self.grid.as_ref()?;
        grid.questions.first().copied()
    }
}

/// How many requests of a group are wanted, for the price of one.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Jobs that run.
    pub running: usize,
    /// Jobs that were submitted within one window, at the cost of the same budget.
    pub submitted: usize,
    /// Whether more of them wait for room.
    pub backlog: bool,
    /// The group's shortest window: so many requests …
    pub limit: u32,
    /// … in this time.
    pub window: Duration,
}

impl Demand {
    /// The price of a question about jobs of this mean length: zero while there is room for one each
    /// `floor`; then the price at which about as many are asked as there is room for; under a backlog, and at
    /// the most, what a submit in its place is worth.
    #[must_use]
    pub fn price(&self, mean: Duration, floor: Duration, most: Duration) -> Duration {
        if self.backlog {
            return most;
        }
        let (mean, floor) = (mean.as_secs_f64().max(1e-3), floor.as_secs_f64());
        let each = mean.min(self.window.as_secs_f64()) / floor.max(1e-3);
        let wanted = self.running.max(self.submitted) as f64 * each;
        let room = (f64::from(self.limit) - self.submitted as f64).max(1.0);
        if wanted <= room {
            return Duration::ZERO;
        }
        // Asked every `spread`, a job costs mean / spread questions and spread / 2 of delay.
        let spread = floor * wanted / room;
        Duration::from_secs_f64((spread * spread / (2.0 * mean)).min(most.as_secs_f64()))
    }

    /// How many jobs are with the provider at the most: half as many again as have a request each within
    /// their mean length. More would only wait longer for their questions.
    #[must_use]
    pub fn most_running(&self, mean: Duration) -> usize {
        let lengths = mean.as_secs_f64() / self.window.as_secs_f64().max(1e-3);
        (1.5 * f64::from(self.limit) * lengths).ceil().max(4.0) as usize
    }
}

/// Few of the jobs whose ends nobody timestamps are asked about sooner than planned, for what that teaches:
/// without any, a provider that became faster may go unnoticed. More than these 2 % cost two humps and one
/// alike more than they teach.
const TRIALS: f64 = 0.02;

/// While nothing is known yet, so many more are; half as many after every [`FIRST_ENDS`] ends.
const FIRST_TRIALS: f64 = 0.4;
const FIRST_ENDS: f64 = 20.0;

/// They are asked about at this part of the planned age at the soonest: where that is too late, the next plans
/// are made from there.
const SOONEST: f64 = 0.65;

/// The age at which a new job is asked about as a trial instead of the planned one, if it is one of the few,
/// where `seen` ends were learned from. `lot` is any number that is the job's own: the same lot, the same
/// answer.
#[must_use]
pub fn trial(planned: Duration, seen: usize, lot: u64) -> Option<Duration> {
    let first = FIRST_TRIALS * 0.5_f64.powf(seen as f64 / FIRST_ENDS);
    let chosen = share_of(lot) < TRIALS + first;
    let part = SOONEST + (1.0 - SOONEST) * share_of(lot ^ u64::MAX);
    chosen.then(|| planned.mul_f64(part))
}

/// A number from 0 to 1 that has nothing to do with its neighbours' (splitmix64).
fn share_of(lot: u64) -> f64 {
    let mut mixed = lot.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

impl Grid {
    fn new(curve: &Curve, price: Duration, floor: Duration) -> Self {
        let floor = floor.as_secs_f64();
        let end = curve.age_at(GRID_ENDS_AT).as_secs_f64() + 2.0 * floor;
        let step = (floor / POINTS_IN_A_FLOOR).max(end / MOST_POINTS).max(1e-3);
        // A whole number of some hundreds at the most.
        let points = (end / step).ceil() as usize + 1;
        let ages = (0..points).map(|point| Duration::from_secs_f64(point as f64 * step));
        let done: Vec<f64> = ages.map(|age| curve.done_by(age)).collect();
        let mut area = vec![0.0];
        let mut sum = 0.0;
        area.extend(done.iter().zip(done.iter().skip(1)).map(|(a, b)| {
            sum += 0.5 * (a + b) * step;
            sum
        }));
        let mut grid = Self {
            step,
            price: price.as_secs_f64(),
            done,
            area,
            cost: vec![price.as_secs_f64(); points],
            next: Vec::new(),
            questions: vec![1.0; points],
        };
        grid.solve((floor / step).ceil().max(1.0) as usize);
        grid
    }

    /// From the last point back: what is best at a point depends on later ones only.
    fn solve(&mut self, gap: usize) {
        let points = self.done.len();
        let mut next = vec![0; points];
        for seen in (0..points).rev() {
            let choices = (seen + gap)..points;
            let costs = choices.map(|ask| (self.cost_of(seen, ask), ask));
            let best = costs.min_by(|a, b| a.0.total_cmp(&b.0));
            let (cost, ask) = best.unwrap_or((self.price, seen + gap));
            let missed = self.missed(seen, ask);
            let later = self.questions.get(ask).copied().unwrap_or(1.0);
            if let Some(place) = self.cost.get_mut(seen) {
                *place = cost;
            }
            if let Some(place) = self.questions.get_mut(seen) {
                *place = 1.0 + missed * later;
            }
            if let Some(place) = next.get_mut(seen) {
                *place = ask;
            }
        }
        self.next = next;
    }

    fn point(&self, age: Duration) -> usize {
        (age.as_secs_f64() / self.step).round() as usize
    }

    fn at(of: &[f64], point: usize) -> f64 {
        of.get(point).or(of.last()).copied().unwrap_or_default()
    }

    /// The chance that a job that was not done at `seen` is not done at `ask` either.
    fn missed(&self, seen: usize, ask: usize) -> f64 {
        let left = (1.0 - Self::at(&self.done, seen)).max(1e-9);
        ((1.0 - Self::at(&self.done, ask)) / left).clamp(0.0, 1.0)
    }

    /// What a job costs that was not done at `seen`, if it is asked about at `ask` and then at its best.
    fn cost_of(&self, seen: usize, ask: usize) -> f64 {
        let left = (1.0 - Self::at(&self.done, seen)).max(1e-9);
        let beyond = ask.saturating_sub(self.area.len().saturating_sub(1)) as f64;
        let area = Self::at(&self.area, ask) + beyond * self.step;
        let waited = (ask.saturating_sub(seen)) as f64 * self.step;
        let late = (area - Self::at(&self.area, seen) - waited * Self::at(&self.done, seen)) / left;
        self.price + late.max(0.0) + self.missed(seen, ask) * Self::at(&self.cost, ask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lengths;

    const FLOOR: Duration = Duration::from_secs(5);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Jobs of about 15 s and of about 90 s, seven to three.
    fn two_humps() -> Curve {
        let mut lengths = Lengths::expecting(seconds(30.0));
        for nth in 0..200 {
            let around = if nth % 10 < 7 { 15.0 } else { 90.0 };
            lengths.took(seconds(around * (1.0 + f64::from(nth % 7 - 3) * 0.08)));
        }
        lengths.curve()
    }

    #[test]
    fn free_questions_are_asked_at_the_floor() {
        let plan = Plan::new(&two_humps(), Duration::ZERO, FLOOR);
        for age in [0.0, 3.0, 47.0, 1e6] {
            assert_eq!(plan.next(seconds(age)), seconds(age) + FLOOR);
        }
        assert_eq!(plan.questions(), None);
    }

    fn demand(running: usize, submitted: usize, backlog: bool) -> Demand {
        Demand {
            running,
            submitted,
            backlog,
            limit: 15,
            window: seconds(60.0),
        }
    }

    #[test]
    fn a_question_is_free_while_there_is_room_for_one_each_interval() {
        let price = |demand: Demand| demand.price(seconds(30.0), FLOOR, seconds(25.0));
        assert_eq!(price(demand(0, 0, false)), Duration::ZERO);
        assert_eq!(price(demand(1, 1, false)), Duration::ZERO);
        assert_eq!(price(demand(2, 2, false)), Duration::ZERO);
        let prices =
            [(3, 3), (4, 4), (5, 6)].map(|(running, made)| price(demand(running, made, false)));
        assert!(prices[0] > Duration::ZERO && prices[0] < prices[1] && prices[1] < prices[2]);
        assert!(prices[2] <= seconds(25.0));
        assert_eq!(price(demand(1, 1, true)), seconds(25.0));
        assert_eq!(price(demand(1_000, 15, false)), seconds(25.0));
    }

    #[test]
    fn as_many_jobs_run_as_the_budget_serves() {
        assert_eq!(demand(0, 0, true).most_running(seconds(30.0)), 12);
        assert_eq!(demand(0, 0, true).most_running(seconds(1.0)), 4);
    }

    #[test]
    fn no_price_asks_sooner_than_the_floor() {
        for price in [0.001, 1.0, 10.0, 100.0, 1e6] {
            for curve in [two_humps(), Lengths::expecting(seconds(0.1)).curve()] {
                let plan = Plan::new(&curve, seconds(price), FLOOR);
                for tenth in 0..5_000 {
                    let age = seconds(f64::from(tenth) / 10.0);
                    assert!(plan.next(age) >= age + FLOOR, "{age:?} at {price}");
                }
            }
        }
    }

    #[test]
    fn a_higher_price_asks_later_and_less() {
        let curve = Lengths::expecting(seconds(30.0)).curve();
        let plans = [2.0, 10.0, 30.0, 100.0].map(|price| Plan::new(&curve, seconds(price), FLOOR));
        for pair in plans.windows(2) {
            assert!(pair[0].next(Duration::ZERO) < pair[1].next(Duration::ZERO));
            assert!(pair[0].questions().unwrap() > pair[1].questions().unwrap() + 0.05);
        }
    }

    #[test]
    fn two_humps_are_asked_about_behind_each() {
        let plan = Plan::new(&two_humps(), seconds(20.0), FLOOR);
        let first = plan.next(Duration::ZERO);
        assert!(first > seconds(17.0) && first < seconds(26.0), "{first:?}");
        let second = plan.next(first);
        assert!(
            second > seconds(85.0) && second < seconds(125.0),
            "{second:?}"
        );
    }

    #[test]
    fn the_plan_is_the_best_of_many_tried_ones() {
        let curve = two_humps();
        let price = 20.0;
        let plan = Plan::new(&curve, seconds(price), FLOOR);
        let cost = |asks: &dyn Fn(Duration) -> Duration| {
            let (mut age, mut sum) = (Duration::ZERO, 0.0);
            while curve.done_by(age) < 0.999 {
                let next = asks(age);
                let left = 1.0 - curve.done_by(age);
                let step = (next - age).as_secs_f64() / 50.0;
                let done = |nth: i32| curve.done_by(age + seconds(step * f64::from(nth)));
                let late: f64 = (0..50).map(|nth| (done(nth) - done(0)) * step).sum();
                sum += left * price + late;
                age = next;
            }
            sum
        };
        let best = cost(&|age| plan.next(age));
        for every in [5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 100.0] {
            let other = cost(&|age| age + seconds(every));
            assert!(
                best < other * 1.02,
                "every {every} s costs {other}, the plan {best}"
            );
        }
    }

    #[test]
    fn waiting_is_a_gain_before_the_planned_age_and_a_loss_behind_it() {
        let curve = Lengths::expecting(seconds(30.0)).curve();
        let plan = Plan::new(&curve, seconds(20.0), FLOOR);
        let planned = plan.next(Duration::ZERO);
        let loss = |age: Duration| plan.loss(Duration::ZERO, age, seconds(4.0));
        assert!(loss(planned - seconds(10.0)) < 0.0);
        assert!(loss(planned + seconds(5.0)) > 0.0);
        assert!(loss(planned + seconds(60.0)) > loss(planned + seconds(5.0)));
        // Far behind everything, a job is surely done, and each second is lost.
        let late = plan.loss(Duration::ZERO, seconds(5_000.0), seconds(100.0));
        assert!((late - 100.0).abs() < 3.0, "{late}");
    }

    #[test]
    fn a_job_that_outlasts_all_is_asked_about_ever_more_rarely() {
        let plan = Plan::new(&two_humps(), seconds(20.0), FLOOR);
        let mut age = seconds(100.0);
        let mut questions = 0;
        while age < seconds(3_600.0) {
            age = plan.next(age);
            questions += 1;
        }
        assert!(
            (10..40).contains(&questions),
            "{questions} questions in an hour"
        );
    }

    #[test]
    fn few_jobs_are_trials_and_the_same_ones_each_time() {
        let planned = seconds(40.0);
        let ages = |seen| (0..10_000).filter_map(move |lot| trial(planned, seen, lot));
        let late: Vec<Duration> = ages(1_000).collect();
        assert!(
            (100..400).contains(&late.len()),
            "{} trials in 10,000 jobs",
            late.len()
        );
        assert!(
            late.iter()
                .all(|age| *age >= seconds(25.9) && *age <= planned)
        );
        assert!(late.iter().any(|age| *age < seconds(28.0)));
        assert_eq!(late, ages(1_000).collect::<Vec<_>>());
        assert!(ages(0).count() > 10 * late.len());
    }
}
