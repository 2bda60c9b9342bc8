"""Documents of dlm (``.dlm`` files, PyPI ``document-language-model``) and its stores."""
