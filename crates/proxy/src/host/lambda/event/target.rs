//! The target of a request, put together again from what an event says of it.

/// `path` as a target's path: beginning with a slash, and with an escape in place of each byte that it cannot have.
/// What was decoded on its way here is encoded again.
pub(super) fn path(path: &str) -> String {
    let mut target = String::with_capacity(path.len() + 16);
    if !path.starts_with('/') {
        target.push('/');
    }
    escape(path, &mut target, |byte| !b"?#\"<>\\^`{|}".contains(&byte));
    target
}

/// Appends the query of `parameters`, which were decoded.
pub(super) fn append_decoded(target: &mut String, parameters: &[(&str, &str)]) {
    append(target, parameters, |text, target| {
        for byte in text.bytes() {
            push(byte, byte.is_ascii_alphanumeric() || b"-._~!$'()*,;:@/?".contains(&byte), target);
        }
    });
}

/// Appends the query of `parameters`, which are as the client has written them.
pub(super) fn append_encoded(target: &mut String, parameters: &[(&str, &str)]) {
    append(target, parameters, |text, target| escape(text, target, |byte| !b"#\"<>\\^`{|}".contains(&byte)));
}

fn append(target: &mut String, parameters: &[(&str, &str)], write: impl Fn(&str, &mut String)) {
    for (place, (name, value)) in parameters.iter().enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        write(name, target);
        // A name without a value cannot be told from one with an empty value any more.
        target.push('=');
        write(value, target);
    }
}

/// Appends `text`; escapes that stand in it stay, and each byte that is not visible or not `allowed` becomes one.
fn escape(text: &str, target: &mut String, allowed: impl Fn(u8) -> bool) {
    let bytes = text.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        let begins_escape =
            || bytes.get(place + 1..place + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let stays = match byte {
            b'%' => begins_escape(),
            byte => byte.is_ascii_graphic() && allowed(*byte),
        };
        push(*byte, stays, target);
    }
}

fn push(byte: u8, stays: bool, target: &mut String) {
    if stays {
        target.push(char::from(byte));
        return;
    }
    target.push('%');
    for digit in [byte >> 4, byte & 15] {
        target.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
    }
}
