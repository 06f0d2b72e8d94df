//! What is kept beside a lease for a while: the order, to ask a producer again with; the idempotency key and the answer,
//! to give the same lease again. Order and answer are sealed; see `engine/again.rs` and `engine/ask.rs`.

use gateward_store::{Key, Write};

use super::delete;
use crate::due::LeaseKey;
use crate::lease::{Lease, LeaseState};

/// Where the order of `lease` stands.
pub(crate) fn order_key(lease: LeaseKey) -> Key {
    Key { partition: format!("~order/{}", lease.item_id), sort: lease.lease_id.to_string() }
}

/// Where the answer that made `lease` stands.
pub(crate) fn answer_key(lease: LeaseKey) -> Key {
    Key { partition: format!("~answer/{}", lease.item_id), sort: lease.lease_id.to_string() }
}

/// Where the idempotency key with this digest stands.
pub(crate) fn again_key(digest: &str) -> Key {
    Key { partition: format!("~again/{}", digest.get(..2).unwrap_or(digest)), sort: digest.to_owned() }
}

/// Everything that may stand beside `lease`.
pub(super) fn of_lease(lease: &Lease) -> Vec<Key> {
    let mut keys = Vec::new();
    if lease.order_kept {
        keys.push(order_key(LeaseKey::of(lease)));
    }
    if let Some(digest) = &lease.again {
        keys.extend([again_key(digest), answer_key(LeaseKey::of(lease))]);
    }
    keys
}

/// What is needed no more when a lease goes from `before` to `after`. An idempotency key stands exactly as long as its
/// lease is INTENT or ACTIVE: afterwards it may give a new one.
pub(super) fn left_behind(before: &Lease, after: &Lease) -> Vec<Write> {
    let may_be_asked = |lease: &Lease| {
        lease.order_kept && matches!(lease.state, LeaseState::Intent { .. } | LeaseState::Unknown { .. })
    };
    let may_be_given = |lease: &Lease| {
        lease.again.is_some() && matches!(lease.state, LeaseState::Intent { .. } | LeaseState::Active { .. })
    };
    let mut keys = Vec::new();
    if may_be_asked(before) && !may_be_asked(after) {
        keys.push(order_key(LeaseKey::of(before)));
    }
    if may_be_given(before)
        && !may_be_given(after)
        && let Some(digest) = &before.again
    {
        keys.extend([again_key(digest), answer_key(LeaseKey::of(before))]);
    }
    keys.into_iter().map(delete).collect()
}
