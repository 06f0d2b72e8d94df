//! What must hold of a resolver after every step: whatever somebody wants is seen to by somebody.

use gateward_clock::Timestamp;

use super::State;
use crate::entry::Standing;

impl State {
    /// The secrets that somebody wants and that have no answer, or none that is new, though no call is under way for
    /// them, no alarm will ring for them, and they stand in no line; and those of which the lane and the entry do not
    /// say the same. There are none, or a secret would be forgotten for ever.
    pub(in crate::resolver) fn unattended(&self, now: Timestamp) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, slot) in &self.slots {
            let Some(place) = self.places.get(&key.vault) else { continue };
            let (entry, lane) = (&slot.entry, &place.lane);
            let mut note = |what: &str| wrong.push(format!("{}: {what}", key.secret));
            let in_line = lane.places_in_line(key);
            if in_line != usize::from(entry.is_held_back()) && !entry.is_being_asked() || in_line > 1 {
                note(&format!(
                    "it stands in line {in_line} times, and held back is {}",
                    entry.is_held_back()
                ));
            }
            if entry.is_being_asked() && !lane.has(key, |ticket| entry.waits_for(ticket)) {
                note("it waits for a call that nobody makes");
            }
            let alarm = slot.alarm_at.filter(|at| self.alarms.get(&(*at, slot.serial)) == Some(key));
            if alarm != slot.alarm_at {
                note("its alarm is not set");
            }
            let is_attended = entry.is_being_asked()
                || in_line > 0 && lane.moves()
                || alarm.is_some_and(|at| now < at + super::AT_LEAST);
            let is_good = matches!(entry.standing(), Standing::Fresh { .. }) && alarm.is_none();
            if slot.is_wanted() && !is_attended && !is_good {
                note(&format!("nobody sees to it: {:?}", entry.standing()));
            }
        }
        for (name, place) in &self.places {
            if !place.lane.moves() {
                wrong.push(format!("the line to {name} does not move"));
            }
            if place.lane.probe_at().is_some_and(|at| at <= now) {
                wrong.push(format!("the vault {name} should have been tried"));
            }
        }
        wrong
    }
}
