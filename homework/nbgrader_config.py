"""nbgrader, started in this folder, makes the students' notebooks that `make homework` makes."""

from course_lib.homework.sheet import CODE_STUB, TEXT_STUB

c = get_config()  # noqa: F821
c.ClearSolutions.code_stub = {"python": CODE_STUB}
c.ClearSolutions.text_stub = TEXT_STUB
