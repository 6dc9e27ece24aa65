"""One turn's stages: understand, decide, act, answer. Each is a Protocol with a built-in, chosen in the config file."""
