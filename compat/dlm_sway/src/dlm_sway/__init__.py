"""The names of dlm-sway that dlm imports, served by pytest-sway."""

import importlib.metadata

try:
    importlib.metadata.version("dlm-sway")
except importlib.metadata.PackageNotFoundError:
    pass
else:
    raise ImportError(
        "dlm-sway and pytest-sway-dlm-compat are both installed and share the import name dlm_sway: "
        "pip uninstall one of them, then install the other again"
    )
