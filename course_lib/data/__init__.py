"""Where cells come from: committed data, simulators, downloads, and the gate every cell passes before a model sees it."""
