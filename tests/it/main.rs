//! The tests of the whole: the real executable, both databases, and the shape of the tree itself.

#[cfg(test)]
mod account;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod catalogs;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod database;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod inserts;
#[cfg(test)]
mod kill_loop;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod money;
#[cfg(test)]
mod pauses;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod strace;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod wire;
