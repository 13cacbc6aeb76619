"""Homework that grades itself: from one source with solutions to what students get, and from what they send to points.

``sheet`` is what a homework is, ``release`` what students and instructors get, ``submission`` what a student sent,
``sandbox`` the locked room in which ``runner`` runs it, ``grading`` one submission's points, ``report`` a class's, and
``expect`` what the tests in a homework say. The command is ``python -m course_lib.homework``.
"""
