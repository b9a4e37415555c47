//! The fraction of the window above the bandwidth-delay product that is in use.

/// Excess loss does not reduce the fraction below this.
const MIN: f64 = 1.0 / 16.0;

/// The fraction of the window above the bandwidth-delay product that is in use. Excess loss reduces it.
#[derive(Debug, Clone)]
pub(super) struct Headroom {
    factor: f64,
    /// Whether the fraction was reduced since the latest drain.
    reduced: bool,
}

impl Headroom {
    pub(super) fn new() -> Self {
        Self { factor: 1.0, reduced: false }
    }

    /// The fraction, from 1/16 to 1.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether the fraction was reduced since the latest drain.
    pub(super) fn was_reduced(&self) -> bool {
        self.reduced
    }

    /// Halves the fraction.
    pub(super) fn reduce(&mut self) {
        self.reduced = true;
        self.factor = (self.factor / 2.0).max(MIN);
    }

    /// Ends a drain. The fraction grows by a quarter if it was not reduced since the previous drain.
    pub(super) fn end_drain(&mut self) {
        if !self.reduced {
            self.factor = (self.factor * 1.25).min(1.0);
        }
        self.reduced = false;
    }
}
