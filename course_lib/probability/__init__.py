"""The mathematics of the course: densities, divergences, bounds, gradients. No networks, no data."""
