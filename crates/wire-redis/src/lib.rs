//! RESP2 and RESP3: bytes to messages and back. Sans-IO.
