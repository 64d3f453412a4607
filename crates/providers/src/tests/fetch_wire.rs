//! fetch_wire
