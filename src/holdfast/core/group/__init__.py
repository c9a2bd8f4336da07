"""Groups: who is in one, and what its members say to each other. Normative: spec/seal.md."""
