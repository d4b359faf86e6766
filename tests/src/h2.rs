//! Just enough of HTTP/2 to send what a well-behaved client would not, and to see what comes back.

use anyhow::{Context as _, Result, bail};
use egress_lab::client::Stream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Headers or trailers; their block is not decoded.
    Headers {
        /// Whether the stream ends with it.
        end: bool,
    },
    /// Bytes.
    Data {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether the stream ends with it.
        end: bool,
    },
    /// The stream was reset.
    Reset,
    /// The connection is to end.
    GoAway,
}

/// A connection with one stream.
pub struct H2 {
    stream: Stream,
    buffer: Vec<u8>,
}

// === impl H2 ===

impl H2 {
    /// Opens a connection and sends one request's headers as they are.
    ///
    /// # Errors
    /// When the other side hangs up.
    pub fn open(mut stream: Stream, headers: &[(&[u8], &[u8])], end: bool) -> Result<Self> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        bytes.extend(frame(HEADERS, flags, 1, &block(headers)));
        stream.send(&bytes)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes on the stream.
    ///
    /// # Errors
    /// When the other side hangs up.
    pub fn send(&mut self, bytes: &[u8], end: bool) -> Result<()> {
        self.stream.send(&frame(DATA, u8::from(end) * END_STREAM, 1, bytes))
    }

    /// The next frame of the stream.
    ///
    /// # Errors
    /// When the other side hangs up or says nothing.
    pub fn receive(&mut self) -> Result<Frame> {
        loop {
            let (kind, flags, payload) = self.next_frame()?;
            match kind {
                HEADERS => return Ok(Frame::Headers { end: flags & END_STREAM != 0 }),
                DATA => return Ok(Frame::Data { bytes: payload, end: flags & END_STREAM != 0 }),
                RESET => return Ok(Frame::Reset),
                GOAWAY => return Ok(Frame::GoAway),
                SETTINGS if flags & ACK == 0 => self.stream.send(&frame(SETTINGS, ACK, 0, &[]))?,
                PING if flags & ACK == 0 => self.stream.send(&frame(PING, ACK, 0, &payload))?,
                _ => {}
            }
        }
    }

    /// All frames until the stream or the connection ends.
    ///
    /// # Errors
    /// When it does not end.
    pub fn receive_all(&mut self) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.receive()?;
            let last = match &frame {
                Frame::Headers { end } | Frame::Data { end, .. } => *end,
                Frame::Reset | Frame::GoAway => true,
            };
            frames.push(frame);
            if last {
                return Ok(frames);
            }
        }
    }

    fn next_frame(&mut self) -> Result<(u8, u8, Vec<u8>)> {
        let head = self.take(9)?;
        let [a, b, c, kind, flags, ..] = head.as_slice() else { bail!("a frame's head of {head:?}") };
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let payload = self.take(length)?;
        Ok((*kind, *flags, payload))
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < count {
            let more = self.stream.receive(std::time::Duration::from_secs(5))?;
            self.buffer.extend(more.context("nothing more comes")?);
        }
        Ok(self.buffer.drain(..count).collect())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = length.get(1..).unwrap_or_default().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Every header as a literal that is not indexed and not compressed.
fn block(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

/// A string with its length as an integer of seven bits and continuations (RFC 7541, 5.1).
fn string(block: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len();
    if rest < 127 {
        block.push(u8::try_from(rest).unwrap_or_default());
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap_or_default());
    }
    block.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_literals() {
        assert_eq!(block(&[(b"a", b"\xff")]), [0, 1, b'a', 1, 0xff]);
        let mut long = Vec::new();
        string(&mut long, &[b'x'; 300]);
        // 300 - 127 = 173 = 45 + 1 * 128
        assert_eq!(long.get(..3), Some([127, 128 | 45, 1].as_slice()));
        assert_eq!(frame(DATA, END_STREAM, 1, b"hi"), [0, 0, 2, 0, 1, 0, 0, 0, 1, b'h', b'i']);
    }
}
