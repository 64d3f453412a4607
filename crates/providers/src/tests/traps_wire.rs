//! traps_wire
