"""Static files as `collectstatic` lays them down: named by what is in them, and compressed once."""

from typing import Any

from whitenoise.compress import Compressor  # type: ignore[import-untyped]
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

# Scripts that import each other by name. To look through those of libraries, of which one is larger
# than all of ours and none imports another, would take longer than all the rest.
_OURS = ("api/*.js", "backoffice/*.js", "shop/*.js")


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    _, _imports = CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns
    patterns = (
        *CompressedManifestStaticFilesStorage.patterns,
        *zip(_OURS, (_imports,) * len(_OURS), strict=True),
    )

    def create_compressor(self, **options: Any) -> Compressor:
        """Leave out maps: large, and read by nobody but who looks for a fault in a library."""
        unpacked = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")
        return Compressor(**options | {"extensions": unpacked})

    def stored_name(self, name: str) -> str:
        """Return the plain name of a file that was not collected: a page without its looks is
        better than none. The deploy checks say what is missing."""
        try:
            hashed: str = super().stored_name(name)
        except ValueError:
            return name
        return hashed
