"""Helpers of the tests, imported as a package."""
