//! never_panics
