"""How a container is made and kept: images, namespaces, mounts, cgroups, networks, supervision. Knows nothing of Compose."""
