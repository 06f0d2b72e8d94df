//! Which upstreams have their nodes asked how they are: those that a route or a service refers to.
//!
//! Checks begin with the snapshot in which somebody refers to an upstream for the first time, and end with the one in
//! which nobody does any more, though requests may hold older snapshots for long. Upstreams that ask what the ones in
//! their place asked before just go on.

use std::collections::HashSet;
use std::sync::Arc;

use gateward_upstreams::Balanced;

use super::Target;

/// The upstreams whose checks run.
#[derive(Default)]
pub(super) struct Checked(Vec<Arc<Balanced>>);

impl Checked {
    /// Has the checks of all `targets` run that have some, and those of no others.
    pub(super) fn follow<'t>(&mut self, targets: impl Iterator<Item = &'t Target>) {
        let (mut known, mut now) = (HashSet::new(), Vec::new());
        for target in targets {
            let Target::Upstream(upstream) = target else { continue };
            if upstream.has_checks() && known.insert(Arc::as_ptr(upstream)) {
                upstream.run_checks(true);
                now.push(Arc::clone(upstream));
            }
        }
        // What takes the place of another took over its checks above, so only then may the other let go of them.
        for before in std::mem::replace(&mut self.0, now) {
            if !known.contains(&Arc::as_ptr(&before)) {
                before.run_checks(false);
            }
        }
    }
}
