"""Where cells come from: committed data, simulators, downloads, and the gate cells pass to enter a model."""
