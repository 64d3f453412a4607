//! The binary `vitrine`.
fn main() {}
