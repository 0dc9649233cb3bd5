"""The notebooks of the documentation, and the program that runs them."""
