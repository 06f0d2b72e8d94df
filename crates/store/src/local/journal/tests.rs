//! What a crash, a power cut, a full disk and a damaged one leave, read again.

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
