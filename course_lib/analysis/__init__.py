"""What one asks of a trained model. Nothing here knows which model it was: only ``encode``, ``decode`` and ``loss``."""
