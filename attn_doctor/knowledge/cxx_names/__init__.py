"""Mangled C++ names, taken apart, and which torch has them."""
