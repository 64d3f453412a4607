//! Deliverables come home, and source images are looked at before they are paid for: the planner in virtual
//! time, against the simulated services and hosts that do what hosts do.

#[cfg(test)]
mod links;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod world;
