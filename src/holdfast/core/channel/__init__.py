"""Channels: one key speaks, everybody who has the link reads."""
