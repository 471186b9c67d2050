"""IRs in a registry: an image of them, pushed and pulled, and the registry as a fleet's shared cache."""
