"""A whole project in one file: documents (the model, files it needs) beside an archive of its images, for machines without a network.

The file is a `docker save` archive and an OCI layout with further members below ``bundle/``: ``bundle.json`` lists image references with
their ids, which are compared after loading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO

from runtime.errors import ImageError
from runtime.images import config as configs
from runtime.images import load, save

if TYPE_CHECKING:
    from runtime.images.store import ImageStore

_PREFIX = "bundle/"
_LIST = "images.json"
_VERSION = 1


def write(store: ImageStore, documents: Mapping[str, bytes], references: Sequence[str], file: BinaryIO) -> None:
    """Write the bundle. Raises NotFound for an image that is not there."""
    listed = {"version": _VERSION, "images": {reference: store.get(reference).id for reference in references}}
    members = {f"{_PREFIX}{_LIST}": json.dumps(listed, indent=1).encode(), **{f"{_PREFIX}{name}": data for name, data in documents.items()}}
    save.save(store, list(dict.fromkeys(references)), file, documents=members)


def read(store: ImageStore, file: BinaryIO) -> Mapping[str, bytes]:
    """Load the images and return the documents, without ``images.json``. Raises ImageError when it is no bundle or an image is another."""
    _, found = load.load_with(store, file, _PREFIX)
    listed = found.get(f"{_PREFIX}{_LIST}")
    if listed is None:
        raise ImageError(
            "the archive holds images, but no project", hint="`pycompose bundle` writes one; `image load` loads plain archives"
        )
    top = configs.document(listed, "the bundle's list of images")
    images = top.get("images")
    if top.get("version") != _VERSION or not isinstance(images, dict):
        raise ImageError(
            f"the bundle is of version {top.get('version')!r}; this pycompose reads version {_VERSION}",
            hint="write it again with this version",
        )
    for reference, image_id in images.items():
        state = store.find(reference)
        if state is None or state.id != image_id:
            raise ImageError(f"the bundle's image {reference} is not the one that was bundled", hint="the file is damaged; write it again")
    return {name.removeprefix(_PREFIX): data for name, data in found.items() if name != f"{_PREFIX}{_LIST}"}
