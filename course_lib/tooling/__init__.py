"""What the Makefile calls: the environment and its doctor, running, normalising and rendering notebooks."""
