//! TLS handshakes inside a connection, read as their bytes arrive and never consumed.
//!
//! [`HelloReader`] reads a connection's first bytes up to the end of its ClientHello. [`HandshakeWatch`] then follows
//! the handshake until no further ClientHello can come.

mod client_hello;
mod first_bytes;
mod message;
mod message_start;
mod reader;
mod record;
mod server_hello;
mod watch;

pub use message::MAX_HELLO;
pub use reader::{HelloReader, Progress};
pub use watch::{HandshakeWatch, Watched};
