//! How much of the window above the bandwidth-delay product is used.

/// The part that is left after excess loss has reduced it again and again.
const MIN: f64 = 1.0 / 16.0;

/// The used part of the window above the bandwidth-delay product. Excess loss reduces it.
#[derive(Debug, Clone)]
pub(super) struct Headroom {
    factor: f64,
    /// Whether the part was reduced since the latest drain.
    reduced: bool,
}

impl Headroom {
    pub(super) fn new() -> Self {
        Self { factor: 1.0, reduced: false }
    }

    /// The used part, up to 1.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether the part was reduced since the latest drain.
    pub(super) fn was_reduced(&self) -> bool {
        self.reduced
    }

    /// Halves the used part.
    pub(super) fn reduce(&mut self) {
        self.reduced = true;
        self.factor = (self.factor / 2.0).max(MIN);
    }

    /// Ends a drain. The used part grows by a quarter if it was not reduced since the previous drain.
    pub(super) fn end_drain(&mut self) {
        if !self.reduced {
            self.factor = (self.factor * 1.25).min(1.0);
        }
        self.reduced = false;
    }
}
