"""The library of the course: deep latent variable models of single cells, from the autoencoder to scVI."""

from course_lib.threads import apply_thread_policy

__version__ = "0.1.0"

apply_thread_policy()  # before torch loads
