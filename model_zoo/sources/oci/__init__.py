"""OCI registries: ``source`` is the source kind, ``client`` talks to a registry."""
