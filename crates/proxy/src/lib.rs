//! Listener, TLS, upstream lanes, drain, the request loop; generic over a Session.
