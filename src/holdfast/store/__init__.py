"""Logs at rest: one interface (`base`), and the store inside the relay (`embedded`)."""
