"""The demonstration: a small network trained on real images of digits, and a picture of how it went."""
