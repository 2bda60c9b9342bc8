"""Documents of dlm."""
