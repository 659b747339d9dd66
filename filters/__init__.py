"""Decisions about a single value: plain functions, no Beam, no network, nothing of ours imported."""
