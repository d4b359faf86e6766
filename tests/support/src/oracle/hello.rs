//! A ClientHello, read only where all of it is there and nothing about it is odd.

/// The server name, and whether an encrypted hello is there; `None` for anything but a good ClientHello in the
/// first 64 KiB.
pub fn client_hello(data: &[u8]) -> Option<(Option<Vec<u8>>, bool)> {
    // Records, until the handshake message is whole.
    let mut message: Vec<u8> = Vec::new();
    let mut at = 0;
    loop {
        if message.len() >= 4 && message.len() - 4 >= number(&message[1..4]) {
            break;
        }
        let header = data.get(at..at + 5)?;
        let length = number(&header[3..5]);
        if header[..2] != [22, 3] || !(1..=16_384).contains(&length) {
            return None;
        }
        message.extend(data.get(at + 5..at + 5 + length)?);
        at += 5 + length;
    }
    if at > 65_536 || message[0] != 1 || message.len() - 4 != number(&message[1..4]) {
        return None;
    }
    let body = &message[4..];
    if body.first() != Some(&3) {
        return None;
    }
    let rest = body.get(34..)?;
    let (session, rest) = vector(rest, 1)?;
    let (suites, rest) = vector(rest, 2)?;
    let (compressions, rest) = vector(rest, 1)?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 == 1 || compressions.is_empty() {
        return None;
    }
    if rest.is_empty() {
        return Some((None, false));
    }
    let (mut extensions, rest) = vector(rest, 2)?;
    if !rest.is_empty() {
        return None;
    }
    let mut kinds: Vec<usize> = Vec::new();
    let mut name = None;
    while !extensions.is_empty() {
        let kind = number(extensions.get(..2)?);
        let (content, rest) = vector(&extensions[2..], 2)?;
        if kinds.contains(&kind) {
            return None;
        }
        kinds.push(kind);
        extensions = rest;
        if kind == 0 {
            let (list, after_list) = vector(content, 2)?;
            if list.first() != Some(&0) {
                return None;
            }
            let (host, after_host) = vector(&list[1..], 2)?;
            if host.is_empty() || !after_host.is_empty() || !after_list.is_empty() {
                return None;
            }
            name = Some(host.to_vec());
        }
    }
    Some((name, kinds.contains(&0xfe0d)))
}

/// Whether some TLS server could take these first bytes for the beginning of a handshake.
pub(crate) fn could_be_tls(data: &[u8]) -> bool {
    let is_record = |at: usize| data.get(at).is_some_and(|kind| (20..=24).contains(kind));
    let at = |at: usize| data.get(at).copied();
    if is_record(0) && at(1) == Some(3) {
        return true;
    }
    if at(0).is_some_and(|first| first >= 0x80) && at(2) == Some(1) {
        let length = number(&data[..2]) - 0x8000;
        return (9..=18_432).contains(&length) && (at(3) == Some(3) || data.get(3..5) == Some(&[0, 2]));
    }
    let Some(length) = data.get(3..5).map(number) else {
        return false;
    };
    match at(0) {
        Some(21 | 22) if length == 0 => is_record(5),
        Some(21) => length == 2 && is_record(7),
        Some(22) if at(5) == Some(1) && length <= 18_432 => match length {
            1..=3 => is_record(5 + length),
            _ => data.get(6..9).is_some_and(|hello| (38..=65_536).contains(&number(hello))),
        },
        _ => false,
    }
}

/// The ClientHellos that the records of a client hold, as long as they hold nothing else; `None` where a record or
/// a message is not as it must be before the site has answered.
pub(crate) fn further_hellos(data: &[u8]) -> Option<Vec<(Option<Vec<u8>>, bool)>> {
    let mut hellos = Vec::new();
    // The records of the ClientHello that is being read.
    let mut pending: Vec<u8> = Vec::new();
    let mut rest = data;
    while let Some(header) = rest.get(..5) {
        let length = number(&header[3..]);
        let whole = rest.len() >= 5 + length;
        let record = &rest[..rest.len().min(5 + length)];
        let good = match header[0] {
            20 => length == 1,
            21 => length == 2,
            22 => (1..=16_384).contains(&length),
            23 => (1..=18_432).contains(&length),
            _ => false,
        };
        if header[1] != 3 || !good || (header[0] != 22 && !pending.is_empty()) {
            return None;
        }
        rest = &rest[record.len()..];
        if header[0] == 22 {
            pending.extend(record);
            if whole && let Some(hello) = client_hello(&pending) {
                hellos.push(hello);
                pending.clear();
            }
        }
    }
    Some(hellos)
}

/// What stands behind a length of so many bytes, and what follows it.
fn vector(data: &[u8], bytes: usize) -> Option<(&[u8], &[u8])> {
    let length = number(data.get(..bytes)?);
    let end = bytes + length;
    Some((data.get(bytes..end)?, &data[end..]))
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number * 256 + usize::from(*byte))
}
