"""The observatory: what is degraded, where, since when, how."""
