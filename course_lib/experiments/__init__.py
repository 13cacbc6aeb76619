"""What needs many seeds or many minutes: each script writes a small table to ``data/results/``.

Run one with ``python -m course_lib.experiments.NAME``. Beside each table stands a ``.json`` with the seeds, the
settings and the versions it was made with. A notebook draws the table, runs one seed live, and checks that it falls
inside.
"""
