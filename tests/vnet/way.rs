//! Both directions between two hosts.

use super::pipe::Pipe;

/// Both directions between two hosts, each one pipe or several in a row. Ways that have a pipe in common share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// There, in the order in which a packet meets them.
    pub(crate) there: Vec<Pipe>,
    /// And back.
    pub(crate) back: Vec<Pipe>,
}

impl Way {
    /// This way first, then another.
    pub(crate) fn then(&self, next: &Self) -> Self {
        let join = |a: &[Pipe], b: &[Pipe]| a.iter().chain(b).cloned().collect();
        Self { there: join(&self.there, &next.there), back: join(&next.back, &self.back) }
    }

    /// Changes both directions of every pipe.
    pub(crate) fn change(&self, change: impl Fn(&mut super::Line)) {
        self.there.iter().chain(&self.back).for_each(|pipe| pipe.change(&change));
    }

    /// Nothing passes, in both directions.
    pub(crate) fn cut(&self) {
        self.change(|line| line.cut = true);
    }

    /// What was cut is whole again.
    pub(crate) fn heal(&self) {
        self.change(|line| line.cut = false);
    }
}
