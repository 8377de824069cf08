"""NumPy's functions on traced values, a family a file; `table` says which function of NumPy each one stands for."""
