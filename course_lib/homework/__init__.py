"""Homework that grades itself: from one source with solutions to what students get, and from what they send to points.

``sheet`` is what a homework is, ``release`` what students and instructors get, ``expect`` what the tests in it say.
``handed_in`` is what lies in a folder, ``file_kinds`` what is no notebook, ``submission`` what one student sent,
``sandbox`` the walls of the ``room`` in which ``runner`` runs it, ``grading`` its points. ``folder`` grades a class,
``by_hand`` is what a person writes into its table, ``report`` that table and the pages, ``class_figure`` the picture.
The command is ``python -m course_lib.homework``.
"""
