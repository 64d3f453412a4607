//! The binary `vitrine`.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the commands that read catalogs come next")
)]
mod catalog;

fn main() {}
