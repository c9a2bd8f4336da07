"""The log protocol's two ends: `server` and `reader` at a relay, `client` at a node."""
