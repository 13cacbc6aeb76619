"""One training loop for every model of the course. ``fit.py`` is the loop; every other file serves it."""

from course_lib.training.fit import fit
from course_lib.training.stopping import TrainingDiverged

__all__ = ["TrainingDiverged", "fit"]
