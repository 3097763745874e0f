"""From the Compose model to what the engine is asked for: names, labels, hashes, and every attribute of a container. Pure."""

from __future__ import annotations

from compose.convert.hashing import config_hash, network_hash, volume_hash
from compose.convert.names import container_name, image_name, network_name, volume_name

__all__ = ["config_hash", "container_name", "image_name", "network_hash", "network_name", "volume_hash", "volume_name"]
