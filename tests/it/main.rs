//! The tests of the whole: the real executable, both databases, and the shape of the tree itself.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod inserts;
#[cfg(test)]
mod resolve;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod wire;
