"""Registries of container images (OCI): how people name them, log in to them, and what they answer."""

from __future__ import annotations

import hashlib

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


def oci_digest(data: bytes) -> str:
    """Return ``sha256:…`` of bytes, as descriptors write it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
