"""The elements of an array that a computed mask chooses: how many they are is only known when the compiled code runs."""
