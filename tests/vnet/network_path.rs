//! A path between two hosts: the links of both directions.

use super::{link::EmulatedLink, link_config::LinkConfig};

/// Both directions between two hosts, each one link or several in a row. Paths that have a link in common share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetworkPath {
    /// The links from the first host to the second, in the order in which a packet passes them.
    pub(crate) forward: Vec<EmulatedLink>,
    /// The links from the second host to the first.
    pub(crate) reverse: Vec<EmulatedLink>,
}

impl NetworkPath {
    /// Appends `next` at the far end of this path.
    pub(crate) fn then(&self, next: &Self) -> Self {
        let join = |a: &[EmulatedLink], b: &[EmulatedLink]| a.iter().chain(b).cloned().collect();
        Self { forward: join(&self.forward, &next.forward), reverse: join(&next.reverse, &self.reverse) }
    }

    /// Drops every packet in both directions until [`NetworkPath::restore`].
    pub(crate) fn cut(&self) {
        self.change(|config| config.cut = true);
    }

    /// Ends a cut.
    pub(crate) fn restore(&self) {
        self.change(|config| config.cut = false);
    }

    /// Changes every link of both directions.
    fn change(&self, change: impl Fn(&mut LinkConfig)) {
        self.forward.iter().chain(&self.reverse).for_each(|link| link.change(&change));
    }
}
