//! One process: it steps, may die at every place of a step, and starts again from the database. All
//! that it knows beyond the database is here, so that a crash has one thing to forget.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{SubmissionId, Timestamp};
use engine::{Act, Afloat, Engine, FlightId, Here, Jump, Report, Said};
use providers::{ItemOutcome, Outcome};
use store::{Epoch, Fuse, FuseMode, LaneHold, LaneKey, StoreError};

use super::World;
use super::timetable::Coming;
use crate::faults::Place;

/// A process, alive or about to start.
#[derive(Debug)]
pub(super) struct Process {
    /// Names this start of it: answers to an earlier life are lost.
    pub(super) life: u64,
    /// What it runs, between its sessions none.
    pub(super) engine: Option<Engine>,
    /// SQLite's lock, where it is the only process.
    hold: Option<LaneHold>,
    /// The lanes of this session.
    pub(super) epochs: Vec<(LaneKey, Epoch)>,
    /// Submissions that the database failed to take, or to say that it took.
    unsent: BTreeSet<SubmissionId>,
    /// Handed out, and not yet reported.
    pub(super) in_air: BTreeSet<FlightId>,
    /// Paid POSTs of an earlier session, whose answers are facts.
    afloat: Afloat,
    /// Reported, and not yet durable.
    pub(super) unheard: Vec<Report>,
    /// The provider's numbers of the requests whose answers are not yet durable.
    pub(super) unheard_numbers: Vec<(u64, u64)>,
    /// Counts its sessions: what an earlier one asked, a later one may not conclude from.
    pub(super) session: u64,
    /// In which session each flight was handed out.
    sessions: BTreeMap<FlightId, u64>,
    /// It does something then, by the world's time.
    pub(super) due: Timestamp,
    /// It looks at its lanes then.
    pub(super) tend_at: Timestamp,
    /// Requests may leave until then, by its clock; no limit where it is the only process.
    pub(super) permit: Option<Timestamp>,
    /// It does nothing until then, and does not know it.
    pub(super) frozen_until: Option<Timestamp>,
    /// The moment of the step that it was in when it froze: it had looked at its lanes, and had read
    /// the clock.
    pub(super) mid_step: Option<Timestamp>,
    /// Acts that its hands were about to send when it froze.
    pub(super) outbox: Vec<Act>,
    /// The last jump of the wall clock in its life.
    pub(super) jump: Option<Jump>,
    /// It has not noticed yet.
    pub(super) jumped: bool,
    /// Answers that came while it was frozen.
    pub(super) letters: Vec<(FlightId, Said, Option<u64>)>,
}

impl Process {
    pub(super) fn new(life: u64, due: Timestamp) -> Self {
        Self {
            life,
            engine: None,
            hold: None,
            epochs: Vec::new(),
            unsent: BTreeSet::new(),
            in_air: BTreeSet::new(),
            afloat: Afloat::default(),
            unheard: Vec::new(),
            unheard_numbers: Vec::new(),
            session: 0,
            sessions: BTreeMap::new(),
            due,
            tend_at: due,
            permit: None,
            frozen_until: None,
            mid_step: None,
            outbox: Vec::new(),
            letters: Vec::new(),
            jump: None,
            jumped: false,
        }
    }

    /// What this process knows of its own earlier sessions.
    pub(super) fn here(&self, others_may_live: bool) -> Here {
        let unheard = self.unheard.iter().map(|report| report.flight.clone());
        Here {
            flights: self.in_air.iter().cloned().chain(unheard).collect(),
            unsent: self.unsent.clone(),
            others_may_live,
            jump: self.jump,
        }
    }

    /// The session ends; what is on the wire is remembered.
    pub(super) fn end_session(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            self.afloat.add(engine.afloat());
            self.unsent.extend(engine.unsent());
        }
        self.hold = None;
        self.session += 1;
        self.epochs.clear();
    }

    /// When it does something next.
    pub(super) fn next(&self) -> Timestamp {
        let tends = self.permit.is_some() && self.engine.is_some();
        let turn = if tends {
            self.due.min(self.tend_at)
        } else {
            self.due
        };
        self.frozen_until.unwrap_or(turn)
    }
}

impl World {
    /// Which process has this life.
    pub(super) fn alive(&self, life: u64) -> Option<usize> {
        self.processes.iter().position(|it| it.life == life)
    }

    /// Passes a point; whether the process dies there.
    pub(super) fn dies(&mut self, who: usize, place: Place) -> bool {
        let strikes = self.fate.strikes();
        if strikes {
            self.crash(who, place);
        }
        strikes
    }

    /// The process dies. What it had handed out and not sent is gone; what was sent is on its way; what
    /// was on the way to it is lost.
    fn crash(&mut self, who: usize, place: Place) {
        let point = self.fate.points;
        self.note(&format!("{who} at point {point}: {}", place.name()));
        self.count_crash(place);
        self.fate.struck();
        let away = self.downtime();
        self.last_fault = self.now + away;
        self.lives += 1;
        let reborn = Process::new(self.lives, self.now + away);
        let dead = std::mem::replace(&mut self.processes[who], reborn);
        self.locks.retain(|_, owner| *owner != dead.life);
        let mut lost: Vec<u64> = dead.unheard_numbers.iter().map(|(no, _)| *no).collect();
        lost.extend(dead.letters.iter().filter_map(|(.., no)| *no));
        self.timetable.drop_where(|what| match what {
            Coming::Send(_, life) => *life == dead.life,
            Coming::Deliver(_, _, life, no) if *life == dead.life => {
                lost.extend(*no);
                true
            }
            Coming::Deliver(..) | Coming::Arrive(..) | Coming::Outside(_) => false,
        });
        for no in lost {
            self.provider.answer_lost(no);
        }
    }

    pub(super) fn count_crash(&mut self, place: Place) {
        *self.crashes.entry(place.name()).or_default() += 1;
        self.last_fault = self.now;
    }

    /// How long it takes until somebody starts the process again: seconds, now and then hours.
    fn downtime(&mut self) -> Duration {
        if self.rng.u32(..24) == 0 {
            self.saw("away for longer than a link lives");
            return Duration::from_secs(self.rng.u64(60..7_200));
        }
        Duration::from_millis(self.rng.u64(1..20_000))
    }

    /// It is this process's turn: it starts, looks at its lanes, and steps.
    pub(super) async fn turn(&mut self, who: usize) {
        let life = self.processes[who].life;
        if self.processes[who].engine.is_none() {
            self.start(who).await;
        }
        if self.processes[who].mid_step.is_some() && self.is_up(who, life) {
            self.tick(who).await;
        }
        self.notice_jump(who).await;
        if self.is_fleet() && self.is_up(who, life) && self.now >= self.processes[who].tend_at {
            self.tend(who).await;
        }
        if self.is_up(who, life) && self.processes[who].due <= self.now {
            self.tick(who).await;
        }
    }

    /// The wall clock jumped. Who lives, or starts over, has its steady clock to see it by.
    pub(super) fn jump_clocks(&mut self, by: i64) {
        self.wall_offset += by;
        let at = self.wall();
        for process in &mut self.processes {
            if process.engine.is_some() || process.session > 0 {
                process.jump = Some(Jump { at, by });
                process.jumped = true;
            }
        }
    }

    /// What the machine's clock and the database tell of the last jump, to who lived then and to who did not.
    async fn recall_jump(&mut self, who: usize) {
        const UP: Duration = Duration::from_secs(10 * 365 * 86_400);
        let since_boot = ("sim".to_owned(), self.now.since(super::START.before(UP)));
        let told = engine::recall_jump(&self.store, since_boot, self.wall());
        let told = told.await.unwrap();
        let process = &mut self.processes[who];
        process.jump = told.or(process.jump);
    }

    async fn notice_jump(&mut self, who: usize) {
        if !std::mem::take(&mut self.processes[who].jumped) {
            return;
        }
        self.recall_jump(who).await;
        let process = &mut self.processes[who];
        if let (Some(engine), Some(jump)) = (&mut process.engine, process.jump) {
            engine.clock_jumped(jump);
            process.tend_at = self.now;
        }
    }

    fn is_up(&self, who: usize, life: u64) -> bool {
        self.processes[who].life == life && self.processes[who].engine.is_some()
    }

    /// A dead process holds no lane, but the child that another test of this program starts at the same moment
    /// has each open file until it is another program.
    async fn take_lanes(&self, wall: Timestamp) -> LaneHold {
        for _ in 0..200 {
            match self.store.take_lanes(&self.lanes, "sim", wall).await {
                Err(StoreError::Held { .. }) => {
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                taken => return taken.unwrap(),
            }
        }
        panic!("the lanes are held although their process is dead");
    }

    /// The process starts, or starts over after trouble with the database.
    async fn start(&mut self, who: usize) {
        let mut hold = None;
        let mut epochs = Vec::new();
        let wall = self.wall();
        if !self.is_fleet() && self.url.starts_with("sqlite") {
            let taken = self.take_lanes(wall).await;
            epochs.clone_from(&taken.epochs);
            hold = Some(taken);
        } else if !self.is_fleet() {
            // The server drops a dead session's locks when it notices, by a clock that is not ours.
            epochs = self
                .store
                .take_over(&self.lanes, "sim", wall)
                .await
                .unwrap();
        }
        self.recall_jump(who).await;
        let here = self.processes[who].here(self.is_fleet());
        self.processes[who].jumped = false;
        let seed = self.rng.u64(..);
        let (store, accounts) = (self.store.clone(), self.accounts.clone());
        let engine = Engine::load(store, accounts, &[], &here, seed, wall).await;
        let mut engine = engine.unwrap();
        let process = &mut self.processes[who];
        engine.go_on_with(std::mem::take(&mut process.afloat));
        process.hold = hold;
        process.epochs.clone_from(&epochs);
        let trouble = self.trouble_of_loading();
        let loaded = engine.add_lanes(&epochs, &here, wall).await;
        let burnt = self.take_fuse();
        let process = &mut self.processes[who];
        process.engine = Some(engine);
        match loaded {
            Ok(()) => {
                process.due = self.now;
                process.tend_at = self.now;
                if self.is_fleet() {
                    self.processes[who].permit = Some(Timestamp::default());
                }
            }
            Err(error) => self.failed(who, burnt, trouble, &error),
        }
    }

    /// Whether the next load fails, and where.
    pub(super) fn trouble_of_loading(&mut self) -> Option<Place> {
        for (place, mode) in [
            (Place::BeforeLoadCommit, FuseMode::BeforeBegin),
            (Place::AfterLoadCommit, FuseMode::AfterCommit),
        ] {
            if self.fate.strikes() {
                self.store.set_fuse(Some(Fuse { nth: 1, mode }));
                return Some(place);
            }
        }
        None
    }

    /// Whether the fuse has blown; takes it out.
    pub(super) fn take_fuse(&mut self) -> bool {
        let burnt = self.store.fuse().is_none();
        self.store.set_fuse(None);
        burnt
    }

    /// A transaction failed as planned: the process dies of it, or starts over.
    pub(super) fn failed(
        &mut self,
        who: usize,
        burnt: bool,
        trouble: Option<Place>,
        error: &StoreError,
    ) {
        let Some(place) = trouble.filter(|_| burnt) else {
            panic!("seed {}: only the fuse fails: {error:?}", self.seed);
        };
        if place == Place::DatabaseTrouble {
            self.note(&format!("{who}: database trouble"));
            self.count_crash(place);
            self.end_session(who);
        } else {
            self.crash(who, place);
        }
    }

    /// Its lanes are free; it starts over soon.
    pub(super) fn end_session(&mut self, who: usize) {
        let life = self.processes[who].life;
        self.locks.retain(|_, owner| *owner != life);
        let process = &mut self.processes[who];
        process.end_session();
        process.due = self.now + Duration::from_millis(100);
        if process.permit.is_some() {
            // The locks go with the session.
            process.permit = Some(Timestamp::default());
        }
    }

    fn hand_out(&mut self, who: usize, acts: Vec<Act>) {
        let life = self.processes[who].life;
        for act in acts {
            let process = &mut self.processes[who];
            process.in_air.insert(act.flight().clone());
            let session = process.session;
            process.sessions.insert(act.flight().clone(), session);
            let at = self.now + Duration::from_millis(self.rng.u64(..20));
            self.timetable.add(at, Coming::Send(act, life));
        }
    }

    /// What may go wrong with this tick's transaction.
    fn trouble_of_tick(&mut self) -> Option<Place> {
        let place = if self.fate.strikes() {
            Place::BeforeCommit
        } else if self.fate.strikes() {
            Place::AfterCommit
        } else if self.fate.strikes() {
            Place::DatabaseTrouble
        } else {
            return None;
        };
        let mode = match place {
            Place::AfterCommit => FuseMode::AfterCommit,
            Place::DatabaseTrouble if self.rng.bool() => FuseMode::AfterCommit,
            _ => FuseMode::BeforeBegin,
        };
        self.store.set_fuse(Some(Fuse { nth: 1, mode }));
        self.fate.is_durable_all_the_same = mode == FuseMode::AfterCommit;
        Some(place)
    }

    /// One tick: the process steps, and may die at any place of it.
    async fn tick(&mut self, who: usize) {
        self.ticks += 1;
        if self.dies(who, Place::BeforeStep) {
            return;
        }
        let replaced = self.is_fleet() && self.is_replaced(who).await;
        let trouble = self.trouble_of_tick();
        let Some(mut engine) = self.processes[who].engine.take() else {
            return;
        };
        // Somebody else writes now and then.
        if self.rng.u32(..20) == 0 {
            engine.notice_writes();
        }
        let reports = std::mem::take(&mut self.processes[who].unheard);
        let numbers = std::mem::take(&mut self.processes[who].unheard_numbers);
        let wall = self.processes[who].mid_step.take();
        let wall = wall.unwrap_or_else(|| self.wall());
        self.processes[who].afloat = engine.reported(&reports);
        let result = engine.step(wall, &reports).await;
        let burnt = self.take_fuse();
        self.processes[who].engine = Some(engine);
        match result {
            Ok(plan) => {
                self.processes[who].afloat = Afloat::default();
                self.accepted_and_heard
                    .extend(reports.iter().filter_map(acceptance));
                if replaced {
                    self.saw("a replaced owner's conclusions were dropped");
                }
                if replaced {
                    self.processes[who].session += 1;
                }
                self.lose_stale(who, numbers);
                self.hand_out(who, plan.acts);
                let wait = plan.wake_at.map(|at| at.since(wall));
                let longest = Duration::from_secs(86_400);
                self.processes[who].due = self.now + wait.unwrap_or(longest);
                if burnt && let Some(place) = trouble {
                    // Only a planted bug goes on after its transaction failed.
                    self.crash(who, place);
                } else if self.is_fleet() && self.fate.freezes() {
                    self.freeze(who);
                }
            }
            Err(error) => {
                self.processes[who].unheard = reports;
                // After the commit these answers are durable, and a replaced owner's are not concluded from.
                if !self.fate.is_durable_all_the_same || replaced {
                    self.processes[who].unheard_numbers = numbers;
                } else {
                    self.lose_stale(who, numbers);
                }
                self.failed(who, burnt, trouble, &error);
            }
        }
    }

    /// What a process asked in an earlier session, or under an epoch that is over, is nobody's conclusion.
    fn lose_stale(&mut self, who: usize, numbers: Vec<(u64, u64)>) {
        let session = self.processes[who].session;
        for (no, of) in numbers {
            if self.is_fleet() && of != session {
                self.provider.answer_lost(no);
            }
        }
    }

    /// An answer reaches its process.
    pub(super) fn deliver(&mut self, flight: FlightId, said: Said, life: u64, no: Option<u64>) {
        let Some(who) = self.alive(life) else {
            self.lose_answer(no);
            return;
        };
        let at = self.wall();
        let process = &mut self.processes[who];
        if process.frozen_until.is_some() {
            process.letters.push((flight, said, no));
            return;
        }
        let place = match &said {
            Said::Fetched(Ok(_)) => Place::FileStored,
            Said::Fetched(Err(_)) | Said::Reply(_) | Said::Looked(_) => Place::AnswerRead,
        };
        process.in_air.remove(&flight);
        let session = process.sessions.remove(&flight).unwrap_or_default();
        process.unheard.push(Report { flight, at, said });
        process.unheard_numbers.extend(no.map(|no| (no, session)));
        if process.engine.is_some() {
            process.due = self.now;
        }
        self.dies(who, place);
    }
}

/// The flight of a submit whose answer says that all of it was accepted.
fn acceptance(report: &Report) -> Option<FlightId> {
    let Said::Reply(reply) = &report.said else {
        return None;
    };
    let Outcome::Submitted(items) = &reply.outcome else {
        return None;
    };
    let accepted = |item: &ItemOutcome| matches!(item, ItemOutcome::Accepted { .. });
    items.iter().all(accepted).then(|| report.flight.clone())
}
