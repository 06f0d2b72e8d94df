//! What a crash, a power cut, a full disk and a damaged one leave, read again.

use proptest::prelude::*;

use super::*;

fn batch(changes: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in changes {
        batch.push((key.as_bytes(), value.map(str::as_bytes)));
    }
    batch
}

fn read(directory: &Path) -> io::Result<Vec<(String, Option<String>)>> {
    let mut seen = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Journal::open(directory, |(key, value)| seen.push((text(key), value.map(text))))?;
    Ok(seen)
}

fn owned(key: &str, value: Option<&str>) -> (String, Option<String>) {
    (key.to_owned(), value.map(str::to_owned))
}

#[test]
fn what_was_appended_is_told_again_in_order_until_it_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(directory.path(), |_| panic!("nothing was written")).unwrap();
    journal.append(batch(&[("a", Some("1")), ("b", Some(""))])).unwrap();
    let first = journal.begin_next().unwrap();
    journal.append(batch(&[("a", None)])).unwrap();
    drop(journal);
    let all = vec![owned("a", Some("1")), owned("b", Some("")), owned("a", None)];
    assert_eq!(read(directory.path()).unwrap(), all);
    assert_eq!(read(directory.path()).unwrap(), all, "reading changes nothing");
    forget(directory.path(), first).unwrap();
    assert_eq!(read(directory.path()).unwrap(), all[2..]);
}

#[test]
fn a_batch_that_a_crash_has_cut_off_is_left_out_and_none_before_it() {
    for cut in 0..40 {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
        journal.append(batch(&[("a", Some("1"))])).unwrap();
        let whole = journal.end;
        journal.append(batch(&[("key", Some("value")), ("b", None)])).unwrap();
        let path = path(directory.path(), journal.number);
        let full = fs::read(&path).unwrap();
        let end = usize::try_from(whole).unwrap() + cut;
        let mut torn = full[..end.min(full.len())].to_vec();
        // Some of its blocks may be there, and others still empty.
        torn.resize(full.len(), 0);
        fs::write(&path, torn).unwrap();
        let is_whole = whole + cut as u64 >= journal.end;
        // Twice: the second time it is no more the last segment, which alone may be cut off.
        for _ in 0..2 {
            assert_eq!(read(directory.path()).unwrap().len(), if is_whole { 3 } else { 1 }, "{cut}");
        }
    }
}

#[test]
fn a_batch_that_the_disk_does_not_confirm_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    // It takes what is written, and cannot be synced.
    let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
    let mut journal = Journal::open(directory.path(), |_| {}).unwrap().writing_to(null);
    assert!(journal.append(batch(&[("a", Some("1"))])).is_err());
}

#[test]
fn of_a_batch_that_found_no_room_nothing_is_read_whatever_is_written_over_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut forged = batch(&[("forged", Some("by whoever chose a value"))]);
    let forged = forged.seal().unwrap();
    let room = Arc::new(AtomicUsize::new(usize::MAX));
    let mut journal = Journal::open(directory.path(), |_| {}).unwrap().with_room(&room);
    let mut large = Batch::new();
    large.push((b"key", Some(&[b"ten bytes ", forged, b"..."].concat())));
    room.store(large.0.len() - 1, Relaxed);
    assert!(matches!(journal.append(large), Err(JournalError::Full(_))));
    room.store(usize::MAX, Relaxed);
    // It ends where the forged one would begin.
    journal.append(batch(&[("key", Some("ten bytes."))])).unwrap();
    drop(journal);
    assert_eq!(read(directory.path()).unwrap(), [owned("key", Some("ten bytes."))]);
}

#[test]
fn a_segment_that_is_back_after_a_power_cut_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
    journal.append(batch(&[("a", Some("old"))])).unwrap();
    let first = journal.begin_next().unwrap();
    journal.append(batch(&[("a", Some("newer"))])).unwrap();
    let second = journal.begin_next().unwrap();
    journal.append(batch(&[("b", None)])).unwrap();
    let back = fs::read(path(directory.path(), first)).unwrap();
    forget(directory.path(), second).unwrap();
    fs::write(path(directory.path(), first), back).unwrap();
    assert_eq!(read(directory.path()).unwrap(), [owned("b", None)]);
    assert!(!path(directory.path(), first).exists());
}

#[test]
fn a_bit_that_flips_in_a_segment_that_was_whole_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
    journal.append(batch(&[("a", Some("1"))])).unwrap();
    let first = journal.begin_next().unwrap();
    journal.append(batch(&[("b", None)])).unwrap();
    let path = path(directory.path(), first);
    let mut bytes = fs::read(&path).unwrap();
    bytes[MAGIC.len() + HEAD_BYTES + 6] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = read(directory.path()).unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_bit_that_flips_before_a_whole_batch_is_an_error_in_the_last_segment_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
    journal.append(batch(&[("a", Some("1"))])).unwrap();
    journal.append(batch(&[("b", Some("2"))])).unwrap();
    let path = path(directory.path(), journal.number);
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        (read(directory.path()), bytes)
    };
    // In the changes, the checksum, the length, and in what says that this is a journal.
    for at in [MAGIC.len() + HEAD_BYTES + 6, MAGIC.len() + 5, MAGIC.len(), 3] {
        let (opened, bytes) = flipped(at);
        let error = opened.unwrap_err().to_string();
        assert_eq!(error, format!("{} is damaged", path.display()), "{at}");
        assert!(fs::read(&path).unwrap() == bytes, "it is left as it is, for who looks into it: {at}");
    }
    let mut bytes = whole.clone();
    bytes[MAGIC.len()..MAGIC.len() + 4].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(read(directory.path()).is_err(), "a sector that is missing has nothing of the batch");
    let (opened, _) = flipped(usize::try_from(journal.end).unwrap() - 1);
    assert_eq!(opened.unwrap(), [owned("a", Some("1"))], "the last may have been torn");
}

#[test]
fn a_start_after_the_other_leaves_no_more_segments_than_have_something_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(directory.path(), |_| panic!("nothing was written")).unwrap();
    journal.append(batch(&[("a", Some("1"))])).unwrap();
    let first = journal.number;
    let mut torn = segment(&[vec![7; 3000]]).0;
    torn[MAGIC.len()..SECTOR].fill(0);
    // What a kill, a full disk and a power cut leave of a segment, where one has just been begun.
    let left = [vec![], MAGIC[..7].to_vec(), MAGIC.to_vec(), vec![0; 8192], torn];
    for (round, left) in left.into_iter().enumerate() {
        for _ in 0..3 {
            assert_eq!(read(directory.path()).unwrap().len(), 1 + round);
        }
        let newest = first + 1 + round as u64;
        assert_eq!(segments(directory.path()).unwrap(), (first..=newest).collect::<Vec<_>>());
        fs::write(path(directory.path(), newest), left).unwrap();
        let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
        assert_eq!(journal.number, newest);
        journal.append(batch(&[("b", None)])).unwrap();
    }
    assert_eq!(read(directory.path()).unwrap().len(), 6);
}

#[test]
fn a_segment_that_cannot_be_finished_is_not_left_behind_and_none_is_taken_away_that_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let full = |_: &Path, segment: &File| {
        segment.write_all_at(&MAGIC[..7], 0)?;
        Err(io::ErrorKind::StorageFull.into())
    };
    for _ in 0..2 {
        let refused = begin(directory.path(), 1, full).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(segments(directory.path()).unwrap().is_empty());
    }
    begin(directory.path(), 1, prepare).unwrap();
    let refused = begin(directory.path(), 1, full).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(segments(directory.path()).unwrap(), [1]);
}

/// A segment of batches with these values, and where each of them begins, and the last one ends.
fn segment(values: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
    let mut segment = MAGIC.to_vec();
    let mut bounds = vec![segment.len()];
    for value in values {
        let mut batch = Batch::new();
        batch.push((b"key", Some(value)));
        segment.extend_from_slice(batch.seal().unwrap());
        bounds.push(segment.len());
    }
    segment.resize(segment.len().max(usize::try_from(ROOM).unwrap()) + SECTOR, 0);
    (segment, bounds)
}

/// Values as somebody chooses them who wants to be taken for a journal: full of whole batches, after some other bytes.
fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let value = (0..600_usize, 0..80_usize).prop_map(|(before, forged)| {
        let mut batch = Batch::new();
        batch.push((b"forged", Some(b"1")));
        [vec![7; before], batch.seal().unwrap().repeat(forged)].concat()
    });
    proptest::collection::vec(value, 2..6)
}

fn replayed(segment: &[u8]) -> (usize, usize) {
    let mut changes = 0;
    let end = replay(segment, &mut |_| changes += 1);
    (end, changes)
}

#[test]
fn a_batch_whose_length_stands_in_two_sectors_is_taken_for_torn_with_either_of_them() {
    let before = segment(&[Vec::new()]).1[1];
    for into_sector in SECTOR - 5..SECTOR + 1 {
        // Three bytes of its length are not zero.
        let (whole, bounds) = segment(&[vec![7; into_sector - before], vec![7; 70_000]]);
        assert_eq!(bounds[1], into_sector);
        let [first, others] = [bounds[1]..SECTOR, SECTOR..bounds[2]];
        for missing in [vec![], vec![&first], vec![&others], vec![&first, &others]] {
            let mut torn = whole.clone();
            for sectors in &missing {
                torn[(*sectors).clone()].fill(0);
            }
            let (end, _) = replayed(&torn);
            assert!(bounds[1..].contains(&end));
            assert!(is_torn_at_most(&torn, end), "{into_sector} {missing:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_sectors_of_the_last_batch_are_missing_it_is_taken_for_torn(
        values in values(),
        missing in proptest::collection::vec(any::<bool>(), 200),
    ) {
        let (mut segment, bounds) = segment(&values);
        let last = bounds[values.len() - 1]..bounds[values.len()];
        for at in last.clone() {
            if missing[at / SECTOR % missing.len()] {
                segment[at] = 0;
            }
        }
        let (end, changes) = replayed(&segment);
        prop_assert!(end == last.start && changes == values.len() - 1 || end == last.end);
        prop_assert!(is_torn_at_most(&segment, end));
    }

    #[test]
    fn a_bit_that_flips_before_the_last_batch_is_no_torn_one_where_the_length_stands(
        values in values(),
        batch in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let (mut segment, bounds) = segment(&values);
        let batch = batch.index(values.len() - 1);
        let (start, end) = (bounds[batch], bounds[batch + 1]);
        prop_assume!(start / SECTOR == (start + 3) / SECTOR);
        segment[start + 4 + at.index(end - start - 4)] ^= 1_u8 << bit;
        let (found, changes) = replayed(&segment);
        prop_assert_eq!((found, changes), (start, batch));
        prop_assert!(!is_torn_at_most(&segment, found));
    }

    #[test]
    fn a_bit_that_flips_in_a_length_is_no_torn_batch_while_something_stands_behind_it(
        values in values(),
        batch in any::<prop::sample::Index>(),
        bit in 0..32_usize,
    ) {
        let (mut segment, bounds) = segment(&values);
        let batch = batch.index(values.len() - 1);
        let start = bounds[batch];
        prop_assume!(start / SECTOR == (start + 3) / SECTOR);
        segment[start + bit / 8] ^= 1 << (bit % 8);
        let length = u32::from_le_bytes(*segment[start..].first_chunk().unwrap());
        prop_assume!(length > 0);
        let (found, changes) = replayed(&segment);
        prop_assert_eq!((found, changes), (start, batch));
        let reaches = start + HEAD_BYTES + usize::try_from(length).unwrap();
        let last = bounds[values.len()];
        prop_assert_eq!(is_torn_at_most(&segment, found), reaches >= last);
    }
}
