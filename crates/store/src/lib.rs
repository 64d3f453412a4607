//! store

#[cfg(feature = "testing")]
pub mod testing;
