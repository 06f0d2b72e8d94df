//! What was written lately, so that a crash loses nothing of it: segments that are only appended to.
//!
//! A batch is durable when it stands in a segment and that was synced. Segments are numbered; each is as long as the
//! memory that it stands for, and is deleted when that memory has become a sorted file. So what a start has to read is
//! bounded by that memory, and not by how much was ever written.
//!
//! A start reads all segments in order and makes the same changes again. Some of them may be in sorted files by now: the
//! last change of each key is then made once more, which changes nothing.
//!
//! ```text
//! segment = MAGIC batch*
//! batch   = length of the changes (u32), their xxh3 with that length as its seed (u64), change*
//! change  = 1, length of the key (u32), key, length of the value (u32), value
//!         | 0, length of the key (u32), key
//! ```
//!
//! Numbers stand with their low end first. Each batch is synced before the next is written. So what follows the last whole
//! batch of the last segment can be one that a crash has torn, and nobody was told that it is there; but if more follows
//! than one batch, the segment is damaged, and what was answered is gone. That is no state to go on from: the journal is
//! not opened. Zeros are what was never written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::trouble::is_full;

/// The journal of a store, ready to be written to.
pub(super) struct Journal {
    directory: PathBuf,
    segment: File,
    number: u64,
    /// Where the next batch goes.
    end: u64,
    #[cfg(test)]
    room: Option<Arc<AtomicUsize>>,
}

/// The changes of one batch, as they stand in a segment.
#[derive(Default)]
pub(super) struct Batch(Vec<u8>);

/// Why something is not in the journal.
#[derive(Debug)]
pub(super) enum JournalError {
    /// The disk has no room. Nothing of it stands there, and the next may.
    Full(io::Error),
    /// Nobody knows what stands there, so nothing must be written any more.
    Broken(io::Error),
}

/// A change of a batch: what stands at the key from then on, or nothing.
pub(super) type Changed<'a> = (&'a [u8], Option<&'a [u8]>);

impl Batch {
    /// An empty batch.
    pub(super) fn new() -> Self {
        // Its head is filled in when it is whole.
        Self(vec![0; HEAD_BYTES])
    }

    /// Adds a change.
    pub(super) fn push(&mut self, (key, value): Changed<'_>) {
        self.0.push(u8::from(value.is_some()));
        for part in [Some(key), value].into_iter().flatten() {
            // Keys and values are bounded far below this.
            self.0.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            self.0.extend_from_slice(part);
        }
    }

    fn seal(&mut self) -> io::Result<&[u8]> {
        let length = u32::try_from(self.0.len() - HEAD_BYTES).map_err(io::Error::other)?;
        let checksum = xxh3_64_with_seed(&self.0[HEAD_BYTES..], u64::from(length));
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0[4..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(&self.0)
    }
}

impl Journal {
    /// Opens the journal in `directory`, tells `change` everything that stands in it, in order, and begins a segment: a new
    /// one, or the last again if nothing stands in that.
    pub(super) fn open(directory: &Path, mut change: impl FnMut(Changed<'_>)) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let segments = segments(directory)?;
        let last = segments.last().copied();
        let mut empty = None;
        // They are deleted in order. After a power cut an early one may be back though a later one is gone.
        let gap = segments.windows(2).rposition(|pair| pair[1] != pair[0] + 1);
        let needed = gap.map_or(0, |gap| gap + 1);
        if needed > 0 {
            forget(directory, segments[needed - 1])?;
        }
        for &number in &segments[needed..] {
            let path = path(directory, number);
            let bytes = fs::read(&path)?;
            let end = replay(&bytes, &mut change);
            // The next segment was begun when this one was whole.
            let may_be_torn = Some(number) == last && is_torn_at_most(&bytes, end);
            if !may_be_torn && !is_blank(&bytes[end..]) {
                let text = format!("{} is damaged", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            // What a crash has cut off is nothing to be damaged the next time, when this is not the last one any more. One
            // that is empty stays, or there would be a gap.
            let segment = OpenOptions::new().write(true).open(&path)?;
            segment.set_len(end as u64)?;
            segment.sync_all()?;
            empty = (end <= MAGIC.len()).then_some(segment);
        }
        let (number, segment) = match (last, empty) {
            // Or there would be one more with each start, thousands where a disk is full and the process is started again
            // and again. It keeps its place: by its number it is known that none before it is missing.
            (Some(last), Some(segment)) => {
                prepare(directory, &segment)?;
                (last, segment)
            }
            (last, _) => {
                let number = last.unwrap_or_default() + 1;
                (number, begin(directory, number, prepare)?)
            }
        };
        Ok(Self {
            directory: directory.to_owned(),
            segment,
            number,
            end: MAGIC.len() as u64,
            #[cfg(test)]
            room: None,
        })
    }

    /// Writes `batch` and waits for the disk.
    pub(super) fn append(&mut self, mut batch: Batch) -> Result<(), JournalError> {
        let bytes = batch.seal().map_err(JournalError::Broken)?;
        if let Err(error) = self.write(bytes) {
            let is_gone = is_full(&error) && self.take_back().is_ok();
            return Err(if is_gone { JournalError::Full(error) } else { JournalError::Broken(error) });
        }
        // The data's sync is enough, also where the file grows: its length is data as far as reading it goes.
        self.segment.sync_data().map_err(JournalError::Broken)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(room) = &self.room {
            let left = room.load(Relaxed).min(bytes.len());
            room.fetch_sub(left, Relaxed);
            if left < bytes.len() {
                self.segment.write_all_at(&bytes[..left], self.end)?;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.segment.write_all_at(bytes, self.end)
    }

    /// Cuts off the part of a batch that found room. A shorter one might be written over it, and what follows that one must
    /// not read as a batch of its own, whatever somebody has put into a value.
    fn take_back(&mut self) -> io::Result<()> {
        self.segment.set_len(self.end)?;
        self.segment.set_len(self.end.max(ROOM))?;
        self.segment.sync_all()
    }

    /// The same, writing to `segment` from now on: a disk that a test has prepared.
    #[cfg(test)]
    pub(super) fn writing_to(self, segment: File) -> Self {
        Self { segment, ..self }
    }

    /// The same, on a disk that takes so many bytes more.
    #[cfg(test)]
    pub(super) fn with_room(self, room: &Arc<AtomicUsize>) -> Self {
        Self { room: Some(Arc::clone(room)), ..self }
    }

    /// Begins the next segment; returns the number of the one before, which goes on where there is no room for it.
    pub(super) fn begin_next(&mut self) -> Result<u64, JournalError> {
        let before = self.number;
        self.segment = begin(&self.directory, before + 1, prepare).map_err(|error| {
            if is_full(&error) { JournalError::Full(error) } else { JournalError::Broken(error) }
        })?;
        (self.number, self.end) = (before + 1, MAGIC.len() as u64);
        Ok(before)
    }
}

/// Deletes the segments of `directory` up to `last`.
pub(super) fn forget(directory: &Path, last: u64) -> io::Result<()> {
    for number in segments(directory)? {
        if number <= last {
            fs::remove_file(path(directory, number))?;
        }
    }
    Ok(())
}

/// Tells `change` what stands in the whole batches at the start of `segment`; returns where they end.
fn replay(segment: &[u8], change: &mut impl FnMut(Changed<'_>)) -> usize {
    if !segment.starts_with(MAGIC) {
        return 0;
    }
    let mut end = MAGIC.len();
    while let Some(changes) = batch_at(segment, end) {
        // It was checked whole, so each part of it is there.
        let mut rest = changes;
        while let Some((read, after)) = changed(rest) {
            change(read);
            rest = after;
        }
        end += HEAD_BYTES + changes.len();
    }
    end
}

/// Whether what follows `end`, where the whole batches of the last segment end, can be what a crash has left of one batch.
///
/// What a crash leaves of a batch are some of its sectors: each is there or is zeros, and later ones may be there without
/// earlier ones. So its length is the true one or zero, unless it stands in two sectors; and where it is the true one, zeros
/// follow what it tells of. Anything else there was written when this batch was on the disk: it is damaged.
///
/// Nothing is ever looked for but where a length says that it is: the bytes between are values, and whoever chooses those
/// can make them look like batches. So of damage this does not see:
///
/// - the very last batch's, which looks as if it had been torn;
/// - a length that has become so large that nothing was written behind it;
/// - a length that reads as zero with all that follows it in its sector, for that is how a first sector looks that a crash
///   kept from the disk, and then what is there of the others is the batch's own, however much it is;
/// - a batch whose length stands in two sectors, of which one may be the old one: what lies behind the number that both make
///   together may be the batch's own, too.
fn is_torn_at_most(segment: &[u8], end: usize) -> bool {
    if end < MAGIC.len() {
        // It was on the disk before there was a batch.
        return segment.get(MAGIC.len()..).is_none_or(is_blank);
    }
    let Some((length, _)) = segment[end..].split_first_chunk::<4>() else { return true };
    let next_sector = (end / SECTOR + 1) * SECTOR;
    if end + length.len() > next_sector {
        return true;
    }
    let never_written = match u32::from_le_bytes(*length) {
        0 => segment.get(end..next_sector).unwrap_or(&segment[end..]),
        length => {
            let next = usize::try_from(length).ok().and_then(|length| length.checked_add(end + HEAD_BYTES));
            next.and_then(|next| segment.get(next..)).unwrap_or_default()
        }
    };
    is_blank(never_written)
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The changes of the batch that begins at `start`, if it is whole.
fn batch_at(segment: &[u8], start: usize) -> Option<&[u8]> {
    let (head, rest) = segment.get(start..)?.split_at_checked(HEAD_BYTES)?;
    let length = u32::from_le_bytes(*head.first_chunk()?);
    let checksum = u64::from_le_bytes(*head.last_chunk()?);
    let changes = rest.get(..usize::try_from(length).ok()?)?;
    let is_whole = !changes.is_empty() && xxh3_64_with_seed(changes, u64::from(length)) == checksum;
    is_whole.then_some(changes)
}

fn changed(bytes: &[u8]) -> Option<(Changed<'_>, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (key, rest) = part(rest)?;
    if kind == 0 {
        return Some(((key, None), rest));
    }
    let (value, rest) = part(rest)?;
    Some(((key, Some(value)), rest))
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// The numbers of the segments in `directory`, in order.
fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}{SUFFIX}"))
}

/// Makes the segment `number`, as `prepare` does it. One that cannot be finished is taken away, or the next try would
/// find it in its way.
fn begin(
    directory: &Path,
    number: u64,
    prepare: impl FnOnce(&Path, &File) -> io::Result<()>,
) -> io::Result<File> {
    let path = path(directory, number);
    let segment = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    if let Err(error) = prepare(directory, &segment) {
        fs::remove_file(&path)?;
        return Err(error);
    }
    Ok(segment)
}

fn prepare(directory: &Path, segment: &File) -> io::Result<()> {
    segment.write_all_at(MAGIC, 0)?;
    // Room from the start, so that not every sync has to write down a new length.
    segment.set_len(ROOM)?;
    segment.sync_all()?;
    File::open(directory)?.sync_all()
}

const MAGIC: &[u8] = b"gateward journal 1\n";
const SUFFIX: &str = ".journal";
const HEAD_BYTES: usize = 12;

/// What a disk writes whole or not at all; some write more at once, which begins and ends where these do.
const SECTOR: usize = 512;

/// About as much as is written while as much memory fills as one segment stands for.
#[cfg(not(test))]
const ROOM: u64 = 12 << 20;
#[cfg(test)]
const ROOM: u64 = 8 << 10;

#[cfg(test)]
mod tests;
