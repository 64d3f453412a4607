//! What goes wrong in a history: where the process dies, and what the provider does.

use sandbox::FaultPlan;

/// How likely the process dies at each tick, in thousandths, by place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chances {
    pub(crate) before_step: u32,
    pub(crate) before_commit: u32,
    pub(crate) after_commit: u32,
    pub(crate) after_hand_out: u32,
    pub(crate) database: u32,
}

impl Chances {
    pub(crate) fn none() -> Self {
        Self {
            before_step: 0,
            before_commit: 0,
            after_commit: 0,
            after_hand_out: 0,
            database: 0,
        }
    }

    pub(crate) fn crashes() -> Self {
        Self {
            before_step: 12,
            before_commit: 12,
            after_commit: 12,
            after_hand_out: 12,
            database: 12,
        }
    }
}

/// What the provider does wrong.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) plan: FaultPlan,
    pub(crate) shapes: bool,
    /// Nobody at JARAI ever releases a production.
    pub(crate) never_released: bool,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            plan: FaultPlan::none(),
            shapes: false,
            never_released: false,
        }
    }

    pub(crate) fn never_released() -> Self {
        Self {
            never_released: true,
            ..Self::none()
        }
    }

    pub(crate) fn shapes() -> Self {
        Self {
            plan: FaultPlan::none(),
            shapes: true,
            never_released: false,
        }
    }

    pub(crate) fn some(seed: u64) -> Self {
        Self {
            plan: FaultPlan::from_seed(seed, 0.02),
            shapes: true,
            never_released: false,
        }
    }
}
