"""The HTTP server: sessions, turns and their streams, problems, probes, metrics, the chat page. Needs the ``server`` extra."""
