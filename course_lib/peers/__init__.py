"""Models that other programs trained, as the course's own. Each module knows one program's names; none imports it."""
