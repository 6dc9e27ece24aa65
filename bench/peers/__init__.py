"""A turn of Holdfast beside a turn of the session stores that pip can install, each in a process and environment of its own."""
