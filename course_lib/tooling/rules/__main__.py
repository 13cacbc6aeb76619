"""``python -m course_lib.tooling.rules``."""

from course_lib.tooling.rules import main

raise SystemExit(main())
