//! http_wire
