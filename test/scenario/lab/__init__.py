"""The laboratory: real parts around the relay, on loopback, in a directory of its own."""
