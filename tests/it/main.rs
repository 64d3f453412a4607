//! The tests of the whole: the real executable, both databases, and the shape of the tree itself.

#[cfg(test)]
mod demo;
#[cfg(test)]
mod tidy;
