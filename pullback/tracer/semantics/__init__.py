"""NumPy's rules, as functions on IR values: promotion, broadcasting, axes, indexing. Tensor's rules build on them."""
