//! Who should own what: a pure decision from one look at the processes that work on the database.
//!
//! Each process comes to it alone, and the locks keep it right whatever they decide; this only spreads the
//! lanes. A free lane is taken by whoever has less than its share; one that nobody takes (the others' configs
//! do not have it) by anybody. Who has two more than another gives one away, and waits for it to be quiet.

use std::collections::{BTreeMap, BTreeSet};

use store::{LaneKey, Look};

/// So many looks in a row a lane is left to those who have less than their share.
const LEFT_TO_OTHERS: u32 = 2;

/// What to do about ownership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moves {
    /// Try to take these.
    pub(crate) take: Vec<LaneKey>,
    /// End the sessions of these lanes' owners, which show no life.
    pub(crate) evict: Vec<LaneKey>,
    /// Let another process have this one.
    pub(crate) give_away: Option<LaneKey>,
}

/// What is remembered between looks.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    /// All lanes of this process's config, in order.
    wanted: Vec<LaneKey>,
    /// Looks in a row at which nobody had it.
    free: BTreeMap<LaneKey, u32>,
    /// Given away, and nobody took it: kept from then on.
    unwanted: BTreeSet<LaneKey>,
    given: BTreeSet<LaneKey>,
    /// How many processes there were at the last look.
    members: usize,
    /// Held when this process last looked: taken first when it starts over, since it knows what of them is
    /// on the wire.
    had: Vec<LaneKey>,
}

impl Fleet {
    pub(crate) fn new(wanted: Vec<LaneKey>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// All lanes that this process can work on.
    pub(crate) fn wanted(&self) -> &[LaneKey] {
        &self.wanted
    }

    /// What to do now; `mine` are the lanes that this process holds.
    pub(crate) fn moves(&mut self, mine: &[LaneKey], look: &Look) -> Moves {
        if self.members != look.members.len() {
            self.members = look.members.len();
            self.unwanted.clear();
            self.given.clear();
        }
        let others = || look.members.iter().filter(|member| !member.me);
        let taken: BTreeSet<&LaneKey> = others().flat_map(|member| &member.lanes).collect();
        let mut free: Vec<LaneKey> = (self.wanted.iter())
            .filter(|lane| !mine.contains(lane) && !taken.contains(lane))
            .cloned()
            .collect();
        free.sort_by_key(|lane| !self.had.contains(lane));
        self.free.retain(|lane, _| free.contains(lane));
        let share = self.wanted.len().div_ceil(self.members.max(1));
        let mut moves = Moves {
            evict: look.stale.clone(),
            ..Moves::default()
        };
        for lane in &free {
            let looks = self.free.entry(lane.clone()).or_default();
            *looks += 1;
            if mine.len() + moves.take.len() < share || *looks > LEFT_TO_OTHERS {
                moves.take.push(lane.clone());
                if self.given.remove(lane) {
                    self.unwanted.insert(lane.clone());
                }
            }
        }
        let least = others().map(|member| member.lanes.len()).min();
        if free.is_empty() && least.is_some_and(|least| least + 2 <= mine.len()) {
            let mut spare = mine.iter().rev();
            moves.give_away = spare.find(|lane| !self.unwanted.contains(lane)).cloned();
            self.given.extend(moves.give_away.clone());
        }
        self.had = [mine, &moves.take].concat();
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Member;

    fn lanes(names: &str) -> Vec<LaneKey> {
        names
            .chars()
            .map(|name| LaneKey(name.to_string()))
            .collect()
    }

    fn look(me: &str, others: &[&str]) -> Look {
        let member = |me, names: &str| Member {
            me,
            lanes: lanes(names),
        };
        let mut members = vec![member(true, me)];
        members.extend(others.iter().map(|names| member(false, names)));
        Look {
            is_ours: true,
            members,
            stale: Vec::new(),
        }
    }

    fn moves(fleet: &mut Fleet, mine: &str, others: &[&str]) -> Moves {
        fleet.moves(&lanes(mine), &look(mine, others))
    }

    #[test]
    fn who_is_alone_takes_all() {
        let mut fleet = Fleet::new(lanes("abc"));
        assert_eq!(moves(&mut fleet, "", &[]).take, lanes("abc"));
        assert_eq!(moves(&mut fleet, "abc", &[]), Moves::default());
    }

    #[test]
    fn who_has_two_more_than_another_gives_one_away() {
        let mut fleet = Fleet::new(lanes("abc"));
        assert_eq!(
            moves(&mut fleet, "abc", &[""]).give_away,
            Some(lanes("c")[0].clone())
        );
        assert_eq!(moves(&mut fleet, "ab", &["c"]), Moves::default());
        // On its way to the other one: neither given another nor taken back.
        assert_eq!(moves(&mut fleet, "ab", &[""]), Moves::default());
    }

    #[test]
    fn a_dead_owners_lanes_are_shared_among_the_living() {
        let mut fleet = Fleet::new(lanes("abcd"));
        assert_eq!(moves(&mut fleet, "a", &["b", "cd"]), Moves::default());
        assert_eq!(moves(&mut fleet, "a", &["b"]).take, lanes("c"));
    }

    #[test]
    fn a_lane_that_nobody_takes_is_taken_by_anybody_and_then_kept() {
        let mut fleet = Fleet::new(lanes("ab"));
        assert_eq!(
            moves(&mut fleet, "ab", &[""]).give_away,
            Some(lanes("b")[0].clone())
        );
        let mut looks = 0;
        while moves(&mut fleet, "a", &[""]).take.is_empty() {
            looks += 1;
            assert!(looks < 5);
        }
        assert_eq!(
            moves(&mut fleet, "ab", &[""]).give_away,
            Some(lanes("a")[0].clone())
        );
    }

    #[test]
    fn the_fleet_ends_balanced_whoever_joins_or_dies() {
        let names = "abcdefg";
        let mut fleets: Vec<Fleet> = (0..4).map(|_| Fleet::new(lanes(names))).collect();
        let mut held: Vec<Option<Vec<LaneKey>>> = vec![Some(Vec::new()), None, None, None];
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..400 {
            match round {
                40 | 80 => held[round / 40] = Some(Vec::new()),
                120 => held[3] = Some(Vec::new()),
                200 => held[0] = None,
                280 => held[2] = None,
                _ => {}
            }
            let mut order: Vec<usize> = (0..4).collect();
            rng.shuffle(&mut order);
            for me in order {
                let Some(mine) = held[me].clone() else {
                    continue;
                };
                let members = held.iter().enumerate().filter_map(|(who, lanes)| {
                    Some(Member {
                        me: who == me,
                        lanes: lanes.clone()?,
                    })
                });
                let look = Look {
                    is_ours: true,
                    members: members.collect(),
                    stale: Vec::new(),
                };
                let moves = fleets[me].moves(&mine, &look);
                let is_free = |lane: &LaneKey| !held.iter().flatten().flatten().any(|l| l == lane);
                let gained: Vec<_> = moves.take.into_iter().filter(is_free).collect();
                let mine = held[me].as_mut().unwrap();
                mine.retain(|lane| Some(lane) != moves.give_away.as_ref());
                mine.extend(gained);
            }
            if [39, 79, 119, 199, 279, 399].contains(&round) {
                let sizes: Vec<usize> = held.iter().flatten().map(Vec::len).collect();
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                assert_eq!(sizes.iter().sum::<usize>(), names.len(), "{sizes:?}");
                assert!(most - least <= 1, "round {round}: {sizes:?}");
            }
        }
    }
}
