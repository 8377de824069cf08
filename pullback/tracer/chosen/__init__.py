"""Elements whose number is only known when the compiled code runs: what a computed mask chooses, slices of computed length."""
