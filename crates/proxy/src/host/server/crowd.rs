//! Counts who is here, and says when there is no more room.
//!
//! Connections are counted when they begin and when they end, requests when they come and when they are answered; the
//! counts are shared by all data threads.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Limits;
use crate::traffic::{Occupancy, Totals, Traffic};

/// Who is here now.
#[derive(Debug)]
pub(super) struct Crowd {
    connections: AtomicUsize,
    requests: AtomicUsize,
    refusals: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    most_connections: usize,
    most_requests: usize,
    most_per_address: Option<usize>,
    traffic: Arc<Traffic>,
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Crowd>);

/// A connection that is counted among those of its address, until it is dropped.
#[derive(Debug)]
pub(super) struct AddressSeat {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

/// A refusal that is being said, until it is dropped.
#[derive(Debug)]
pub(super) struct Refusal(Arc<Crowd>);

/// A request that is counted, until it is dropped.
pub(super) struct Turn<'c>(&'c Crowd);

impl Crowd {
    pub(super) fn new(limits: &Limits, traffic: &Arc<Traffic>) -> Arc<Self> {
        let crowd = Arc::new(Self {
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            by_address: Mutex::default(),
            most_connections: limits.connections,
            most_requests: limits.requests,
            most_per_address: limits.connections_per_address,
            traffic: Arc::clone(traffic),
        });
        let watched: Weak<Self> = Arc::downgrade(&crowd);
        traffic.watch(watched);
        crowd
    }

    /// A place for one more connection, if there is one.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Seat> {
        let seat = Seat(Arc::clone(self));
        let is_room = self.connections.fetch_add(1, Ordering::Relaxed) < self.most_connections;
        self.traffic.connected(is_room);
        is_room.then_some(seat)
    }

    /// A place for one more connection from `address`, if there is one; none is needed where nobody counts.
    pub(super) fn seat_of(self: &Arc<Self>, address: IpAddr) -> Result<Option<AddressSeat>, Full> {
        let Some(most) = self.most_per_address else { return Ok(None) };
        let address = network(address);
        let mut by_address = self.by_address();
        let count = by_address.entry(address).or_default();
        if *count >= most {
            return Err(Full);
        }
        *count += 1;
        drop(by_address);
        Ok(Some(AddressSeat { crowd: Arc::clone(self), address }))
    }

    /// The right to have one more request answered, if there is room for it.
    pub(super) fn turn(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        (self.requests.fetch_add(1, Ordering::Relaxed) < self.most_requests).then_some(turn)
    }

    /// The right to tell a client that there is no room for it; beyond some, there is no time for that either.
    pub(super) fn refusal(self: &Arc<Self>) -> Option<Refusal> {
        let refusal = Refusal(Arc::clone(self));
        (self.refusals.fetch_add(1, Ordering::Relaxed) < MOST_REFUSALS).then_some(refusal)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Occupancy for Crowd {
    fn add_to(&self, totals: &mut Totals) {
        let count = |count: &AtomicUsize| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or_default();
        totals.connections += count(&self.connections);
        totals.under_way += count(&self.requests);
    }
}

/// There are as many connections as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for AddressSeat {
    fn drop(&mut self) {
        let mut by_address = self.crowd.by_address();
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.refusals.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is counted as one: who has an IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

const MOST_REFUSALS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_somebody_has_gone() {
        let limits =
            Limits { connections: 1, connections_per_address: Some(2), requests: 1, ..Limits::default() };
        let traffic = Arc::<Traffic>::default();
        let crowd = Crowd::new(&limits, &traffic);
        let seat = crowd.seat();
        assert!(seat.is_some() && crowd.seat().is_none());
        drop(seat);
        assert!(crowd.seat().is_some());
        let turn = crowd.turn();
        assert!(turn.is_some() && crowd.turn().is_none());
        let totals = traffic.totals();
        assert_eq!((totals.accepted, totals.turned_away, totals.under_way), (2, 1, 1));
        drop(turn);
        assert!(crowd.turn().is_some());
        let seats: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|a| crowd.seat_of(a.parse().unwrap())).into();
        assert_eq!(crowd.seat_of("2001:db8::3".parse().unwrap()).err(), Some(Full));
        assert!(crowd.seat_of("2001:db8:0:1::3".parse().unwrap()).is_ok());
        drop(seats);
        assert!(crowd.seat_of("2001:db8::3".parse().unwrap()).is_ok());
        assert!(crowd.by_address().is_empty());
    }

    #[test]
    fn an_ipv4_address_is_the_same_however_it_is_written() {
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
