"""Read mangled C++ names, and find the torch versions that export them."""
